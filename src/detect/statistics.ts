/**
 * Order statistics and small linear regressions. Callers remove values that are not finite first. They are loops, because
 * V8 compiles a callback only after hours of evaluations.
 */

export type Numbers = ArrayLike<number>;

export function median(values: Numbers): number {
  return quantile(values, 0.5);
}

/** Linear interpolation between the closest ranks. `NaN` without values. */
export function quantile(values: Numbers, q: number): number {
  const sorted = new Float64Array(values).sort();
  if (sorted.length === 0) return Number.NaN;
  const position = (sorted.length - 1) * q;
  const below = Math.floor(position);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? low;
  return low + (high - low) * (position - below);
}

/** Values minus a multiple of others. */
export interface Difference {
  readonly values: Float64Array;
  readonly factor: number;
  readonly others: Float64Array;
}

/**
 * Median of the rows from `from` up to, and without, `to`. It sorts in `scratch` and does not allocate, because the
 * detectors need hundreds of them per evaluation. Rows that do not fit into `scratch` are ignored.
 */
export function medianOfRows(
  { values, factor, others }: Difference,
  from: number,
  to: number,
  scratch: Float64Array,
): number {
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

/** The difference of the largest and the smallest value. `NaN` when one is missing. */
export function rangeOf(values: Float64Array): number {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] ?? 0;
    // Both are NaN from the first NaN on.
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return high - low;
}

export const hasMissing = (values: Float64Array): boolean => Number.isNaN(rangeOf(values));

export const isNumber = (value: number): boolean => !Number.isNaN(value);

/** The values themselves when none is missing: a copy needs memory outside V8's heap. */
export const withoutMissing = (values: Float64Array): Float64Array =>
  hasMissing(values) ? values.filter(isNumber) : values;

export function smallest(values: Float64Array): number {
  let low = Number.POSITIVE_INFINITY;
  for (let row = 0; row < values.length; row += 1) low = Math.min(low, values[row] ?? low);
  return low;
}

/** One number of each point. */
export function columnOf<P>(points: readonly P[], numberOf: (point: P) => number): Float64Array {
  const column = new Float64Array(points.length);
  let row = 0;
  for (const point of points) {
    column[row] = numberOf(point);
    row += 1;
  }
  return column;
}

/** The distance of each value from an origin, in these units. */
export function relativeTo(values: Float64Array, origin: number, unit: number): Float64Array {
  const distances = new Float64Array(values.length);
  for (let row = 0; row < values.length; row += 1) distances[row] = ((values[row] ?? 0) - origin) / unit;
  return distances;
}

/** The regressor of the constant. */
export const onesFor = (values: Float64Array): Float64Array => new Float64Array(values.length).fill(1);

/** `NaN` without values. */
export function mean(values: Numbers): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i] ?? 0;
  return values.length === 0 ? Number.NaN : sum / values.length;
}

/** Sample standard deviation; 0 with fewer than two values. */
export function standardDeviation(values: Numbers): number {
  const center = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += ((values[i] ?? 0) - center) ** 2;
  return values.length < 2 ? 0 : Math.sqrt(sum / (values.length - 1));
}

export interface Slope {
  readonly perMs: number;
  /** 80 % confidence range of the slope, by ranks (Sen 1968). */
  readonly lowPerMs: number;
  readonly highPerMs: number;
}

/** The number of pairs grows with the square. 32 evenly spread points, the newest included, give the same slope. */
const MAX_POINTS = 32;
/** Quantile of the normal distribution for an 80 % range. */
const Z_80 = 1.2816;

/**
 * Theil-Sen slope: the median of the slopes of all pairs, which one outlier in four changes little. Null with fewer than
 * three points, and below `minPerMs`: that needs counting and no sorting.
 */
