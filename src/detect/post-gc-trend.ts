/** `postGcTrend`: how the heap after major GCs grows, without the memory that the connections explain. */

import type { Sample } from '../types/index.ts';
import { HOUR_MS, MINUTE_MS, type History } from './history.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';
import {
  createDesign,
  fitCoefficients,
  lastStandardError,
  mean,
  residualSumOfSquares,
  standardDeviation,
  theilSen,
  type Design,
} from './statistics.ts';

/** Modules and caches load during the first minutes (example traces). */
const WARM_UP_MS = 2 * MINUTE_MS;
const WINDOW_MS = 60 * MINUTE_MS;
/** Healthy servers run 0 to 6 major GCs per hour, so the window is at least a dozen of them, however long that took. */
const MIN_WINDOW_POINTS = 12;
/** The last third of the growth is at least this long: shorter spans are mostly noise. */
const MIN_LATE_SPAN_MS = 8 * MINUTE_MS;
/** Share of the mean below which the connections count as constant. */
const MIN_VARIATION = 0.03;
/** A fit with three coefficients needs twice as many points. */
const MIN_POINTS_WITH_CONNECTIONS = 6;
/** Lags of the Newey-West error, in major GCs. */
const LAGS = 2;
/** Share of the window that the last step covers at least. */
const MIN_STEP = 0.1;
/** Share of the rise that still counts as the lowest level. */
const LOWEST_BAND = 0.1;
/** Growth slows down when its latest part has less than this share of the pace of the whole (example traces). */
const MIN_LATE_TO_WHOLE = 0.5;
/** The same against the first half. */
const MIN_LATE_TO_EARLY = 0.4;

export interface PostGcTrend {
  readonly points: readonly PostGcHeap[];
  readonly spanMs: number;
  readonly lastBytes: number;
  /** Slope of the line through all points. */
  readonly perMs: number;
  /** Standard errors between the slope and 0. */
  readonly t: number;
  readonly riseBytes: number;
  readonly earlyPerMs: number;
  readonly latePerMs: number;
  /** Slope of the last step. */
  readonly lastStepPerMs: number;
  /** Index of the point at which the growth starts. */
  readonly startIndex: number;
  readonly connectionsVary: boolean;
  /** The connections rose too, and too few points are left to separate both effects. */
  readonly isConfounded: boolean;
}

/** The points after the warm-up, of the last hour or the last dozen. */
export function recentPostGcHeaps({ postGcHeaps, nowMs, startedMs }: History): PostGcHeap[] {
  const warm = postGcHeaps.filter(({ atMs }) => atMs >= startedMs + WARM_UP_MS);
  const fromMs = Math.min(nowMs - WINDOW_MS, warm.at(-MIN_WINDOW_POINTS)?.atMs ?? 0);
  return warm.filter(({ atMs }) => atMs >= fromMs);
}

/** Null below three points: two points are a line through anything. */
export function postGcTrend(points: readonly PostGcHeap[]): PostGcTrend | null {
  const times = Float64Array.from(points, ({ atMs }) => atMs);
  const spanMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
  if (points.length < 3 || !(spanMs > 0)) return null;
  const bytes = Float64Array.from(points, (point) => point.bytes);
  const load = loadOf(points);
  const fit = bestFit(points, bytes, load);
  if (fit === null) return null;
  const { design, coefficients, progress } = fit;
  const riseBytes = coefficients.at(-1) ?? 0;
  const usesConnections = coefficients.length > 2;
  const perDeviation = usesConnections ? Math.max(0, coefficients[1] ?? 0) : 0;
  const unexplained = bytes.map((value, i) => value - perDeviation * (load.scaled[i] ?? 0));
  const perMs = riseBytes / spanMs;
  return {
    points,
    spanMs,
    lastBytes: bytes.at(-1) ?? 0,
    perMs,
    riseBytes,
    t: riseBytes / Math.max(lastStandardError(design, bytes, coefficients, LAGS), 1),
    connectionsVary: load.varies,
    isConfounded: load.rose && !usesConnections,
    startIndex: startOfGrowth(unexplained, progress),
    ...slopesOf(
      progress.map((share) => share * spanMs),
      unexplained,
      perMs,
    ),
  };
}

/** The trend from the start of the growth on, so that a flat hour before it makes it neither longer nor slower. */
export const sinceStartOfGrowth = (trend: PostGcTrend): PostGcTrend | null =>
  trend.startIndex === 0 ? trend : postGcTrend(trend.points.slice(trend.startIndex));

