import { ALL_KINDS, KINDS, LEAK_KINDS, type LeakKind } from '../../../src/kinds/index.ts';
import type { Sample } from '../../../src/types/index.ts';
import { MB, run, type Shape } from '../../support/run.ts';

const registry = (name: string, entries: number): Partial<Sample> => ({
  registries: [{ name, entries, source: 'found' }],
});
const every = (minute: number, period: number): boolean => minute % period === 0;

/** One simulated server per kind of leak, and the minute by which its alert must open. A new kind needs its server here. */
const LEAKS: Readonly<Record<LeakKind, readonly [byMinute: number, shape: (minute: number) => Shape]>> = {
  'zombie-connections': [20, (m) => ({ connections: 500 + 8 * m, unanswering: 8 * m })],
  'listener-accumulation': [
    20,
    (m) => ({
      more: {
        emitters: [
          { emitter: 'bus', event: '*', listeners: 500 + 10 * m, eventNames: 1, source: 'found' },
          { emitter: 'bus', event: 'message', listeners: 500 + 10 * m, eventNames: null, source: 'found' },
        ],
      },
    }),
  ],
  'registry-growth': [20, (m) => ({ more: registry('clients', 500 + 10 * m) })],
  // Members of a room may be sessions, which have half an hour after their connection (docs/detection.md).
  'room-growth': [
    35,
    (m) => ({ more: { rooms: [{ name: 'rooms', rooms: 40 + 8 * m, members: 500, source: 'app' }] } }),
  ],
  // A batch that is written once in a quarter of an hour grows until then.
  'queue-growth': [
    24,
    (m) => ({ more: { queues: [{ name: 'jobs', items: 100 * m, oldestAgeMs: null, source: 'app' }] } }),
  ],
  // A timer may belong to the session of a closed connection, which has half an hour (docs/detection.md).
  'resource-growth': [45, (m) => ({ more: { resources: { timer: Math.floor(500 + 10 * m) } } })],
  'slow-consumer': [50, (m) => ({ sendBuffer: m * MB })],
  'retained-after-close': [
    45,
    (m) => (every(m, 10) ? { floorMb: 40, retained: 9 * m } : { retained: 9 * Math.floor(m / 10) * 10 }),
  ],
  'unclosed-growth': [
    380,
    (m) => ({
      connections: 100 + 5 * m,
      closed: Math.floor(m / 10),
      opened: 100 + 5 * m + Math.floor(m / 10),
    }),
  ],
  'external-buffers': [
    40,
    (m) => ({ externalMb: 3 + 3 * m, rssMb: 110 + 3 * m, ...(every(m, 10) ? { floorMb: 40 } : {}) }),
  ],
  'native-or-compression': [70, (m) => ({ rssMb: 110 + 3 * m, ...(every(m, 10) ? { floorMb: 40 } : {}) })],
  'heap-growth': [60, (m) => (every(m, 5) ? { floorMb: 40 + 3 * m } : {})],
  // Old space rises steadily between the few major GCs, so these are no tables that are loaded.
  divergence: [
    90,
    (m) => (every(m, 28) && m > 0 ? { floorMb: 40 + 2 * m } : { oldMb: 40 + 2 * m + (m % 28) / 2 }),
  ],
};

test.each(LEAK_KINDS)('%s is found in time and named first', (kind) => {
  const [byMinute, shape] = LEAKS[kind];
  const { transitions, opened } = run(byMinute, shape);
  expect(opened).toEqual([kind]);
  const alert = transitions.find(({ event }) => event === 'opened');
  expect(alert).toMatchObject({ family: 'leak', docs: `docs/leaks/${kind}.md` });
  expect(alert?.evidence.length).toBeGreaterThan(0);
  expect(alert?.against.every(({ because }) => because.length > 0)).toBe(true);
});

test('the share of retained connections counts those that closed before the last but one major GC', () => {
  const { transitions } = run(45, (m) => ({
    closed: 10 * m,
    opened: 100 + 10 * m,
    ...(every(m, 10) ? { floorMb: 40 } : {}),
    // Two major GCs decide: nine of ten connections that closed before the last but one are retained.
    retained: 9 * Math.max(0, Math.floor(m / 10) * 10 - 10),
  }));
  const alert = transitions.find(({ kind }) => kind === 'retained-after-close');
  expect(alert?.title).toMatch(
    /^\d+ closed connections are still in memory after major GCs, 90 % of those that closed$/,
  );
});

test('memory leaked per closed connection is found while connections climb, because it grows faster than they do', () => {
  const connections = (minute: number): number => 100 + 2 * minute;
  /** Each connection leaks 0.6 KB per minute, so the leak is proportional to the sum of connections over time. */
  const left = (minute: number): number => 0.0006 * (100 * minute + minute ** 2);
  const ramp = (leaks: boolean) => (minute: number) => ({
    connections: connections(minute),
    ...(every(minute, 8) && minute > 0
      ? { floorMb: 20 + 0.05 * connections(minute) + (leaks ? left(minute) * 10 : 0) }
      : {}),
    capacityMb: 512,
  });
  expect(run(150, ramp(true)).opened).toEqual(['heap-growth']);
  expect(run(150, ramp(false)).opened).toEqual([]);
});

test('each kind names a detector that answers, and each detector that answers has a kind', () => {
  const answering = new Set(run(1, () => ({})).last.verdicts.map(({ detector }) => detector));
  const named = new Set(ALL_KINDS.flatMap((kind) => KINDS[kind].detector ?? []));
  expect([...named].toSorted()).toEqual([...answering].toSorted());
});
