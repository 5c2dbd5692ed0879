/**
 * `roseSteadily`: how old space grew between two major GCs. It contains all objects that are retained, so it must rise at
 * least as fast as they do, and a table that is loaded at once is a jump in it.
 */

import { MINUTE_MS, type History } from './history.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';
import type { Column } from './sample-row.ts';
import { median } from './statistics.ts';

/** A shorter time between two major GCs says little: a table is loaded within minutes. */
const MIN_SPAN_MS = 25 * MINUTE_MS;
/** The steady parts are at least this share of the time. */
const MIN_STEADY = 0.5;
/** The rows must cover all of the time but this share. */
const MAX_UNCOVERED = 0.1;
/** Old space is compared over these parts of the time between two major GCs. */
const PARTS = 4;
/** A part in which old space rises by less than this share of a line stands still (recorded slow leaks: at least 0.7). */
const MIN_PART = 0.4;
/** A jump is this share of the rise within a fifth of the time. Recorded slow leaks have up to 0.42 there. */
const MIN_JUMP = 0.45;
const JUMP_WINDOW = 0.2;
/** A table that is loaded at once is in this many rows. Fewer rows between two major GCs say little about the others. */
const ROWS_OF_LOAD = 2;
const MIN_ROWS = 8;
/** A load is this share of the rise of the post-GC heap, beyond what old space gains in as many other rows. */
const MIN_LOAD = 0.5;
/** Scavenges of the recordings move up to 2.6 MiB of garbage to old space. */
const MIN_LOAD_BYTES = 4 * 1024 ** 2;
/** Beside a load, old space gains less than this share of a line. Recorded leaks gain all of it, and garbage. */
const MAX_ELSEWHERE = 0.8;
/** With this share of the connections that opened or closed, it may be theirs. */
const MAX_SHARE_OF_TRAFFIC = 1 / 3;
/** Old space below the post-GC heap is a wrong reading. */
const MIN_OF_POST_GC = 0.95;

/** Whether old space rose steadily between these major GCs, for most of the time and nowhere at once. False where rows are missing. */
export function roseSteadily(history: History, points: readonly PostGcHeap[]): boolean {
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined || last === first) return false;
  let steadyMs = 0;
  for (const [i, point] of points.entries()) {
    const before = points[i - 1];
    if (before === undefined) continue;
    const rise = riseBetween(history, before, point);
    if (rise === 'jump') return false;
    if (rise === 'steady') steadyMs += point.atMs - before.atMs;
  }
  return steadyMs >= MIN_STEADY * (last.atMs - first.atMs);
}

/**
 * Whether most of the rise from one major GC to the next came at once, and not with connections that opened or closed. A
 * scavenge moves garbage to old space at once too, so the other rows must gain less than a leak would. Null where rows are
 * missing.
 */
export function roseAtOnce({ window }: History, from: PostGcHeap, to: PostGcHeap): boolean | null {
  const firstRow = window.rowAt(from.atMs);
  const endRow = window.rowAt(to.atMs);
  const lateMs = (window.times(firstRow)[0] ?? Number.NaN) - from.atMs;
  if (!(lateMs < MAX_UNCOVERED * (to.atMs - from.atMs)) || endRow - firstRow < MIN_ROWS) return null;
  const valuesOf = (column: Column): Float64Array => window.column(column).subarray(firstRow, endRow);
  const risesOf = (values: Float64Array): Float64Array =>
    values.subarray(ROWS_OF_LOAD).map((value, row) => value - (values[row] ?? Number.NaN));
  const bytes = valuesOf('oldSpaceBytes');
  const rises = risesOf(bytes);
  if (rises.some(Number.isNaN)) return null;
  const largest = Math.max(...rises);
  const rise = to.bytes - from.bytes;
  const elsewhere = (bytes.at(-1) ?? Number.NaN) - (bytes[0] ?? Number.NaN) - largest;
  if (
    largest < MIN_LOAD_BYTES ||
    largest - median(rises) < MIN_LOAD * rise ||
    elsewhere > MAX_ELSEWHERE * rise * (1 - ROWS_OF_LOAD / bytes.length)
  )
    return false;
  const row = rises.indexOf(largest);
  return (['openedTotal', 'closedTotal'] as const).every((column) => {
    const totals = valuesOf(column);
    const all = (totals.at(-1) ?? Number.NaN) - (totals[0] ?? Number.NaN);
    return !((risesOf(totals)[row] ?? 0) > MAX_SHARE_OF_TRAFFIC * all);
  });
}

function riseBetween(history: History, from: PostGcHeap, to: PostGcHeap): 'steady' | 'jump' | 'unknown' {
  const spanMs = to.atMs - from.atMs;
  const rise = to.bytes - from.bytes;
  if (spanMs < MIN_SPAN_MS || !(rise > 0)) return 'unknown';
  const bytes = oldSpaceBetween(history, from, to);
  if (bytes === null || !bytes.every((value) => value >= MIN_OF_POST_GC * from.bytes)) return 'unknown';
  const valueAt = (share: number): number => bytes[Math.round(share * (bytes.length - 1))] ?? Number.NaN;
  const riseIn = (fromShare: number, toShare: number): number => valueAt(toShare) - valueAt(fromShare);
  // Garbage comes with all rows, and a line has a fifth of everything in a fifth of the time.
  const even = JUMP_WINDOW * riseIn(0, 1);
  for (let share = 0; share <= 1 - JUMP_WINDOW; share += JUMP_WINDOW / 4)
    if (riseIn(share, share + JUMP_WINDOW) - even > (MIN_JUMP - JUMP_WINDOW) * rise) return 'jump';
  for (let part = 0; part < PARTS; part += 1)
    if (!(riseIn(part / PARTS, (part + 1) / PARTS) >= (MIN_PART * rise) / PARTS)) return 'unknown';
  return 'steady';
}

/**
 * The size after the first major GC, then the rows of the last hour, or those of the last hours where these do not reach back.
 * Null where rows are missing.
 */
function oldSpaceBetween(
  { window, longTerm }: History,
  from: PostGcHeap,
  to: PostGcHeap,
): Float64Array | null {
  for (const rows of longTerm === null ? [window] : [window, longTerm.window]) {
    const firstRow = rows.rowAt(from.atMs);
    const lateMs = (rows.times(firstRow)[0] ?? Number.NaN) - from.atMs;
    if (lateMs < MAX_UNCOVERED * (to.atMs - from.atMs))
      return Float64Array.of(
        from.bytes,
        ...rows.column('oldSpaceBytes').subarray(firstRow, rows.rowAt(to.atMs)),
      );
  }
  return null;
}
