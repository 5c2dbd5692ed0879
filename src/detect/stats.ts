/** Order statistics and small regressions. Callers drop what is not finite before they come here. */

export type Numbers = ArrayLike<number>;

export function median(values: Numbers): number {
  return quantile(values, 0.5);
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

/** Median of the slopes of all pairs: one outlier in four changes little. Null with fewer than three points. */
export function theilSen(timesMs: Numbers, values: Numbers): Slope | null {
  const n = timesMs.length;
  if (n < 3) return null;
  const slopes: number[] = [];
  for (let i = 0; i < n; i += 1) {
    for (let j = i + 1; j < n; j += 1) {
      const run = (timesMs[j] ?? 0) - (timesMs[i] ?? 0);
      if (run > 0) slopes.push(((values[j] ?? 0) - (values[i] ?? 0)) / run);
    }
  }
  if (slopes.length < 3) return null;
  const sorted = Float64Array.from(slopes).sort();
  const half = (1.2816 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18)) / 2;
  const middle = sorted.length / 2;
  const pick = (rank: number): number =>
    sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(rank)))] ?? 0;
  return { perMs: median(sorted), lowPerMs: pick(middle - half - 0.5), highPerMs: pick(middle + half - 0.5) };
}

/** Up to three regressors with what every fit over them shares: the inverse of X'X. */
export interface Design {
  readonly columns: readonly Float64Array[];
  readonly inverse: readonly (readonly number[])[];
  readonly rows: number;
}

/** Null when the regressors are collinear. */
export function design(columns: readonly Float64Array[]): Design | null {
  const rows = columns[0]?.length ?? 0;
  const gram = columns.map((a) => columns.map((b) => dot(a, b)));
  const inverse = invert(gram);
  return inverse === null ? null : { columns, inverse, rows };
}

export interface Fit {
  readonly coefficients: readonly number[];
  /** Standard error of the last coefficient: Newey-West with the classical one as its floor. */
  readonly lastError: number;
}

/** Ordinary least squares. Only the last coefficient's error is computed: scores of one column, one pass a lag. */
export function fit(x: Design, y: Float64Array, lags: number): Fit {
  const k = x.columns.length;
  const right = x.columns.map((column) => dot(column, y));
  const coefficients = x.inverse.map((row) => row.reduce((sum, cell, i) => sum + cell * (right[i] ?? 0), 0));
  const last = x.inverse[k - 1] ?? [];
  const scores = new Float64Array(x.rows);
  let squares = 0;
  for (let t = 0; t < x.rows; t += 1) {
    let residual = y[t] ?? 0;
    let weight = 0;
    for (let j = 0; j < k; j += 1) {
      const cell = x.columns[j]?.[t] ?? 0;
      residual -= (coefficients[j] ?? 0) * cell;
      weight += (last[j] ?? 0) * cell;
    }
    squares += residual * residual;
    scores[t] = residual * weight;
  }
  let variance = dot(scores, scores);
  for (let lag = 1; lag <= lags; lag += 1) {
    let sum = 0;
    for (let t = lag; t < x.rows; t += 1) sum += (scores[t] ?? 0) * (scores[t - lag] ?? 0);
    variance += 2 * (1 - lag / (lags + 1)) * sum;
  }
  const classical = (squares / Math.max(1, x.rows - k)) * (last[k - 1] ?? 0);
  return { coefficients, lastError: Math.sqrt(Math.max(variance, classical, 0)) };
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
