/**
 * The reference values come from NumPy 2.4.6, SciPy and statsmodels for the series below: `np.quantile`, `np.std(ddof=1)`,
 * `scipy.stats.theilslopes(y, x, 0.8)`, `scipy.stats.t.ppf(0.995, df)`, and
 * `sm.OLS(y, X).fit().get_robustcov_results('HAC', maxlags=4, use_correction=False)`.
 */
import fc from 'fast-check';
import {
  createDesign,
  rangeOf,
  fitCoefficient,
  fitCoefficients,
  lastStandardError,
  mean,
  median,
  medianOfRows,
  quantile,
  residualSumOfSquares,
  standardDeviation,
  student995,
  theilSen,
} from '../../../src/detect/statistics.ts';

const TIMES = Float64Array.from({ length: 16 }, (_, i) => i * 30_000);
const VALUES = Float64Array.of(40, 43, 41, 47, 52, 49, 58, 55, 61, 90, 64, 70, 69, 75, 73, 81);
const CONNECTIONS = Float64Array.of(
  500,
  507,
  498,
  515,
  520,
  509,
  530,
  522,
  541,
  538,
  549,
  560,
  551,
  570,
  566,
  580,
);
/** Residuals that are correlated in time. */
const BENT = Float64Array.of(40, 50, 60, 70, 80, 85, 88, 90, 91, 92, 91, 90, 88, 85, 80, 70);
const ONE = TIMES.map(() => 1);
const TAU = TIMES.map((_, i) => i / 15);

const designOf = (...columns: Float64Array[]) => {
  const design = createDesign(columns);
  if (design === null) throw new Error('the columns are collinear');
  return design;
};

test('quantiles interpolate between ranks', () => {
  expect([0, 0.1, 0.5, 0.9, 1].map((q) => quantile(VALUES, q))).toEqual([40, 42, 59.5, 78, 90]);
  expect(median([3, 1, 2])).toBe(2);
  expect(median([])).toBeNaN();
});

test('mean and standard deviation', () => {
  expect(mean(VALUES)).toBe(60.5);
  expect(standardDeviation(VALUES)).toBeCloseTo(14.97108323847454, 12);
  expect(mean([])).toBeNaN();
  expect(standardDeviation([7])).toBe(0);
});

test('medianOfRows equals the median of the difference, for every range', () => {
  const scratch = new Float64Array(64);
  const numbers = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(numbers, fc.double({ min: -3, max: 3, noNaN: true }), fc.nat(39), (list, factor, start) => {
      const values = Float64Array.from(list);
      const others = values.map((value, i) => value + i);
      const from = start % list.length;
      const expected = median(values.map((value, i) => value - factor * (others[i] ?? 0)).slice(from));
      const rows = medianOfRows({ values, factor, others }, from, list.length, scratch);
      expect(rows).toBeCloseTo(expected, 9);
    }),
  );
});

test('Theil-Sen: slope and its 80 % range', () => {
  const slope = theilSen(TIMES, VALUES);
  expect(slope?.perMs).toBeCloseTo(8.987179487179487e-5, 15);
  // SciPy rounds the ranks of the range up to one rank further out.
  expect(slope?.lowPerMs).toBeGreaterThanOrEqual(8.148148148148148e-5);
  expect(slope?.lowPerMs).toBeLessThan(8.3e-5);
  expect(slope?.highPerMs).toBeLessThanOrEqual(9.583333333333334e-5);
  expect(slope?.highPerMs).toBeGreaterThan(9.4e-5);
});

test('Theil-Sen: one outlier in four changes little', () => {
  const line = Float64Array.from(TIMES, (time, i) => time * 2 + (i % 4 === 3 ? 1e9 : 0));
  expect(theilSen(TIMES, line)?.perMs).toBeCloseTo(2, 6);
});

