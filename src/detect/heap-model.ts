/**
 * `heapModel`: the post-GC heap as memory that the open connections need, and memory that is leaked.
 *
 *   bytes = constant + bytesPerConnection x connections + rise x progress        (one row per major GC, least squares)
 *
 * The progress of a leak is the time, the sum of connections over time, or the number of closed connections. While the
 * connections rise in a straight line, all of them are the same straight line, and nothing can be told apart.
 */

import type { PostGcHeap } from './post-gc-heaps.ts';
import {
  columnOf,
  createDesign,
  fitCoefficients,
  hasMissing,
  lastStandardError,
  mean,
  onesFor,
  relativeTo,
  residualSumOfSquares,
  standardDeviation,
} from './statistics.ts';

/** Share of the mean below which the connections count as constant. */
const MIN_VARIATION = 0.03;
/** A fit with three coefficients needs twice as many points. */
const MIN_POINTS_WITH_CONNECTIONS = 6;
/** Lags of the Newey-West error, in major GCs. */
const LAGS = 2;
/** Connections and progress that share more of their variance are one line. Ramps of the recordings share 0.9 to 1. */
const MAX_SHARED_VARIANCE = 0.9;
/** Part of the rise that connections cannot explain, even if the whole heap is theirs. */
const MIN_UNEXPLAINED = 0.5;
/** Fewer closed connections do not make a pace. */
const MIN_CLOSED = 20;
/** When one burst has more of the closed connections, it may be a deploy that loads tables too. */
const MAX_SHARE_OF_STEP = 1 / 3;
/** Fits of a dozen points whose residuals differ by less are equally good (F test with 10 and 9 degrees of freedom, 95 %). */
const MAX_RESIDUALS = 3;
/** A fit with four coefficients, and two points that show its error. */
const MIN_POINTS_OF_BENDING = 6;
/** Standard errors by which a growth bends downwards. A line does so in one of 40 windows. */
const BENDING_T = -2;
/** Pace at the end relative to the start. 1 - exp(-t) has it after 0.4 of its time constant (simulated). */
const MIN_END_TO_START = 0.67;
/** Time constants of 1 - exp(-t) as shares of the window. With a longer one it differs little from a line. */
const TIME_CONSTANTS = [1 / 6, 1 / 4, 1 / 3, 1 / 2, 3 / 4, 1];

export interface Progress {
  /** For each point, the share of the whole that has passed. */
  readonly shares: Float64Array;
  /** Whether it is a bent line while the connections rise in a straight one. */
  readonly isBent: boolean;
}

/** A split of the heap into memory of the connections and the rest. */
interface Explanation {
  /** Rise that the connections do not explain. */
  readonly riseBytes: number;
  readonly progress: Progress;
  /** The heap without the memory that the connections explain. */
  readonly unexplained: Float64Array;
}

export interface HeapModel extends Explanation {
  /** The rise in standard errors. */
  readonly t: number;
  /** Sum of squares that the model does not explain. */
  readonly residuals: number;
  /** Other models that explain the heap as well. A leak must have the shape of one in each of them. */
  readonly alternatives: readonly Explanation[];
  /** Growth that slows down with time explains the heap as well as a leak does. */
  readonly slowsDown: boolean;
  readonly connectionsVary: boolean;
  /** The connections rose too, and the points do not separate both effects. */
  readonly isConfounded: boolean;
}

/** At least three points. */
export function heapModel(points: readonly PostGcHeap[]): HeapModel | null {
  const bytes = bytesOf(points);
  const loads = loadsOf(points);
  const connectionsVary = loads.some(({ varies }) => varies);
  const rose = loads.some((load) => load.rose);
  const progresses = progressesOf(points, rose);
  const canSeparate = connectionsVary && points.length >= MIN_POINTS_WITH_CONNECTIONS;
  const fits = progresses.flatMap((progress) => fitsOf(bytes, canSeparate ? loads : [], progress));
  // A perfectly straight line of connections has no fit: the whole rise is stated, and it may belong to them.
  const best = smallest(fits) ?? smallest(progresses.map((progress) => fitAlone(bytes, progress)));
  if (best === null) return null;
  const isSeparated = canSeparate && !isSameLine(best, points);
  let slows: boolean | null = null;
  return {
    ...best,
    alternatives: fits.filter(
      (fit): fit is Fit => fit !== null && fit !== best && fit.residuals <= MAX_RESIDUALS * best.residuals,
    ),
    // Fourteen regressions that only a trend of the shape of a leak needs.
    get slowsDown(): boolean {
      slows ??= slowsDown(points, canSeparate ? loads : [], best);
      return slows;
    },
    connectionsVary,
    isConfounded: rose && !isSeparated && !growsFaster(points),
  };
}

