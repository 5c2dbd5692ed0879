/** `postGcTrend`: how the heap after major GCs grows, without the memory that the connections explain. */

import type { Sample } from '../types/index.ts';
import type { Curve } from './growth-shape.ts';
import { heapModel, type HeapModel } from './heap-model.ts';
import { HOUR_MS, MINUTE_MS, type History } from './history.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';
import { theilSen } from './statistics.ts';

/** Modules and caches load during the first minutes (example traces). */
export const HEAP_WARM_UP_MS = 2 * MINUTE_MS;
/** Longer than slow growth must last (65 min), so that a major GC may come late. */
const WINDOW_MS = 72 * MINUTE_MS;
/** Healthy servers run 0 to 6 major GCs per hour, so the window is at least a dozen of them, however long that took. */
const MIN_WINDOW_POINTS = 12;
/** The window of slow growth is a little longer than the growth must last, so that a major GC may come late. */
const LONG_TERM = 1.25;
const MIN_LONG_TERM_POINTS = 8;
/** Share of the rise that still counts as the lowest level. */
const LOWEST_BAND = 0.1;

export interface PostGcTrend {
  readonly points: readonly PostGcHeap[];
  readonly spanMs: number;
  readonly lastBytes: number;
  /** Slope of the line through all points. */
  readonly perMs: number;
  /** Standard errors between the slope and 0. */
  readonly t: number;
  readonly riseBytes: number;
  /** Sum of squares that connections and a leak do not explain. */
  readonly residuals: number;
  /** The growth without the memory that the connections explain. */
  readonly curve: Curve;
  /** The same in other models that explain the heap as well. */
  readonly alternatives: readonly Curve[];
  /** Growth that slows down with time explains the heap as well as a leak does. */
  readonly slowsDown: boolean;
  /** Index of the point at which the growth starts. */
  readonly startIndex: number;
  readonly connectionsVary: boolean;
  /** The connections rose too, and too few points are left to separate both effects. */
  readonly isConfounded: boolean;
  /** The trend from one of its points on. Detectors ask for it in each evaluation, and the points change with a major GC. */
  readonly from: (index: number) => PostGcTrend | null;
}

/** The points after the warm-up, of the window or the last dozen. */
export function recentPostGcHeaps({
  postGcHeaps,
  nowMs,
  startedMs,
}: Pick<History, 'postGcHeaps' | 'nowMs' | 'startedMs'>): PostGcHeap[] {
  const warm = postGcHeaps.filter(({ atMs }) => atMs >= startedMs + HEAP_WARM_UP_MS);
  const fromMs = Math.min(nowMs - WINDOW_MS, warm.at(-MIN_WINDOW_POINTS)?.atMs ?? 0);
  return warm.filter(({ atMs }) => atMs >= fromMs);
}

/** At most this many points of several hours: more of them say nothing new about their line. */
const MAX_LONG_TERM_POINTS = 40;

/** The points after the warm-up that span a little more than this, or eight of them, evenly thinned. */
export function longTermPostGcHeaps(
  { postGcHeaps, nowMs, startedMs }: History,
  spanMs: number,
): PostGcHeap[] {
  const fromMs = Math.max(
    startedMs + HEAP_WARM_UP_MS,
    Math.min(nowMs - LONG_TERM * spanMs, postGcHeaps.at(-MIN_LONG_TERM_POINTS)?.atMs ?? 0),
  );
  const points = postGcHeaps.filter(({ atMs }) => atMs >= fromMs);
  const every = Math.ceil(points.length / MAX_LONG_TERM_POINTS);
  return points.filter((_, i) => (points.length - 1 - i) % every === 0);
}

/** Null below three points: two points are a line through anything. */
export function postGcTrend(points: readonly PostGcHeap[]): PostGcTrend | null {
  const spanMs = (points.at(-1)?.atMs ?? 0) - (points[0]?.atMs ?? 0);
  if (points.length < 3 || !(spanMs > 0)) return null;
  const model = heapModel(points);
  if (model === null) return null;
  const { progress, unexplained, riseBytes } = model;
  const curveOf = (explanation: Pick<HeapModel, 'progress' | 'unexplained' | 'riseBytes'>): Curve => ({
    timesMs: explanation.progress.shares.map((share) => share * spanMs),
    bytes: explanation.unexplained,
    perMs: explanation.riseBytes / spanMs,
  });
  const perMs = riseBytes / spanMs;
  const later = new Map<number, PostGcTrend | null>();
  const trend: PostGcTrend = {
    points,
    spanMs,
    lastBytes: points.at(-1)?.bytes ?? 0,
    perMs,
    riseBytes,
    t: model.t,
    residuals: model.residuals,
    connectionsVary: model.connectionsVary,
    isConfounded: model.isConfounded,
    startIndex: startOfGrowth(unexplained, progress.shares),
    curve: curveOf(model),
    alternatives: model.alternatives.map(curveOf),
    get slowsDown(): boolean {
      return model.slowsDown;
    },
    from(index) {
      if (index === 0) return trend;
      if (!later.has(index)) later.set(index, postGcTrend(points.slice(index)));
      return later.get(index) ?? null;
    },
  };
  return trend;
}

/** The trend from the start of the growth on, so that a flat hour before it makes it neither longer nor slower. */
export const sinceStartOfGrowth = (trend: PostGcTrend): PostGcTrend | null => trend.from(trend.startIndex);

/** Above this share of its capacity V8 collects most of the time. The process dies a little later (measured). */
export const HEAP_LIMIT_SHARE = 0.85;
/** Growth foretells half of the time that it has lasted: 35 min of warm-up say nothing about the next 30. */
export const FORETOLD = 0.5;

/** Whether the growth has lasted long enough to foretell that it reaches the limit. */
export const isNearLimit = ({ lastBytes, perMs, spanMs }: PostGcTrend, capacity: number): boolean =>
  HEAP_LIMIT_SHARE * capacity - lastBytes < FORETOLD * spanMs * perMs;

/**
 * Index of the last value within a tenth of the rise above the minimum. The first fifth of the window is ignored, because
 * noise alone reaches it there.
 */
function startOfGrowth(unexplained: Float64Array, progress: Float64Array): number {
  const lowest = unexplained.reduce((low, value) => Math.min(low, value));
  const level = lowest + LOWEST_BAND * ((unexplained.at(-1) ?? 0) - lowest);
  const index = unexplained.findLastIndex((value) => value <= level);
  return (progress[index] ?? 0) > 2 * LOWEST_BAND ? index : 0;
}

/** Growth of the post-GC heap, or of old space where the samples have fewer than three major GCs. */
export function growthPerHour(samples: readonly Sample[]): number {
  const postGc = samples.flatMap(({ gc }) => (gc.floor === null ? [] : [gc.floor]));
  const points =
    postGc.length >= 3 ? postGc : samples.map(({ atMs, memory }) => ({ atMs, bytes: memory.oldSpaceBytes }));
  const slope = theilSen(
    points.map(({ atMs }) => atMs),
    points.map(({ bytes }) => bytes),
  );
  return (slope?.perMs ?? 0) * HOUR_MS;
}
