import { History } from '../../../src/detect/history.ts';
import { seriesColumn } from '../../../src/detect/sample-row.ts';
import type { Sample } from '../../../src/types/index.ts';
import { MINUTE, sampleAt, type Shape } from '../../support/run.ts';

/** A history of one sample per `everyMs`. */
function historyOf(minutes: number, shape: (minute: number) => Shape, everyMs = 30_000): History {
  const history = new History();
  for (let atMs = 0; atMs <= minutes * MINUTE; atMs += everyMs)
    history.append(sampleAt(atMs / everyMs, atMs, shape(atMs / MINUTE)));
  return history;
}
const registries = (...names: string[]): Partial<Sample> => ({
  registries: names.map((name, i) => ({ name, entries: 10 * (i + 1), source: 'app' })),
});

test('one row per half minute: append says which sample completed one', () => {
  const history = new History();
  const completed = [0, 10_000, 20_000, 30_000, 59_000, 61_000].map((atMs, seq) =>
    history.append(sampleAt(seq, atMs, {})),
  );
  expect(completed).toEqual([true, false, false, true, false, true]);
  expect([...history.window.times()]).toEqual([0, 30_000, 61_000]);
  expect(history.nowMs).toBe(61_000);
});

test('the row has the highest event-loop delay since the previous row', () => {
  const history = new History();
  [12, 90, 15, 20].forEach((p99, i) => history.append(sampleAt(i, i * 15_000, { p99 })));
  expect([...history.window.column('loopP99Ms')]).toEqual([12, 90]);
  history.append(sampleAt(4, 60_000, { p99: 11 }));
  expect(history.window.latest('loopP99Ms')).toBe(20);
});

test('a sample without a valid time is ignored', () => {
  const history = new History();
  expect(history.append({ ...sampleAt(0, 0, {}), atMs: Number.NaN })).toBe(false);
  expect(history.last).toBeNull();
});

test('responsive connections are the open ones minus the unresponsive ones', () => {
  const history = historyOf(1, () => ({ connections: 500, unanswering: 40 }));
  expect(history.window.latest('responsive')).toBe(460);
  expect(history.window.latest('unresponsive')).toBe(40);
});

test('lists are the series that may list closed connections, in their order', () => {
  const history = new History();
  history.append({
    ...sampleAt(0, 0, {}),
    ...registries('sockets'),
    queues: [
      { name: 'jobs', items: 1, oldestAgeMs: null, source: 'app' },
      { name: 'last closed', items: 2, oldestAgeMs: null, source: 'found', isTaken: false },
    ],
  });
  expect(history.lists.map(({ type, name }) => [type, name])).toEqual([
    ['queue', 'jobs'],
    ['list', 'last closed'],
  ]);
  // The gap clears the window.
  history.append(sampleAt(1, 60 * MINUTE, {}));
  expect(history.lists).toEqual([]);
});

test('series get typed columns and keep what they count', () => {
  const history = new History();
  history.append(
    sampleAt(0, 0, {
      more: {
        ...registries('clients'),
        queues: [
          { name: 'jobs', items: 3, oldestAgeMs: null, source: 'app' },
          { name: 'log', items: 4, oldestAgeMs: null, isTaken: false, source: 'found' },
        ],
        rooms: [{ name: 'docs', rooms: 2, members: 9, areObjects: true, source: 'found' }],
        emitters: [
          { emitter: 'bus', event: '*', listeners: 8, eventNames: 2, source: 'found' },
          { emitter: 'bus', event: 'tick', listeners: 5, eventNames: null, source: 'found' },
        ],
      },
    }),
  );
  expect([...history.series].map(({ type, name, event }) => [type, name, event])).toEqual([
    ['registry', 'clients', null],
    ['queue', 'jobs', null],
    ['list', 'log', null],
    ['objects', 'docs', null],
    ['members', 'docs', null],
    ['listeners', 'bus', '*'],
    ['event names', 'bus', null],
    ['listeners', 'bus', 'tick'],
  ]);
  expect(history.window.latest(seriesColumn('listeners', 'bus', 'tick'))).toBe(5);
  expect(history.window.latest(seriesColumn('members', 'docs', null))).toBe(9);
});

test('an invalid reading is a missing value', () => {
  const history = historyOf(1, () => ({
    connections: -3,
    more: { descriptors: { open: 1e300, limit: null } },
  }));
  expect(history.window.latest('connections')).toBeNaN();
  expect(history.window.latest('descriptors')).toBeNaN();
});