export function theilSen(timesMs: Numbers, values: Numbers, minPerMs = -Infinity): Slope | null {
  const available = timesMs.length;
  if (available < 3) return null;
  const n = Math.min(available, MAX_POINTS);
  const slopes = new Float64Array((n * (n - 1)) / 2);
  const pointTimes = new Float64Array(n);
  const pointValues = new Float64Array(n);
  let count = 0;
  let below = 0;
  for (let i = 0; i < n; i += 1) {
    const index = available - 1 - Math.floor(((n - 1 - i) * (available - 1)) / (n - 1));
    const time = (pointTimes[i] = timesMs[index] ?? 0);
    const value = (pointValues[i] = values[index] ?? 0);
    for (let j = 0; j < i; j += 1) {
      const duration = time - (pointTimes[j] ?? 0);
      if (!(duration > 0)) continue;
      const slope = (value - (pointValues[j] ?? 0)) / duration;
      slopes[count] = slope;
      count += 1;
      if (slope < minPerMs) below += 1;
    }
  }
  if (count < 3 || below > count / 2) return null;
  const sorted = slopes.subarray(0, count).sort();
  const halfRange = (Z_80 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18)) / 2;
  const atRank = (rank: number): number => sorted[Math.min(count - 1, Math.max(0, Math.round(rank)))] ?? 0;
  const perMs = (atRank(Math.floor((count - 1) / 2)) + atRank(Math.ceil((count - 1) / 2))) / 2;
  if (perMs < minPerMs) return null;
  return {
    perMs,
    lowPerMs: atRank(count / 2 - halfRange - 0.5),
    highPerMs: atRank(count / 2 + halfRange - 0.5),
  };
}

/** Up to three regressors, with the matrices that every fit over them shares. */
export interface Design {
  readonly columns: readonly Float64Array[];
  /** (X'X)^-1 X', one row per coefficient: a product with the values gives the coefficient. */
  readonly solver: readonly Float64Array[];
  /** Last cell of (X'X)^-1: the variance of the last coefficient when the residuals have a variance of 1. */
  readonly lastVariance: number;
  readonly rows: number;
}

/** Null when the regressors are collinear. */
export function createDesign(columns: readonly Float64Array[]): Design | null {
  const rows = columns[0]?.length ?? 0;
  const inverse = invertGram(columns);
  if (inverse === null) return null;
  const n = columns.length;
  const solver = columns.map((_, i) => weightedSum(columns, inverse, (2 * i + 1) * n));
  return { columns, solver, lastVariance: inverse.at(-1) ?? 0, rows };
}

/** Coefficients of the ordinary least squares fit. */
export function fitCoefficients({ solver }: Design, y: Float64Array): Float64Array {
  const coefficients = new Float64Array(solver.length);
  for (let i = 0; i < coefficients.length; i += 1) coefficients[i] = dot(solver[i] ?? y, y);
  return coefficients;
}

/** One coefficient of that fit. */
export const fitCoefficient = ({ solver }: Design, y: Float64Array, index: number): number => {
  const row = solver[index];
  return row === undefined ? 0 : dot(row, y);
};

export function residualSumOfSquares(
  { columns, rows }: Design,
  y: Float64Array,
  coefficients: Float64Array,
): number {
  let squares = 0;
  for (let t = 0; t < rows; t += 1) {
    const residual = (y[t] ?? 0) - fittedAt(columns, coefficients, t);
    squares += residual * residual;
  }
  return squares;
}

/**
 * Standard error of the last coefficient: Newey-West with Bartlett weights, and at least the classical one. Noise that
 * is correlated in time makes the classical error too small.
 */
