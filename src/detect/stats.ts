/** Order statistics and small regressions. Callers drop what is not finite before they come here. */

export type Numbers = ArrayLike<number>;

export function median(values: Numbers): number {
  return quantile(values, 0.5);
}

const scratch = new Float64Array(64);

/** Values with a multiple of others taken out. */
export interface Net {
  readonly values: Float64Array;
  readonly factor: number;
  readonly others: Float64Array;
}

/** Of a few values, without allocating: the detectors ask for two or more of them a series and tick. */
export function medianOfFew({ values, factor, others }: Net, from: number, to: number): number {
  const count = Math.min(to - from, scratch.length);
  for (let i = 0; i < count; i += 1) {
    const value = (values[from + i] ?? 0) - factor * (others[from + i] ?? 0);
    let slot = i;
    for (; slot > 0 && (scratch[slot - 1] ?? 0) > value; slot -= 1) scratch[slot] = scratch[slot - 1] ?? 0;
    scratch[slot] = value;
  }
  const low = scratch[Math.floor((count - 1) / 2)] ?? Number.NaN;
  return (low + (scratch[Math.ceil((count - 1) / 2)] ?? Number.NaN)) / 2;
}

export function quantile(values: Numbers, q: number): number {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? low;
  return low + (high - low) * (at - below);
}

export function mean(values: Numbers): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i] ?? 0;
  return values.length === 0 ? Number.NaN : sum / values.length;
}

export function deviation(values: Numbers): number {
  const middle = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += ((values[i] ?? 0) - middle) ** 2;
  return values.length < 2 ? 0 : Math.sqrt(sum / (values.length - 1));
}

export interface Slope {
  readonly perMs: number;
  /** 80 % range of the slope, by ranks (Sen 1968). */
  readonly lowPerMs: number;
  readonly highPerMs: number;
}

/** Pairs grow with the square: so many points, spread evenly and with the newest, say the same. */
const MAX_POINTS = 32;
// Used again by each call: V8 takes the memory of each new array of this size from malloc.
const pointTimes = new Float64Array(MAX_POINTS);
const pointValues = new Float64Array(MAX_POINTS);
const slopes = new Float64Array((MAX_POINTS * (MAX_POINTS - 1)) / 2);

/**
 * Median of the slopes of all pairs: one outlier in four changes little. Null with fewer than three points, and where it
 * is less than what is asked for: that needs counting, not sorting.
 */
export function theilSen(timesMs: Numbers, values: Numbers, leastPerMs = -Infinity): Slope | null {
  const all = timesMs.length;
  if (all < 3) return null;
  const n = Math.min(all, MAX_POINTS);
  let count = 0;
  let less = 0;
  for (let i = 0; i < n; i += 1) {
    const at = all - 1 - Math.floor(((n - 1 - i) * (all - 1)) / (n - 1));
    const time = (pointTimes[i] = timesMs[at] ?? 0);
    const value = (pointValues[i] = values[at] ?? 0);
    for (let j = 0; j < i; j += 1) {
      const run = time - (pointTimes[j] ?? 0);
      if (!(run > 0)) continue;
      const slope = (value - (pointValues[j] ?? 0)) / run;
      slopes[count++] = slope;
      if (slope < leastPerMs) less += 1;
    }
  }
  if (count < 3 || less > count / 2) return null;
  const sorted = slopes.subarray(0, count).sort();
  const half = (1.2816 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18)) / 2;
  const pick = (rank: number): number => sorted[Math.min(count - 1, Math.max(0, Math.round(rank)))] ?? 0;
  const middle = (pick(Math.floor((count - 1) / 2)) + pick(Math.ceil((count - 1) / 2))) / 2;
  if (middle < leastPerMs) return null;
  return {
    perMs: middle,
    lowPerMs: pick(count / 2 - half - 0.5),
    highPerMs: pick(count / 2 + half - 0.5),
  };
}

/** Up to three regressors with what every fit over them shares. */
export interface Design {
  readonly columns: readonly Float64Array[];
  /** (X'X)^-1 X', a row a coefficient: one product with the values gives it. */
  readonly solver: readonly Float64Array[];
  /** The last cell of (X'X)^-1: the last coefficient's variance for residuals of variance 1. */
  readonly lastVariance: number;
  readonly rows: number;
}