/**
 * Whether connections, and memory that follows these counts of something else, explain the heap as well as a model with these
 * residuals.
 */
export function isExplainedBy(
  counts: Float64Array,
  points: readonly PostGcHeap[],
  residuals: number,
): boolean {
  const rise = (counts.at(-1) ?? 0) - (counts[0] ?? 0);
  if (!(rise > 0)) return false;
  const shares = relativeTo(counts, counts[0] ?? 0, rise);
  const loads = loadsOf(points);
  return fitsOf(bytesOf(points), loads.some(({ varies }) => varies) ? loads : [], {
    shares,
    isBent: true,
  }).some((fit) => fit !== null && fit.riseBytes > 0 && fit.residuals <= residuals);
}

const bytesOf = (points: readonly PostGcHeap[]): Float64Array => columnOf(points, ({ bytes }) => bytes);

/** With each load, or without connections where there is none. */
const fitsOf = (bytes: Float64Array, loads: readonly Load[], progress: Progress): (Fit | null)[] =>
  loads.length === 0
    ? [fitAlone(bytes, progress)]
    : loads.map(({ counts }) => fitWithConnections(bytes, counts, progress));

/** Whether connections and growth that slows down in time explain the heap as well as the leak. */
function slowsDown(points: readonly PostGcHeap[], loads: readonly Load[], best: Fit): boolean {
  if (points.length < MIN_POINTS_OF_BENDING) return false;
  const bytes = bytesOf(points);
  const times = sharesOf(points, ({ atMs }) => atMs);
  const one = onesFor(bytes);
  const others = loads.length === 0 ? [[one]] : loads.map(({ counts }) => [one, scale(counts)]);
  return others.some((columns) => isParabola(bytes, times, columns, best)) || saturates(points, times, best);
}

/** Whether a parabola that bends downwards explains the heap about as well. */
function isParabola(
  bytes: Float64Array,
  times: Float64Array,
  others: readonly Float64Array[],
  best: Fit,
): boolean {
  const squares = times.map((time) => time ** 2);
  const design = createDesign([...others, times, squares]);
  if (design === null) return false;
  const coefficients = fitCoefficients(design, bytes);
  const start = coefficients.at(-2) ?? 0;
  const bend = coefficients.at(-1) ?? 0;
  const t = bend / Math.max(lastStandardError(design, bytes, coefficients, LAGS), 1);
  return (
    t < BENDING_T &&
    start + 2 * bend < MIN_END_TO_START * start &&
    residualSumOfSquares(design, bytes, coefficients) <= MAX_RESIDUALS * best.residuals
  );
}

/**
 * Whether a curve like 1 - exp(-t), as of a cache that fills up, explains the heap better. A line with too much memory for each
 * connection can imitate such a curve while the connections rise and fall.
 */
const saturates = (points: readonly PostGcHeap[], times: Float64Array, best: Fit): boolean =>
  TIME_CONSTANTS.some((timeConstant) =>
    isExplainedBy(
      times.map((time) => 1 - Math.exp(-time / timeConstant)),
      points,
      best.residuals,
    ),
  );

/** In standard deviations from the mean. */
const scale = (counts: Float64Array): Float64Array =>
  relativeTo(counts, mean(counts), standardDeviation(counts) || 1);

/**
 * Whether the connections rise in nearly the same line as the leak. Their short variations, which memory follows late or
 * not at all, then decide the fit. The sum of connections over time is a bent line, so it is never the same.
 */
function isSameLine({ progress: { shares, isBent } }: Fit, points: readonly PostGcHeap[]): boolean {
  const counts = Float64Array.from(points, ({ meanResponsive }) => meanResponsive);
  return !isBent && correlation(counts, shares) ** 2 > MAX_SHARED_VARIANCE;
}

/** Whether the heap grows by more than the connections could explain if all of it belonged to them. */
function growsFaster(points: readonly PostGcHeap[]): boolean {
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined) return false;
  const explained = first.bytes * (last.meanResponsive / Math.max(first.meanResponsive, 1));
  return last.bytes - explained > MIN_UNEXPLAINED * (last.bytes - first.bytes);
}