export function lastStandardError(
  design: Design,
  y: Float64Array,
  coefficients: Float64Array,
  lags: number,
): number {
  const { rows, columns } = design;
  const weights = design.solver.at(-1) ?? y;
  // The latest scores, newest first, and for each lag the sum of the products of two scores. A list of all scores was a
  // fifth of the garbage of an evaluation.
  const latest = new Float64Array(lags);
  const products = new Float64Array(lags);
  let squares = 0;
  let variance = 0;
  for (let t = 0; t < rows; t += 1) {
    const residual = (y[t] ?? 0) - fittedAt(columns, coefficients, t);
    const score = residual * (weights[t] ?? 0);
    squares += residual * residual;
    variance += score * score;
    for (let i = lags - 1; i >= 0; i -= 1) {
      products[i] = (products[i] ?? 0) + score * (latest[i] ?? 0);
      latest[i] = i === 0 ? score : (latest[i - 1] ?? 0);
    }
  }
  for (let lag = 1; lag <= lags; lag += 1) variance += 2 * (1 - lag / (lags + 1)) * (products[lag - 1] ?? 0);
  const classical = (squares / Math.max(1, rows - columns.length)) * design.lastVariance;
  return Math.sqrt(Math.max(variance, classical, 0));
}

/** Two-sided 99 % quantile of Student's t by the Cornish-Fisher expansion: within 2 % from 4 degrees of freedom on. */
export function student995(degreesOfFreedom: number): number {
  const z = 2.5758;
  const v = Math.max(2, degreesOfFreedom);
  return (
    z +
    (z ** 3 + z) / (4 * v) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * v ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * v ** 3)
  );
}

/** The weights start at `from`. */
function weightedSum(columns: readonly Float64Array[], weights: Float64Array, from: number): Float64Array {
  const sums = new Float64Array(columns[0]?.length ?? 0);
  for (let j = 0; j < columns.length; j += 1) {
    const column = columns[j] ?? sums;
    const weight = weights[from + j] ?? 0;
    for (let t = 0; t < sums.length; t += 1) sums[t] = (sums[t] ?? 0) + weight * (column[t] ?? 0);
  }
  return sums;
}

function fittedAt(columns: readonly Float64Array[], coefficients: Float64Array, row: number): number {
  let sum = 0;
  for (let j = 0; j < columns.length; j += 1) {
    // `columns[j]?.[row]` may be undefined, so V8 would allocate a number for each value.
    const column = columns[j] ?? coefficients;
    sum += (coefficients[j] ?? 0) * (column[row] ?? 0);
  }
  return sum;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/**
 * (X'X)^-1 by Gauss-Jordan elimination with pivoting, in the right half of rows of 2n cells. Null for a singular matrix. One
 * typed array keeps the compiled code valid: plain arrays of whole numbers and of fractions have different representations.
 */
function invertGram(columns: readonly Float64Array[]): Float64Array | null {
  const n = columns.length;
  const width = 2 * n;
  const work = new Float64Array(n * width);
  columns.forEach((a, i) => {
    work[i * width + n + i] = 1;
    for (let j = 0; j <= i; j += 1) {
      const product = dot(a, columns[j] ?? a);
      work[i * width + j] = product;
      work[j * width + i] = product;
    }
  });
  for (let column = 0; column < n; column += 1) {
    const pivot = pivotRow(work, width, column);
    const divisor = work[pivot * width + column] ?? 0;
    if (!(Math.abs(divisor) > 1e-9)) return null;
    for (let cell = 0; cell < width; cell += 1) {
      const value = work[pivot * width + cell] ?? 0;
      work[pivot * width + cell] = work[column * width + cell] ?? 0;
      work[column * width + cell] = value / divisor;
    }
    for (let row = 0; row < n; row += 1) if (row !== column) eliminate(work, { width, row, column });
  }
  return work;
}

/** The row with the largest number in this column, of those that are not done. */
function pivotRow(work: Float64Array, width: number, column: number): number {
  let pivot = column;
  for (let row = column + 1; row * width < work.length; row += 1)
    if (Math.abs(work[row * width + column] ?? 0) > Math.abs(work[pivot * width + column] ?? 0)) pivot = row;
  return pivot;
}

function eliminate(
  work: Float64Array,
  { width, row, column }: { readonly width: number; readonly row: number; readonly column: number },
): void {
  const factor = work[row * width + column] ?? 0;
  for (let cell = 0; cell < width; cell += 1)
    work[row * width + cell] = (work[row * width + cell] ?? 0) - factor * (work[column * width + cell] ?? 0);
}
