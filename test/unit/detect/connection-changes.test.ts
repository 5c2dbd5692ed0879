import fc from 'fast-check';
import { ConnectionChanges } from '../../../src/detect/connection-changes.ts';
import { MINUTE } from '../../support/run.ts';

const OPENED = [30, 38, 41, 52, 60, 63, 71, 84, 90, 95, 107, 110];
const CLOSED = [0, 2, 7, 9, 15, 15, 20, 26, 31, 34, 35, 42];

const rowsOf = (opened: readonly number[], closed: readonly number[]) => ({
  timesMs: Float64Array.from(opened, (_, index) => index * MINUTE),
  openedTotal: Float64Array.from(opened),
  closedTotal: Float64Array.from(closed),
  fromRow: 0,
});

const changesOf = (values: readonly number[], maxDelayMs = 0) =>
  ConnectionChanges.create(rowsOf(OPENED, CLOSED))?.fit(Float64Array.from(values))?.changes(maxDelayMs);

test('a listener per connection that is removed at close leaks nothing', () => {
  const changes = changesOf(OPENED.map((opened, index) => opened - (CLOSED[index] ?? 0)));
  expect(changes?.addedPerOpened).toBeCloseTo(1, 9);
  expect(changes?.removedPerClosed).toBeCloseTo(1, 9);
  expect(changes?.leaked).toBeCloseTo(0, 9);
  expect(changes?.closed).toBe(42);
});

test('a listener per connection that is never removed leaks one per closed connection', () => {
  const changes = changesOf(OPENED);
  expect(changes?.removedPerClosed).toBeCloseTo(0, 9);
  expect(changes?.leaked).toBeCloseTo(42, 9);
  expect(changes?.t).toBeGreaterThan(6);
});

test('coefficients and standard error are those of NumPy', () => {
  // dy = diff(values), X = c_[diff(opened), -diff(closed), ones]; b = lstsq(X, dy); w = [42, -42, 11];
  // leaked = (b[0] - b[1]) * 42 + b[2] * 11; error = sqrt(w @ inv(X.T @ X) @ w * (residual @ residual) / 8).
  const changes = changesOf([30, 37, 36, 46, 48, 52, 56, 64, 66, 67, 79, 77]);
  expect(changes?.addedPerOpened).toBeCloseTo(0.999702076, 6);
  expect(changes?.removedPerClosed).toBeCloseTo(0.950894418, 6);
  expect(changes?.leaked).toBeCloseTo(9.011321097, 6);
  const { leaked = 0, leakedError = 0, t = 0 } = changes ?? {};
  expect(leaked / leakedError).toBeCloseTo(2.313782565, 6);
  // The connections grow, and a part of the entries may have been read late.
  expect(t).toBeLessThan(leaked / leakedError);
});

test('entries that are removed three minutes late are no leak when the delay allows it', () => {
  const sessions = OPENED.map((opened, index) => opened - (CLOSED[index - 3] ?? 0));
  expect(changesOf(sessions, 0)?.leaked).toBeGreaterThan(
    changesOf(sessions, 5 * MINUTE)?.leaked ?? Number.NaN,
  );
  expect(changesOf(sessions, 5 * MINUTE)?.t).toBeLessThan(6);
});

test('connections that open and close at a constant rate explain nothing', () => {
  const constant = OPENED.map((_, index) => 30 + 8 * index);
  expect(
    ConnectionChanges.create(
      rowsOf(
        constant,
        constant.map((_, index) => 4 * index),
      ),
    ),
  ).toBeNull();
});

test('where each closed connection is replaced at once, the leak is certain and the rates are not', () => {
  const closed = OPENED.map((total, index) => total - 30 - (index % 2));
  const noise = [0, 1, 0, 0, -1, 0, 1, 0, 0, -1, 0, 1];
  const values = OPENED.map((total, index) => total + (noise[index] ?? 0));
  const changes = ConnectionChanges.create(rowsOf(OPENED, closed))
    ?.fit(Float64Array.from(values))
    ?.changes(0);
  expect(changes?.ratesError).toBeGreaterThan(0.2);
  expect(changes?.leaked).toBeGreaterThan(75);
  expect(changes?.t).toBeGreaterThan(6);
  expect(changesOf(OPENED)?.ratesError).toBeLessThan(0.05);
});

describe('entries that seem to come with time', () => {
  const MINUTES = 40;
  /** One connection in eight is counted before its entry. A late cleanup is the noise of the count. */
  const tOf = (opens: (minute: number) => number, noiseOfCount: number): number => {
    let [opened, closed] = [30, 0];
    const totals = Array.from({ length: MINUTES }, (_, minute) => {
      opened += opens(minute);
      closed += (minute * 7) % 4;
      const early = minute % 8 === 0 ? 1 : 0;
      const noise = noiseOfCount * ([0, 1, -1, 0, -1, 1][minute % 6] ?? 0);
      return { opened: opened + early, closed, entries: opened - closed + minute + noise };
    });
    const rows = rowsOf(
      totals.map((total) => total.opened),
      totals.map((total) => total.closed),
    );
    const values = Float64Array.from(totals, ({ entries }) => entries);
    return ConnectionChanges.create(rows)?.fit(values)?.changes(0).t ?? Number.NaN;
  };

  test('connections that open at a constant pace may have all of them', () => {
    expect(tOf(() => 3, 0)).toBeLessThan(3);
  });

  test('connections that open at a random pace have few of them, also where the count is noisy', () => {
    const random = (minute: number): number => (minute * 37) % 11;
    expect(tOf(random, 0)).toBeGreaterThan(6);
    expect(tOf(random, 1)).toBeGreaterThan(3);
  });
});

test('too few rows explain nothing', () => {
  expect(ConnectionChanges.create(rowsOf(OPENED.slice(0, 7), CLOSED.slice(0, 7)))).toBeNull();
});

test('a missing value in a row of the regression gives no fit, and a regression without that row does', () => {
  const values = Float64Array.from(OPENED);
  values[4] = Number.NaN;
  expect(ConnectionChanges.create(rowsOf(OPENED, CLOSED))?.fit(values)).toBeNull();
  const withoutRow = ConnectionChanges.create(rowsOf(OPENED, CLOSED), values)?.fit(values);
  expect(withoutRow?.changes(0).removedPerClosed).toBeCloseTo(0, 9);
});

test('any number of entries per connection, any share of leaks: the estimate is exact without noise', () => {
  const traffic = fc.array(fc.tuple(fc.nat(30), fc.nat(30)), { minLength: 12, maxLength: 40 });
  fc.assert(
    fc.property(traffic, fc.integer({ min: 1, max: 10 }), fc.nat(100), (steps, perConnection, share) => {
      let [opened, closed] = [100, 0];
      const totals = steps.map(([more, fewer]) => [(opened += more), (closed += fewer)] as const);
      const changes = ConnectionChanges.create(
        rowsOf(
          totals.map(([total]) => total),
          totals.map(([, total]) => total),
        ),
      );
      fc.pre(changes !== null);
      const kept = (perConnection * share) / 100;
      const values = totals.map(([o, c]) => perConnection * o - (perConnection - kept) * c);
      const result = changes?.fit(Float64Array.from(values))?.changes(0);
      const closedInWindow = (totals.at(-1)?.[1] ?? 0) - (totals[0]?.[1] ?? 0);
      expect(result?.addedPerOpened).toBeCloseTo(perConnection, 4);
      expect(result?.leaked).toBeCloseTo(kept * closedInWindow, 3);
    }),
  );
});
