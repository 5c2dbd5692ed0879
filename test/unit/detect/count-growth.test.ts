import { CountWindow } from '../../../src/detect/count-growth.ts';
import { History } from '../../../src/detect/history.ts';
import { seriesColumn } from '../../../src/detect/sample-row.ts';
import { MINUTE, sampleAt, type Shape } from '../../support/run.ts';

const CLIENTS = seriesColumn('registry', 'clients', null);
const RULE = { minRise: 10, perConnection: true };

type Counts = Pick<Shape, 'connections' | 'closed'> & { readonly entries: number };

function countsOf(minutes: number, shape: (minute: number) => Counts, everyMs = 30_000): CountWindow {
  const history = new History();
  for (let atMs = 0; atMs <= minutes * MINUTE; atMs += everyMs) {
    const { entries, ...rest } = shape(atMs / MINUTE);
    const registries = [{ name: 'clients', entries, source: 'app' as const }];
    history.append(sampleAt(atMs / everyMs, atMs, { ...rest, more: { registries } }));
  }
  return new CountWindow(history);
}

test('the first verdict is possible 14 minutes after the start: 6 of warm-up and 8 of samples', () => {
  const leak = (minute: number): Counts => ({ entries: 500 + 10 * minute });
  expect(countsOf(13, leak).missing).toBe('1 more minute of samples');
  expect(countsOf(14, leak).missing).toBeNull();
});

test('a leak: its rise, its rate per hour, and the leaked entries per closed connection', () => {
  const growth = countsOf(60, (minute) => ({ entries: 500 + 10 * minute, closed: 20 * minute })).growthOf(
    CLIENTS,
    RULE,
  );
  expect(growth).toMatchObject({ answer: 'found', now: 1100, windowMs: 30 * MINUTE });
  // Between the medians of the first and the last sixth lie 25 of the 30 minutes.
  expect(growth?.rise).toBeCloseTo(250, -1);
  expect(growth?.perHour).toBeCloseTo(600, -1.5);
  expect(growth?.perClosed).toBeCloseTo(0.5, 1.5);
});

test('no closed connection: no number per closed connection', () => {
  const growth = countsOf(60, (minute) => ({ entries: 500 + 10 * minute, closed: 7 })).growthOf(
    CLIENTS,
    RULE,
  );
  expect(growth).toMatchObject({ answer: 'found', perClosed: null });
});

test('a rise below the minimum is ok', () => {
  const counts = countsOf(60, (minute) => ({ entries: 500 + 0.3 * minute }));
  expect(counts.growthOf(CLIENTS, RULE)).toMatchObject({ answer: 'ok', perHour: 0 });
});

test('entries that follow the connections are ok, and grow when the connections may not explain them', () => {
  const counts = countsOf(60, (minute) => {
    const connections = 500 + 10 * minute + (minute % 2 === 0 ? 9 : 0);
    return { connections, entries: 2 * connections };
  });
  expect(counts.growthOf(CLIENTS, RULE)?.answer).toBe('ok');
  expect(counts.growthOf(CLIENTS, { ...RULE, perConnection: false })?.answer).toBe('found');
});

test.each([
  ['stops', (minute: number) => Math.min(minute, 40)],
  ['is a step', (minute: number) => (minute < 45 ? 0 : 30)],
])('growth that %s is a plateau', (_, level) => {
  const counts = countsOf(60, (minute) => ({ entries: 500 + 10 * level(minute) }));
  expect(counts.growthOf(CLIENTS, RULE)?.answer).toBe('plateau');
});

test('a count that has fallen by a quarter of its rise before is inconclusive', () => {
  const leak = (minute: number): number => 500 + 10 * Math.max(0, minute - 30);
  const before = (height: number) => (minute: number) => ({
    entries: minute < 25 ? leak(minute) + height : leak(minute),
  });
  expect(countsOf(60, before(0)).growthOf(CLIENTS, RULE)?.answer).toBe('found');
  expect(countsOf(60, before(100)).growthOf(CLIENTS, RULE)?.answer).toBe('inconclusive');
});

test('noise as large as the rise is not a finding', () => {
  const counts = countsOf(60, (minute) => ({
    entries: 500 + minute + 60 * Math.sin(minute * 1.9) + 50 * Math.sin(minute * 0.7),
  }));
  expect(counts.growthOf(CLIENTS, RULE)?.answer).toMatch(/^(?:inconclusive|plateau|ok)$/);
});

test('rows without a value are left out', () => {
  const leak = (minute: number): number => 500 + 10 * minute;
  const counts = countsOf(60, (minute) => ({ entries: minute % 3 === 0 ? Number.NaN : leak(minute) }));
  expect(counts.growthOf(CLIENTS, RULE)).toMatchObject({ answer: 'found', now: 1100 - 5 });
});

test('a count that was discovered late is compared with the connections that closed since then', () => {
  const counts = countsOf(60, (minute) => ({
    entries: minute < 48 ? Number.NaN : 500 + 20 * minute,
    closed: 20 * minute,
  }));
  expect(counts.growthOf(CLIENTS, RULE)?.perClosed).toBeCloseTo(1, 1);
});

test('too few values: no answer', () => {
  const counts = countsOf(60, (minute) => ({ entries: minute < 54 ? Number.NaN : 500 + minute }));
  expect(counts.growthOf(CLIENTS, RULE)).toBeNull();
  expect(counts.growthOf(seriesColumn('queue', 'unknown', null), RULE)).toBeNull();
});

test('rare samples get a longer window', () => {
  const growth = countsOf(400, (minute) => ({ entries: 500 + minute }), 5 * MINUTE).growthOf(CLIENTS, RULE);
  expect(growth).toMatchObject({ answer: 'found', windowMs: 100 * MINUTE });
});

test('the minimal rise is a number, or a share of the connections', () => {
  const thresholds = {
    rise: { value: 10 },
    riseShare: { value: 0.08 },
  } as Parameters<CountWindow['minRise']>[0];
  expect(countsOf(20, () => ({ connections: 50, entries: 1 })).minRise(thresholds)).toBe(10);
  expect(countsOf(20, () => ({ connections: 1000, entries: 1 })).minRise(thresholds)).toBeCloseTo(80, 9);
});