/** Null when the regressors are collinear. */
export function design(columns: readonly Float64Array[]): Design | null {
  const rows = columns[0]?.length ?? 0;
  const gram = columns.map((a) => columns.map((b) => dot(a, b)));
  const inverse = invert(gram);
  if (inverse === null) return null;
  const solver = inverse.map((row) => combine(columns, row, rows));
  return { columns, solver, lastVariance: inverse.at(-1)?.at(-1) ?? 0, rows };
}

/** Ordinary least squares. */
export const coefficients = ({ solver }: Design, y: Float64Array): number[] =>
  solver.map((row) => dot(row, y));

/** One of them alone. */
export const coefficient = ({ solver }: Design, y: Float64Array, at: number): number => {
  const row = solver[at];
  return row === undefined ? 0 : dot(row, y);
};

export function residualSquares(
  { columns, rows }: Design,
  y: Float64Array,
  fitted: readonly number[],
): number {
  const left = combine(columns, fitted, rows).map((value, t) => (y[t] ?? 0) - value);
  return dot(left, left);
}

/** Standard error of the last coefficient: Newey-West (Bartlett) with the classical one as its floor. */
export function lastError(x: Design, y: Float64Array, fitted: readonly number[], lags: number): number {
  const { rows, columns } = x;
  const weights = x.solver.at(-1) ?? new Float64Array(rows);
  const scores = combine(columns, fitted, rows);
  let squares = 0;
  for (let t = 0; t < rows; t += 1) {
    const residual = (y[t] ?? 0) - (scores[t] ?? 0);
    squares += residual * residual;
    scores[t] = residual * (weights[t] ?? 0);
  }
  let variance = dot(scores, scores);
  for (let lag = 1; lag <= lags; lag += 1) {
    let sum = 0;
    for (let t = lag; t < rows; t += 1) sum += (scores[t] ?? 0) * (scores[t - lag] ?? 0);
    variance += 2 * (1 - lag / (lags + 1)) * sum;
  }
  const classical = (squares / Math.max(1, rows - columns.length)) * x.lastVariance;
  return Math.sqrt(Math.max(variance, classical, 0));
}

function combine(columns: readonly Float64Array[], by: readonly number[], rows: number): Float64Array {
  const sums = new Float64Array(rows);
  for (let j = 0; j < columns.length; j += 1) {
    const column = columns[j] ?? sums;
    const factor = by[j] ?? 0;
    for (let t = 0; t < rows; t += 1) sums[t] = (sums[t] ?? 0) + factor * (column[t] ?? 0);
  }
  return sums;
}

/** The two-sided 99 % point of Student's t (Cornish-Fisher; within 2 % from 4 degrees of freedom on). */
export function student995(freedom: number): number {
  const z = 2.5758;
  const v = Math.max(2, freedom);
  return (
    z +
    (z ** 3 + z) / (4 * v) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * v ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * v ** 3)
  );
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/** Gauss-Jordan with pivoting, for matrices of at most three rows. */
function invert(matrix: readonly (readonly number[])[]): number[][] | null {
  const n = matrix.length;
  const work = matrix.map((row, i) => [...row, ...matrix.map((_, j) => (i === j ? 1 : 0))]);
  for (let column = 0; column < n; column += 1) {
    const size = (row: number): number => Math.abs(work[row]?.[column] ?? 0);
    let pivot = column;
    for (let row = column; row < n; row += 1) if (size(row) > size(pivot)) pivot = row;
    if (!(size(pivot) > 1e-9)) return null;
    const top = work[pivot] ?? [];
    const head = top[column] ?? 1;
    work[pivot] = work[column] ?? [];
    const unit = top.map((cell) => cell / head);
    for (let row = 0; row < n; row += 1) work[row] = minus(work[row] ?? [], unit, column);
    work[column] = unit;
  }
  return work.map((row) => row.slice(n));
}

function minus(row: readonly number[], unit: readonly number[], column: number): number[] {
  const factor = row[column] ?? 0;
  return row.map((cell, j) => cell - factor * (unit[j] ?? 0));
}
