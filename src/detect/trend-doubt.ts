/** `trendDoubt`: what a growth of the post-GC heap may be instead of a leak. */

import { formatBytes } from '../core/format.ts';
import { shapeOf, SLOWS_DOWN, STOOD_STILL } from './growth-shape.ts';
import type { History } from './history.ts';
import { followsLateSessions, LATE_SESSIONS, type GcHistory } from './late-sessions.ts';
import { roseAtOnce, roseSteadily } from './old-space.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';
import { HEAP_WARM_UP_MS, isNearLimit, type PostGcTrend } from './post-gc-trend.ts';

/** Share of the rise that the heap has fallen by before. A part of a fall is often older than the first major GC. */
const MIN_FALL = 0.5;
/** Steps are searched in the largest two rises from one major GC to the next. */
const GAPS = 2;
/** Share of the rise in these two that a line has at most, also where major GCs are rare. Steps between flat parts have all of it. */
const MAX_RISE_OF_GAPS = 0.75;

/**
 * Loads of tables: at least two of them, with half of the growth whose rows are in the window. They are a third of the whole
 * growth, so that a job that leaks each time is found after hours.
 */
const MIN_LOADS = 2;
const MIN_LOADED = { ofSeen: 0.5, ofAll: 1 / 3 } as const;

/** The last part of the window, and the pace below which the heap itself stands still there. */
const LATE_PART = 1 / 3;
const STILL_PACE = 0.2;
/** Major GCs are close to each other within this share of the window, and these times together are at least a fifth of it. */
const CLOSE_PART = 1 / 8;
const MIN_CLOSE_PART = 0.19;

export interface TrendDoubt {
  readonly answer: 'plateau' | 'inconclusive';
  /** The end of a sentence. */
  readonly because: string;
  readonly missing?: string;
}

/** Null for a growth that is a leak, or that is so near to the limit that there is no time for more major GCs. */
export function trendDoubt(trend: PostGcTrend, history: History): TrendDoubt | null {
  const shape = shapeDoubt(trend);
  if (shape !== null) return shape;
  if (isNearLimit(trend, history.last?.limits.heapCapacityBytes ?? Number.NaN)) return null;
  return otherDoubt(trend, history) ?? loadDoubt(trend, history);
}

/** Says why a growth of another pool of memory may be no leak. `history` has its sizes after major GCs. */
export const poolTrendDoubt = (trend: PostGcTrend, history: GcHistory): TrendDoubt | null =>
  shapeDoubt(trend) ?? otherDoubt(trend, history);

/** The reason why the growth itself is not a line. Null for a line. */
export function shapeDoubt({ curve }: PostGcTrend): TrendDoubt | null {
  const shape = shapeOf(curve);
  return shape === null ? null : { answer: 'plateau', because: shape };
}

/** Other explanations of the growth, and what it was before. */
function otherDoubt(trend: PostGcTrend, history: GcHistory): TrendDoubt | null {
  const otherShape = shapeOfAlternatives(trend);
  if (otherShape !== null) return { answer: 'plateau', because: otherShape };
  if (standsStillBetweenClose(trend)) return { answer: 'plateau', because: STOOD_STILL };
  if (standsStillLately(trend))
    return {
      answer: 'inconclusive',
      because: 'but only because the connections fell: the memory itself stands still',
      missing: 'connections that stay level',
    };
  if (followsLateSessions(trend, history)) return LATE_SESSIONS;
  const fallBytes = largestFall(trend, history);
  if (fallBytes >= MIN_FALL * trend.riseBytes)
    return {
      answer: 'inconclusive',
      because: `but it fell by ${formatBytes(fallBytes)} before, as memory does that rises and falls by itself`,
      missing: `a rise of ${formatBytes(fallBytes / MIN_FALL)}`,
    };
  return null;
}

/** Whether the heap may have grown by tables that were loaded. */
function loadDoubt(trend: PostGcTrend, history: History): TrendDoubt | null {
  if (roseInGaps(trend, history))
    return {
      answer: 'inconclusive',
      because: 'but most of it between a few major GCs, as when tables are loaded',
      missing: 'more major GCs',
    };
  return roseInLoads(trend, history)
    ? {
        answer: 'inconclusive',
        because: 'but most of it at a few moments, as when tables are loaded',
        missing: 'growth between such moments',
      }
    : null;
}