function correlation(a: Float64Array, b: Float64Array): number {
  const meanA = mean(a);
  const meanB = mean(b);
  const covariance =
    a.reduce((sum, value, i) => sum + (value - meanA) * ((b[i] ?? 0) - meanB), 0) / (a.length - 1);
  return covariance / (standardDeviation(a) * standardDeviation(b));
}

interface Fit extends Explanation {
  readonly t: number;
  readonly residuals: number;
}

const smallest = (fits: readonly (Fit | null)[]): Fit | null =>
  fits.reduce(
    (best, fit) => (best === null || (fit !== null && fit.residuals < best.residuals) ? fit : best),
    null,
  );

/** Null where connections and progress are the same line. */
function fitWithConnections(bytes: Float64Array, counts: Float64Array, progress: Progress): Fit | null {
  const deviation = standardDeviation(counts) || 1;
  const center = mean(counts);
  const design = createDesign([onesFor(bytes), scale(counts), progress.shares]);
  if (design === null) return null;
  const coefficients = fitCoefficients(design, bytes);
  const perConnection = (coefficients[1] ?? 0) / deviation;
  const error = lastStandardError(design, bytes, coefficients, LAGS);
  // A connection frees no memory, and all connections together need no more than the heap.
  const most = bytes.reduce((low, value, i) => Math.min(low, value / Math.max(1, counts[i] ?? 0)), Infinity);
  const bounded = Math.min(Math.max(0, perConnection), most);
  const unexplained = bytes.map((value, i) => value - bounded * ((counts[i] ?? 0) - center));
  if (bounded !== perConnection) {
    const rest = fitAlone(unexplained, progress);
    // The error of the fit with connections stays: it says how well the two can be told apart.
    return rest === null ? null : { ...rest, t: Math.min(rest.t, rest.riseBytes / Math.max(error, 1)) };
  }
  const riseBytes = coefficients[2] ?? 0;
  const residuals = residualSumOfSquares(design, bytes, coefficients);
  return { riseBytes, t: riseBytes / Math.max(error, 1), progress, unexplained, residuals };
}

function fitAlone(bytes: Float64Array, progress: Progress): Fit | null {
  const design = createDesign([onesFor(bytes), progress.shares]);
  if (design === null) return null;
  const coefficients = fitCoefficients(design, bytes);
  const riseBytes = coefficients[1] ?? 0;
  const error = lastStandardError(design, bytes, coefficients, LAGS);
  const residuals = residualSumOfSquares(design, bytes, coefficients);
  return { riseBytes, t: riseBytes / Math.max(error, 1), progress, unexplained: bytes, residuals };
}

function progressesOf(points: readonly PostGcHeap[], connectionsRose: boolean): Progress[] {
  const progresses = [{ shares: sharesOf(points, ({ atMs }) => atMs), isBent: false }];
  if (connectionsRose)
    progresses.push({ shares: sharesOf(points, ({ connectionMs }) => connectionMs), isBent: true });
  const closed = (points.at(-1)?.closedTotal ?? Number.NaN) - (points[0]?.closedTotal ?? Number.NaN);
  const byClosed = sharesOf(points, ({ closedTotal }) => closedTotal);
  const isSpread = byClosed.every((share, i) => share - (byClosed[i - 1] ?? 0) <= MAX_SHARE_OF_STEP);
  if (closed >= MIN_CLOSED && isSpread) progresses.push({ shares: byClosed, isBent: false });
  return progresses;
}

function sharesOf(points: readonly PostGcHeap[], valueOf: (point: PostGcHeap) => number): Float64Array {
  const values = columnOf(points, valueOf);
  const first = values[0] ?? 0;
  const total = (values.at(-1) ?? 0) - first || 1;
  return relativeTo(values, first, total);
}

interface Load {
  readonly counts: Float64Array;
  readonly varies: boolean;
  readonly rose: boolean;
}

const loadsOf = (points: readonly PostGcHeap[]): Load[] => [
  loadOf(points, ({ responsive }) => responsive),
  loadOf(points, ({ meanResponsive }) => meanResponsive),
];

function loadOf(points: readonly PostGcHeap[], countOf: (point: PostGcHeap) => number): Load {
  const counts = columnOf(points, countOf);
  const deviation = hasMissing(counts) ? 0 : standardDeviation(counts);
  const varies = deviation > MIN_VARIATION * mean(counts) && deviation > 0;
  const rose = varies && (counts.at(-1) ?? 0) > (1 + MIN_VARIATION) * (counts[0] ?? 0);
  return { counts, varies, rose };
}
