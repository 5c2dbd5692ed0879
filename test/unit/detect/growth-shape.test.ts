/** Shapes of growth that look like a leak in two numbers and are none. */
import fc from 'fast-check';
import { shapeOf, type Curve } from '../../../src/detect/growth-shape.ts';
import { MINUTE } from '../../support/run.ts';

const curveOf = (minutes: readonly number[], megabytesAt: (minute: number) => number): Curve => {
  const timesMs = Float64Array.from(minutes, (minute) => minute * MINUTE);
  const bytes = Float64Array.from(minutes, (minute) => megabytesAt(minute) * 1024 ** 2);
  const perMs = ((bytes.at(-1) ?? 0) - (bytes[0] ?? 0)) / ((timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0));
  return { timesMs, bytes, perMs };
};
const every = (period: number, until: number): number[] =>
  Array.from({ length: Math.floor(until / period) + 1 }, (_, i) => i * period);

test.each([3, 5, 10, 25])('a line has no shape, at one major GC per %i min', (period) => {
  expect(shapeOf(curveOf(every(period, 75), (minute) => 40 + minute))).toBeNull();
});

test('growth that speeds up has no shape', () => {
  expect(shapeOf(curveOf(every(6, 60), (minute) => 40 + 0.02 * minute ** 2))).toBeNull();
});

test.each([20, 40, 90])('an exponential with a time constant of %i min slows down within an hour', (tau) => {
  const warmUp = (minute: number): number => 40 + 200 * (1 - Math.exp(-minute / tau));
  expect(shapeOf(curveOf(every(6, 60), warmUp))).toBe('but it slows down');
});

test('growth that ended before the last third slows down', () => {
  expect(shapeOf(curveOf(every(6, 60), (minute) => 40 + 4 * Math.min(minute, 40)))).toBe('but it slows down');
});

test('tables that are loaded in three steps are never a line, whenever they are loaded', () => {
  const steps = fc.array(fc.double({ min: 1, max: 119, noNaN: true }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(steps, fc.constantFrom(8, 12, 20), (at, period) => {
      const loaded = (minute: number): number => 40 + 50 * at.filter((step) => step <= minute).length;
      expect(shapeOf(curveOf(every(period, 120), loaded))).not.toBeNull();
    }),
  );
});

test('a rise of which a large part came within a tenth of the time is a load', () => {
  const minutes = [0, 20, 40, 60, 64, 68, 90, 110];
  const withLoad = (share: number) => (minute: number) =>
    40 + 100 * ((1 - share) * (minute / 110) + share * Math.min(1, Math.max(0, (minute - 60) / 8)));
  expect(shapeOf(curveOf(minutes, withLoad(0.2)))).toBeNull();
  expect(shapeOf(curveOf(minutes, withLoad(0.4)))).toBe('but a large part of it came at once');
});

test('a line with noise of a tenth of its rise per major GC has no shape', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -0.3, max: 0.3, noNaN: true }), { minLength: 13, maxLength: 13 }),
      (noise) => {
        const line = (minute: number): number => 40 + minute / 2 + (noise[minute / 6] ?? 0);
        expect(shapeOf(curveOf(every(6, 72), line))).toBeNull();
      },
    ),
  );
});