/** The shape in other models that explain the heap as well: a leak is a line in each of them. */
function shapeOfAlternatives({ slowsDown, alternatives }: PostGcTrend): string | null {
  if (slowsDown) return SLOWS_DOWN;
  return alternatives.map(shapeOf).find((shape) => shape !== null) ?? null;
}

/** Whether the heap, connections included, has stopped rising. The memory of a connection is an estimate. */
function standsStillLately({ points, perMs }: PostGcTrend): boolean {
  const last = points.at(-1);
  const first = points[0];
  if (last === undefined || first === undefined) return false;
  const spanMs = last.atMs - first.atMs;
  const isBetween = ({ atMs }: PostGcHeap, shares: readonly [number, number]): boolean =>
    last.atMs - atMs <= shares[0] * spanMs && last.atMs - atMs >= shares[1] * spanMs;
  const before =
    points.find((point) => isBetween(point, [LATE_PART, LATE_PART / 2])) ??
    points.findLast((point) => isBetween(point, [1, LATE_PART])) ??
    first;
  return last.bytes - before.bytes < STILL_PACE * perMs * (last.atMs - before.atMs);
}

/**
 * Whether the heap stands still between major GCs that are close to each other: then all of the rise came between those that
 * are far apart, where nobody saw whether it was a line.
 */
function standsStillBetweenClose({ curve: { timesMs, bytes, perMs } }: PostGcTrend): boolean {
  const spanMs = (timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0);
  let [closeMs, rise] = [0, 0];
  for (let i = 1; i < timesMs.length; i += 1) {
    const ms = (timesMs[i] ?? 0) - (timesMs[i - 1] ?? 0);
    if (ms > CLOSE_PART * spanMs) continue;
    closeMs += ms;
    rise += (bytes[i] ?? 0) - (bytes[i - 1] ?? 0);
  }
  return closeMs >= MIN_CLOSE_PART * spanMs && rise < STILL_PACE * perMs * closeMs;
}

/** The largest fall before the growth began, beyond the memory of the connections that left. */
function largestFall({ points, startIndex }: PostGcTrend, { postGcHeaps, startedMs }: GcHistory): number {
  const untilMs = points[startIndex]?.atMs ?? 0;
  const earlier = postGcHeaps.filter(({ atMs }) => atMs >= startedMs + HEAP_WARM_UP_MS && atMs <= untilMs);
  let largest = 0;
  for (const [i, high] of earlier.entries())
    for (const low of earlier.slice(i + 1)) largest = Math.max(largest, unexplainedFall(high, low));
  return largest;
}

/** All of the memory may belong to the connections. */
function unexplainedFall(high: PostGcHeap, low: PostGcHeap): number {
  const remaining = Math.min(
    1,
    low.responsive / Math.max(high.responsive, 1),
    low.meanResponsive / Math.max(high.meanResponsive, 1),
  );
  return remaining * high.bytes - low.bytes;
}

/** Whether most of the rise came between a few major GCs, and old space does not show that it came steadily. */
function roseInGaps({ points, curve, riseBytes }: PostGcTrend, history: History): boolean {
  const rises = points.map((_, i) => ({
    i,
    bytes: (curve.bytes[i] ?? 0) - (curve.bytes[i - 1] ?? Infinity),
  }));
  const unsteady = rises
    .toSorted((a, b) => b.bytes - a.bytes)
    .slice(0, GAPS)
    .filter(({ i }) => !roseSteadily(history, points.slice(i - 1, i + 1)));
  return unsteady.reduce((sum, { bytes }) => sum + bytes, 0) > MAX_RISE_OF_GAPS * riseBytes;
}

/** Whether old space shows that most of the growth came at a few moments. Both have the connections, whose memory is an estimate. */
function roseInLoads({ points, riseBytes }: PostGcTrend, history: History): boolean {
  let [loads, loaded, seen] = [0, 0, 0];
  for (const [i, point] of points.entries()) {
    const before = points[i - 1];
    const rise = point.bytes - (before?.bytes ?? Infinity);
    const isLoad = before === undefined || rise <= 0 ? null : roseAtOnce(history, before, point);
    if (isLoad === null) continue;
    seen += rise;
    if (!isLoad) continue;
    loads += 1;
    loaded += rise;
  }
  return loads >= MIN_LOADS && loaded >= MIN_LOADED.ofSeen * seen && loaded >= MIN_LOADED.ofAll * riseBytes;
}
