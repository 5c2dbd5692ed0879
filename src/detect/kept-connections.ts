/**
 * Registries that keep their last closed connections up to a limit. Such an application often has a list of them, oldest
 * first: it has one item for each closed connection that the registry keeps.
 */

import type { View } from './detector.ts';
import type { Series } from './sample-row.ts';

/** The list and the registry can be read a moment before or after a connection closes. */
const MAX_DIFFERENCE = 2;
/** With half of the closed connections in such a registry, its limit may release them. */
const MIN_SHARE = 0.5;

export const mayReachLimit = (list: string): string =>
  `the list '${list}' has one item for each of them, so the oldest may be removed at a limit`;

/** The name of the list that has one item for each closed connection of the registry, now and at the start of the window. */
export function listOfKept(registry: Series, { history, counts }: View): string | null {
  if (registry.type !== 'registry' && registry.type !== 'sessions') return null;
  if (history.lists.length === 0) return null;
  const valuesOf = ({ column }: Pick<Series, 'column'>): Float64Array =>
    history.window.column(column, counts.fromRow);
  const entries = valuesOf(registry);
  const connections = history.window.column('connections', counts.fromRow);
  for (const list of history.lists) {
    const items = valuesOf(list);
    const difference = (row: number): number =>
      Math.abs((items.at(row) ?? Number.NaN) - ((entries.at(row) ?? 0) - (connections.at(row) ?? 0)));
    // A list from which the first item is taken becomes a series of another type, which starts late.
    const first = items.findIndex((count) => !Number.isNaN(count));
    if (first >= 0 && difference(first) <= MAX_DIFFERENCE && difference(-1) <= MAX_DIFFERENCE)
      return list.name;
  }
  return null;
}

/** Why these closed connections may still be released by a limit; null when none is known. */
export function reasonToWaitForLimit(view: View, retained: number): string | null {
  const { history, counts } = view;
  for (const series of history.series) {
    const kept = history.window.latest(series.column) - counts.connectionsNow;
    // NaN where the registry was not read.
    if (!(kept >= MIN_SHARE * retained)) continue;
    const list = listOfKept(series, view);
    if (list !== null) return `the registry '${series.name}' keeps as many, and ${mayReachLimit(list)}`;
  }
  return null;
}
