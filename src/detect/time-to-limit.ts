/** `forecast`: time until the heap or the container reaches the limit that ends the process. */

import type { TimeToLimit } from '../types/index.ts';
import { MINUTE_MS, type History } from './history.ts';
import { FORETOLD, HEAP_LIMIT_SHARE } from './post-gc-trend.ts';
import { hasMissing, theilSen, type Slope } from './statistics.ts';

const MIN_POINTS = 4;
/** The window of the slope: at least this, and a part of the uptime. Old points describe a different load. */
const MIN_SPAN_MS = 15 * MINUTE_MS;
const SHARE_OF_UPTIME = 0.25;
const RSS_WINDOW_MS = 30 * MINUTE_MS;
/** 4 min of rows. */
const MIN_ROWS = 8;
/** Share of the limit per ms. A slower slope would give an answer of days, and a wrong one (example traces). */
const MIN_SLOPE_PER_MS = 0.0005 / MINUTE_MS;
/** Buffers must bring this share of the growth, because the garbage of the heap moves RSS too. */
const MIN_EXTERNAL_SHARE = 0.3;
/** The same for memory beyond the heap. */
const MIN_NON_HEAP_SHARE = 0.5;

/** Pace of a growth, relative to its latest slope, that still counts as the same growth. */
const MIN_PACE = 0.75;

export interface Forecast {
  /** In scaled time. */
  readonly time: TimeToLimit;
  /** Duration of the growth that the estimate extends. */
  readonly grownMs: number;
  /** Time since the last size that it is based on. */
  readonly ageMs: number;
}

/** The limit that is reached first. Null when nothing has grown towards a limit for long enough to foretell it. */
export function forecast(history: History): Forecast | null {
  const heap = heapForecast(history);
  const container = containerForecast(history);
  if (heap === null || container === null) return heap ?? container;
  return heap.time.ms <= container.time.ms ? heap : container;
}

function timeUntil(remainingBytes: number, slope: Slope, limit: TimeToLimit['limit']): TimeToLimit {
  const timeAt = (perMs: number): number | null => (perMs > 0 ? Math.max(0, remainingBytes / perMs) : null);
  const ms = timeAt(slope.perMs) ?? 0;
  const highMs = timeAt(slope.lowPerMs);
  return {
    ms,
    lowMs: Math.min(ms, timeAt(slope.highPerMs) ?? ms),
    highMs: highMs === null ? null : Math.max(ms, highMs),
    limit,
  };
}

const minusAge = (time: TimeToLimit, ageMs: number): TimeToLimit => ({
  ...time,
  ms: Math.max(0, time.ms - ageMs),
  lowMs: Math.max(0, time.lowMs - ageMs),
  highMs: time.highMs === null ? null : Math.max(0, time.highMs - ageMs),
});

function heapForecast({ postGcHeaps, nowMs, last }: History): Forecast | null {
  const newest = postGcHeaps.at(-1);
  if (newest === undefined || last === null) return null;
  const capacity = last.limits.heapCapacityBytes;
  if (!(capacity > 0)) return null;
  const fromMs = nowMs - Math.max(MIN_SPAN_MS, SHARE_OF_UPTIME * last.uptimeMs);
  let points = postGcHeaps.filter(({ atMs }) => atMs >= fromMs);
  if (points.length < MIN_POINTS) points = postGcHeaps.slice(-MIN_POINTS);
  const slope = theilSen(
    points.map(({ atMs }) => atMs),
    points.map(({ bytes }) => bytes),
    MIN_SLOPE_PER_MS * capacity,
  );
  if (slope === null) return null;
  const ageMs = nowMs - newest.atMs;
  const time = minusAge(timeUntil(HEAP_LIMIT_SHARE * capacity - newest.bytes, slope, 'heap'), ageMs);
  return ifForetold({ time, grownMs: grownMs(postGcHeaps, ({ bytes }) => bytes, slope.perMs), ageMs });
}

function containerForecast({ window, coarse, nowMs, last, rebasedMs }: History): Forecast | null {
  const limit = last?.limits.containerBytes ?? null;
  if (limit === null || !(limit > 0)) return null;
  const from = window.rowAt(Math.max(nowMs - RSS_WINDOW_MS, rebasedMs));
  const times = window.times(from);
  const containerUsed = window.column('containerUsedBytes', from);
  const used = hasMissing(containerUsed) ? window.column('rssBytes', from) : containerUsed;
  if (times.length < MIN_ROWS || hasMissing(used)) return null;
  const heap = window.column('heapTotalBytes', from);
  const nonHeap = used.map((value, row) => value - (heap[row] ?? 0));
  const rise = riseOf(used);
  const firstHalf = nonHeap.subarray(0, Math.floor(nonHeap.length / 2) + 1);
  const buffersGrow = riseOf(window.column('externalBytes', from)) > MIN_EXTERNAL_SHARE * rise;
  const nonHeapGrows =
    riseOf(nonHeap) > MIN_NON_HEAP_SHARE * rise &&
    riseOf(firstHalf) > 0 &&
    riseOf(nonHeap) > riseOf(firstHalf);
  if (!buffersGrow && !nonHeapGrows) return null;
  const slope = theilSen(times, used, MIN_SLOPE_PER_MS * limit);
  if (slope === null) return null;
  const time = timeUntil(limit - (used.at(-1) ?? 0), slope, 'container');
  return ifForetold({ time, grownMs: grownMs(coarse, ({ usedBytes }) => usedBytes, slope.perMs), ageMs: 0 });
}

const ifForetold = (estimate: Forecast): Forecast | null =>
  estimate.time.ms <= estimate.grownMs / FORETOLD ? estimate : null;

/** The longest time before the last point in which the growth had three quarters of this pace. */
function grownMs<P extends { readonly atMs: number }>(
  points: readonly P[],
  bytesOf: (point: P) => number,
  perMs: number,
): number {
  const last = points.at(-1);
  if (last === undefined) return 0;
  const first = points.find(
    (point) => bytesOf(last) - bytesOf(point) >= MIN_PACE * perMs * (last.atMs - point.atMs),
  );
  return last.atMs - (first ?? last).atMs;
}

const riseOf = (values: Float64Array): number => (values.at(-1) ?? 0) - (values[0] ?? 0);
