/**
 * `roseSteadily`: how old space grew between two major GCs. It contains all objects that are retained, so it must rise at
 * least as fast as they do, and a table that is loaded at once is a jump in it.
 */

import { MINUTE_MS, type History } from './history.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';

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
/** Old space below the post-GC heap is a wrong reading. */
const MIN_OF_POST_GC = 0.95;

/** Whether old space rose steadily between these major GCs, for most of the time. False where rows are missing. */
export function roseSteadily(history: History, points: readonly PostGcHeap[]): boolean {
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined) return false;
  let steadyMs = 0;
  for (const [i, point] of points.entries()) {
    const before = points[i - 1];
    if (before !== undefined && isSteady(history, before, point)) steadyMs += point.atMs - before.atMs;
  }
  return steadyMs >= MIN_STEADY * (last.atMs - first.atMs);
}

function isSteady({ window }: History, from: PostGcHeap, to: PostGcHeap): boolean {
  const spanMs = to.atMs - from.atMs;
  const rise = to.bytes - from.bytes;
  const firstRow = window.rowAt(from.atMs);
  const endRow = window.rowAt(to.atMs);
  const firstMs = window.times(firstRow)[0] ?? Number.NaN;
  if (spanMs < MIN_SPAN_MS || !(rise > 0) || !(firstMs - from.atMs < MAX_UNCOVERED * spanMs)) return false;
  const bytes = window.column('oldSpaceBytes').subarray(firstRow, endRow);
  if (!bytes.every((value) => value >= MIN_OF_POST_GC * from.bytes)) return false;
  const valueAt = (share: number): number => bytes[Math.round(share * (bytes.length - 1))] ?? Number.NaN;
  const riseIn = (fromShare: number, toShare: number): number => valueAt(toShare) - valueAt(fromShare);
  for (let part = 0; part < PARTS; part += 1)
    if (!(riseIn(part / PARTS, (part + 1) / PARTS) >= (MIN_PART * rise) / PARTS)) return false;
  for (let share = 0; share <= 1 - JUMP_WINDOW; share += JUMP_WINDOW / 4)
    if (riseIn(share, share + JUMP_WINDOW) > MIN_JUMP * rise) return false;
  return true;
}