export const isSlowing = ({ perMs, earlyPerMs, latePerMs, lastStepPerMs }: PostGcTrend): boolean =>
  latePerMs <= MIN_LATE_TO_WHOLE * perMs ||
  latePerMs <= MIN_LATE_TO_EARLY * earlyPerMs ||
  lastStepPerMs <= MIN_LATE_TO_WHOLE * perMs;

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

interface Fit {
  readonly design: Design;
  readonly coefficients: readonly number[];
  /** For each point, the share of the whole time, or of the whole connection time, that has passed. */
  readonly progress: Float64Array;
}

/**
 * Fits memory by connections and time. While the connections rise, the leaked memory grows with the sum of connections
 * over time, which is a bent line, while the memory that they need is a straight one. The fit with the smaller residuals
 * is used.
 */
function bestFit(points: readonly PostGcHeap[], bytes: Float64Array, load: Load): Fit | null {
  const one = bytes.map(() => 1);
  const fit = (others: readonly Float64Array[], progress: Float64Array): Fit | null => {
    const design = createDesign([...others, progress]);
    return design === null ? null : { design, coefficients: fitCoefficients(design, bytes), progress };
  };
  const timeProgress = progressOf(points, ({ atMs }) => atMs);
  if (!load.varies || points.length < MIN_POINTS_WITH_CONNECTIONS) return fit([one], timeProgress);
  const others = [one, load.scaled];
  const byTime = fit(others, timeProgress);
  const byConnectionTime = load.rose
    ? fit(
        others,
        progressOf(points, ({ connectionMs }) => connectionMs),
      )
    : null;
  if (byTime === null || byConnectionTime === null)
    return byTime ?? byConnectionTime ?? fit([one], timeProgress);
  const residuals = ({ design, coefficients }: Fit): number =>
    residualSumOfSquares(design, bytes, coefficients);
  return residuals(byConnectionTime) < residuals(byTime) ? byConnectionTime : byTime;
}

function progressOf(points: readonly PostGcHeap[], valueOf: (point: PostGcHeap) => number): Float64Array {
  const values = Float64Array.from(points, valueOf);
  const first = values[0] ?? 0;
  const total = (values.at(-1) ?? 0) - first || 1;
  return values.map((value) => (value - first) / total);
}

interface Load {
  readonly varies: boolean;
  readonly rose: boolean;
  /** Responsive connections in standard deviations from the mean. */
  readonly scaled: Float64Array;
}

function loadOf(points: readonly PostGcHeap[]): Load {
  const counts = Float64Array.from(points, ({ responsive }) => responsive);
  const deviation = counts.some(Number.isNaN) ? 0 : standardDeviation(counts);
  const center = mean(counts);
  const varies = deviation > MIN_VARIATION * center && deviation > 0;
  const rose = varies && (counts.at(-1) ?? 0) > (1 + MIN_VARIATION) * (counts[0] ?? 0);
  return { varies, rose, scaled: counts.map((count) => (count - center) / (deviation || 1)) };
}

/** Slopes that show whether the growth slows down: of the first half, of the last third, and of the last step. */
function slopesOf(
  times: Float64Array,
  unexplained: Float64Array,
  perMs: number,
): Pick<PostGcTrend, 'earlyPerMs' | 'latePerMs' | 'lastStepPerMs'> {
  const n = times.length;
  const endMs = times.at(-1) ?? 0;
  const spanMs = endMs - (times[0] ?? 0);
  const lateFromMs = endMs - Math.max(spanMs / 3, MIN_LATE_SPAN_MS);
  const lateIndex = Math.min(
    n - 3,
    times.findIndex((time) => time >= lateFromMs),
  );
  const half = Math.max(3, Math.ceil(n / 2));
  const slope = (from: number, to: number): number =>
    theilSen(times.subarray(from, to), unexplained.subarray(from, to))?.perMs ?? perMs;
  // Near the limit V8 runs a major GC per minute, and the sizes differ by noise alone, so a step has a minimum length.
  const stepIndex = times.findLastIndex((time) => time <= endMs - spanMs * MIN_STEP);
  const stepMs = endMs - (times[stepIndex] ?? endMs);
  return {
    earlyPerMs: slope(0, half),
    latePerMs: slope(Math.max(0, lateIndex), n),
    lastStepPerMs: stepMs > 0 ? ((unexplained.at(-1) ?? 0) - (unexplained[stepIndex] ?? 0)) / stepMs : perMs,
  };
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