test('Theil-Sen: null with too few points, without duration, and below the minimum', () => {
  expect(theilSen([0, 1], [0, 1])).toBeNull();
  expect(theilSen([5, 5, 5, 5], [1, 2, 3, 4])).toBeNull();
  expect(theilSen(TIMES, VALUES, 9e-5)).toBeNull();
  expect(theilSen(TIMES, VALUES, 8.9e-5)).toEqual(theilSen(TIMES, VALUES));
});

test('Theil-Sen of a straight line is its slope, also of more points than it uses', () => {
  const points = fc.integer({ min: 3, max: 120 });
  fc.assert(
    fc.property(points, fc.integer({ min: -50, max: 50 }), fc.integer(), (n, perMs, offset) => {
      const times = Array.from({ length: n }, (_, i) => i * 7);
      const slope = theilSen(
        times,
        times.map((time) => offset + perMs * time),
      );
      expect(slope?.perMs).toBeCloseTo(perMs, 6);
      expect(slope?.lowPerMs).toBeCloseTo(perMs, 6);
      expect(slope?.highPerMs).toBeCloseTo(perMs, 6);
    }),
  );
});

test('least squares with one and with two regressors beside the constant', () => {
  const alone = designOf(ONE, TAU);
  const [constant, trend] = fitCoefficients(alone, VALUES);
  expect(constant).toBeCloseTo(39.76470588235298, 9);
  expect(trend).toBeCloseTo(41.4705882352941, 9);
  expect(residualSumOfSquares(alone, VALUES, Float64Array.of(constant ?? 0, trend ?? 0))).toBeCloseTo(
    763.1764705882356,
    8,
  );

  const deviation = standardDeviation(CONNECTIONS);
  const scaled = CONNECTIONS.map((count) => (count - mean(CONNECTIONS)) / deviation);
  const both = designOf(ONE, scaled, TAU);
  const coefficients = fitCoefficients(both, VALUES);
  expect(coefficients[0]).toBeCloseTo(43.238771808799875, 7);
  expect(coefficients[1]).toBeCloseTo(2.2783521847217276, 7);
  expect(coefficients[2]).toBeCloseTo(34.52245638240032, 7);
  expect(fitCoefficient(both, VALUES, 2)).toBe(coefficients[2]);
  expect(fitCoefficient(both, VALUES, 3)).toBe(0);
  expect(residualSumOfSquares(both, VALUES, coefficients)).toBeCloseTo(758.2643507499165, 7);
});

test('standard error: Newey-West where noise is correlated in time, else the classical one', () => {
  const design = designOf(ONE, TAU);
  const error = (values: Float64Array): number =>
    lastStandardError(design, values, fitCoefficients(design, values), 4);
  // statsmodels: classical 6.006, HAC 2.957.
  expect(error(VALUES)).toBeCloseTo(6.006206626691355, 9);
  // statsmodels: classical 10.622, HAC 16.480.
  expect(error(BENT)).toBeCloseTo(16.479848452658114, 9);
  expect(error(TAU)).toBeCloseTo(0, 9);
});

test('collinear regressors have no design', () => {
  expect(createDesign([ONE, TAU, TAU.map((value) => 2 * value + 1)])).toBeNull();
});

test.each([
  [4, 4.604094871349992],
  [5, 4.032142983555228],
  [8, 3.355387331333395],
  [12, 3.0545395893929013],
  [30, 2.7499956535672254],
  [100, 2.6258905214380173],
])('99 %% quantile of Student t with %i degrees of freedom: within 2 %%', (degrees, expected) => {
  expect(Math.abs(student995(degrees) / expected - 1)).toBeLessThan(0.02);
});

test('rangeOf is NaN when a value is missing', () => {
  expect(rangeOf(Float64Array.of(3, 1, 2))).toBe(2);
  for (const missing of [0, 1, 2])
    expect(rangeOf(Float64Array.of(3, 1, 2).fill(Number.NaN, missing, missing + 1))).toBeNaN();
});
