/** Work that waits: a collection whose oldest entries the application removes. A leaked entry would stay the oldest one. */

import type { View } from './detector.ts';
import type { Series, SeriesType } from './sample-row.ts';
import { withoutMissing } from './statistics.ts';

const REGISTRIES: ReadonlySet<SeriesType> = new Set(['registry', 'sessions', 'entries', 'bounded']);
/** With at least this share of the growth, the work that waits has the closed connections. */
const MIN_SHARE = 0.5;

export const isWorkedOff = ({ type, name }: Series, { history }: Pick<View, 'history'>): boolean =>
  REGISTRIES.has(type) &&
  history.last?.registries.some((registry) => registry.name === name && registry.isWorkedOff === true) ===
    true;

/** Why closed connections, whose number rose by `rise`, may still be released; null when no such collection grows as much. */
export function reasonToWaitForWork(
  view: Pick<View, 'history'>,
  { sinceMs, rise }: { readonly sinceMs: number; readonly rise: number },
): string | null {
  const { window, series } = view.history;
  const work = series.find((each) => {
    if (!isWorkedOff(each, view)) return false;
    const counts = withoutMissing(window.column(each.column, window.rowAt(sinceMs)));
    return (counts.at(-1) ?? 0) - (counts[0] ?? 0) >= MIN_SHARE * rise;
  });
  return work === undefined
    ? null
    : `'${work.name}' grows too, by at least half as much, and its oldest entries are removed, so it may be work that waits`;
}