test.each([
  ['a gap of more than ten minutes', (before: Sample) => ({ atMs: before.atMs + 11 * MINUTE })],
  ['a clock jump', (before: Sample) => ({ atMs: before.atMs + 30_000, marks: ['clock-jump'] as const })],
])('%s clears the counts and keeps the post-GC heaps', (_, next) => {
  const history = historyOf(20, (minute) => ({
    more: registries('a'),
    ...(minute === 5 ? { floorMb: 40 } : {}),
  }));
  const before = history.last;
  if (before === null) throw new Error('the history has samples');
  const at = next(before);
  history.append({ ...sampleAt(99, at.atMs, {}), ...at });
  expect(history.window.rows).toBe(1);
  expect([...history.series]).toEqual([]);
  expect(history.startedMs).toBe(at.atMs);
  expect(history.postGcHeaps).toHaveLength(1);
});

test('a restart clears everything', () => {
  const history = historyOf(20, (minute) => (minute === 5 ? { floorMb: 40 } : {}));
  history.append({ ...sampleAt(0, 21 * MINUTE, {}), uptimeMs: 1000 });
  expect(history.postGcHeaps).toEqual([]);
  expect(history.coarse).toHaveLength(1);
  expect(history.window.rows).toBe(1);
  expect(history.rebasedMs).toBe(21 * MINUTE);
});

test('after a snapshot RSS is compared anew, and pongs do not count for a minute', () => {
  const history = historyOf(10, (minute) => ({
    unanswering: 5,
    more: { marks: minute === 5 ? ['snapshot'] : [] },
  }));
  expect(history.rebasedMs).toBe(5 * MINUTE);
  const missing = [...history.window.column('unresponsive')].map(Number.isNaN);
  // Rows 10 and 11 are 5 min and 5.5 min.
  expect(missing.flatMap((isMissing, i) => (isMissing ? [i] : []))).toEqual([10, 11]);
});

test('major GCs in a burst count as one: the latest replaces the one before', () => {
  const history = new History();
  [0, 60, 70, 80, 140].forEach((seconds, i) =>
    history.append(sampleAt(i, seconds * 1000, { floorMb: 10 + i })),
  );
  expect(history.postGcHeaps.map(({ atMs }) => atMs / 1000)).toEqual([0, 60, 80, 140]);
});

test('the number of post-GC heaps and of coarse points is bounded', () => {
  const history = historyOf(600, () => ({ floorMb: 40 }), MINUTE);
  expect(history.postGcHeaps).toHaveLength(200);
  expect(history.postGcHeaps.at(-1)?.atMs).toBe(600 * MINUTE);
  expect(history.coarse).toHaveLength(100);
  expect((history.coarse[1]?.atMs ?? 0) - (history.coarse[0]?.atMs ?? 0)).toBe(5 * MINUTE);
});

test('survivors are read half a minute after the major GC, without connections that closed since', () => {
  const history = new History();
  history.append(sampleAt(0, 0, { floorMb: 40, closed: 100, uncollected: 100 }));
  expect(history.postGcHeaps[0]?.survivors).toBeNull();
  history.append(sampleAt(1, 30_000, { closed: 103, uncollected: 20 }));
  expect(history.postGcHeaps[0]).toMatchObject({ survivors: 17, closedBefore: 100 });
});

test('retained connections survived two major GCs, so they closed before the previous one', () => {
  const history = new History();
  history.append(sampleAt(0, 0, { floorMb: 40, closed: 100 }));
  history.append(sampleAt(1, 2 * MINUTE, { floorMb: 41, closed: 150 }));
  history.append(sampleAt(2, 3 * MINUTE, { closed: 160, retained: 30 }));
  expect(history.postGcHeaps.at(-1)).toMatchObject({ survivors: 30, closedBefore: 100 });
});

test('append does not change the lists that it gave before', () => {
  const history = historyOf(10, (minute) => (minute === 5 ? { floorMb: 40 } : {}));
  const { postGcHeaps, coarse } = history;
  const copies = [structuredClone(postGcHeaps), structuredClone(coarse)];
  for (let minute = 11; minute < 30; minute += 1)
    history.append(sampleAt(minute, minute * MINUTE, { floorMb: 40 + minute, retained: 3 }));
  expect([postGcHeaps, coarse]).toEqual(copies);
  expect(history.postGcHeaps.length).toBeGreaterThan(postGcHeaps.length);
});
