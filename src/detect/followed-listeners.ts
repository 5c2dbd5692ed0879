/**
 * `leakOfFollowed`: a leak of a listener count that the agent follows around the opens and closes of connections.
 *
 * Where connections climb in a straight line and each closed one is replaced at once, no regression tells what an opened
 * connection adds. Here each one is seen to add the same whole number. Then
 *
 *   count - added x connections = listeners that closed connections left + listeners that came at another time
 *
 * The last part is measured, as are opened connections that added another number. With those of which the agent does not know
 * what they added, they must explain at most half of the rise.
 */

import { COUNTS_WARM_UP_MS, LEAKED_PER_CLOSED } from '../kinds/index.ts';
import type { ConnectionsReading, ListenerChangesReading, Sample } from '../types/index.ts';
import type { Growth } from './count-growth.ts';
import { isStepOrPlateau, MAX_FALL, MAX_OTHER_ENTRIES, SHARE_OF_RISE, SIXTHS } from './count-shape.ts';
import { HOUR_MS, MINUTE_MS, type CountHistory } from './history.ts';
import { seriesColumn, type Column, type Series, type SeriesType } from './sample-row.ts';
import { median } from './statistics.ts';

/** Sessions of 65 min have stopped to rise before the last sixth. */
const MIN_WINDOW_MS = 90 * MINUTE_MS;
const MAX_UNEXPLAINED = 0.5;
/** Three rows in each sixth. */
const MIN_ROWS = 18;
const MIN_OPENED = 50;
/** With n opened connections that add the same, fewer than 5 / n of all add another number, with a probability of 0.99. */
const UNSEEN_EXCEPTIONS = 5;

interface Row {
  readonly atMs: number;
  readonly count: number;
  readonly connections: number;
  readonly openedTotal: number;
  readonly closedTotal: number;
  readonly opened: number;
  readonly added: number;
  readonly other: number;
}

interface FollowedCount {
  /** Listeners that one opened connection adds. */
  readonly perOpened: number;
  readonly rows: readonly Row[];
  /** Listeners beyond those of the open connections: the median of each sixth of the rows. */
  readonly levels: readonly number[];
}

/** Null unless the leak is certain. The hours give its rate: a few connections in a hundred leave something, by chance. */
export function leakOfFollowed(
  counts: CountHistory,
  last: Sample | null,
  { series, minRise }: { readonly series: Series; readonly minRise: number },
): Growth | null {
  const changes = last?.emitters.find(
    (row) => row.emitter === series.name && row.event === series.event,
  )?.changes;
  if (last === null || changes === undefined) return null;
  const followed = followedCount(rowsOf(counts, series));
  if (followed === null) return null;
  const { rows, levels, perOpened } = followed;
  const [from, to] = [rows[0]!, rows.at(-1)!];
  const windowMs = to.atMs - from.atMs;
  const rise = riseOf(levels);
  const closed = riseOf(levelsOf(rows.map(({ closedTotal }) => closedTotal)));
  if (windowMs < MIN_WINDOW_MS || rise < minRise) return null;
  if (rise < LEAKED_PER_CLOSED.value * closed || rise > perOpened * closed) return null;
  if (isStepOrPlateau(levels) || hasFallen(levels, rise)) return null;
  const others = to.other - from.other + lackingListeners(changes, last.connections, perOpened);
  if (!(others + exceptions(followed) <= MAX_UNEXPLAINED * rise)) return null;
  return {
    answer: 'found',
    rise,
    now: to.count,
    perHour: (rise / (SHARE_OF_RISE * windowMs)) * HOUR_MS,
    perClosed: rise / closed,
    changes: null,
    uncertainty: null,
    windowMs,
  };
}

/** Null where too few opened connections were seen, or where they add no whole number. */
function followedCount(rows: readonly Row[]): FollowedCount | null {
  const [first, last] = [rows[0], rows.at(-1)];
  if (first === undefined || last === undefined || rows.length < MIN_ROWS) return null;
  const opened = last.opened - first.opened;
  const perOpened = Math.round((last.added - first.added) / opened);
  if (!(opened >= MIN_OPENED) || !(perOpened >= 1)) return null;
  const beyond = rows.map(({ count, connections }) => count - perOpened * connections);
  return { perOpened, rows, levels: levelsOf(beyond) };
}

function rowsOf({ window, startedMs }: CountHistory, { column, name, event }: Series): Row[] {
  const fromRow = window.rowAt(startedMs + COUNTS_WARM_UP_MS);
  const read = (key: Column): Float64Array => window.column(key, fromRow);
  const changes = (type: SeriesType): Float64Array => read(seriesColumn(type, name, event));
  const [times, count, connections] = [window.times(fromRow), read(column), read('connections')];
  const [openedTotal, closedTotal] = [read('openedTotal'), read('closedTotal')];
  const [opened, added, other] = [changes('opened'), changes('added'), changes('other changes')];
  const rows: Row[] = [];
  for (const [row, atMs] of times.entries()) {
    const values = {
      atMs,
      count: count[row]!,
      connections: connections[row]!,
      openedTotal: openedTotal[row]!,
      closedTotal: closedTotal[row]!,
      opened: opened[row]!,
      added: added[row]!,
      other: other[row]!,
    };
    // The agent has begun to follow it again: the totals start at 0.
    if (values.opened < (rows.at(-1)?.opened ?? 0)) rows.length = 0;
    if (!Object.values(values).some(Number.isNaN)) rows.push(values);
  }
  return rows;
}

/** From the middle of the first sixth to the middle of the last one. */
const riseOf = (levels: readonly number[]): number => levels[SIXTHS - 1]! - levels[0]!;

/** The medians of the sixths. */
function levelsOf(values: readonly number[]): number[] {
  return Array.from({ length: SIXTHS }, (_, sixth) => {
    const from = Math.floor((values.length * sixth) / SIXTHS);
    return median(values.slice(from, Math.floor((values.length * (sixth + 1)) / SIXTHS)));
  });
}

function hasFallen(levels: readonly number[], rise: number): boolean {
  let highest = Number.NEGATIVE_INFINITY;
  for (const level of levels) {
    if (highest - level > MAX_FALL * rise) return true;
    highest = Math.max(highest, level);
  }
  return false;
}

/** Listeners by which the opened connections differ from `perOpened` each, also those that were not seen alone. */
function exceptions({ rows, perOpened }: FollowedCount): number {
  let differing = 0;
  for (let row = 1; row < rows.length; row += 1) {
    const [before, now] = [rows[row - 1]!, rows[row]!];
    differing += Math.abs(now.added - before.added - perOpened * (now.opened - before.opened));
  }
  const [first, last] = [rows[0]!, rows.at(-1)!];
  const seenShare = Math.min(1, (last.opened - first.opened) / (last.openedTotal - first.openedTotal));
  return (differing + UNSEEN_EXCEPTIONS * perOpened * (1 - seenShare)) / seenShare;
}

/**
 * Listeners that connections may lack: when they close, the count stays and looks like a leak. They are connections of other
 * transports, and some of those that were open before the agent followed the count.
 */
function lackingListeners(
  { unseen, before }: ListenerChangesReading,
  { openedTotal: { sse, polling, upgraded } }: ConnectionsReading,
  perOpened: number,
): number {
  const lacking = perOpened * unseen - Math.max(0, before - MAX_OTHER_ENTRIES);
  return Math.max(0, lacking) + perOpened * (sse + polling + upgraded);
}
