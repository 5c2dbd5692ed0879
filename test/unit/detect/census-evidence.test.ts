/** Verdicts of the detectors, together with censuses of containers. */
import {
  applyCensus,
  contradiction,
  kindOf,
  type CensusEvidence,
} from '../../../src/detect/census-evidence.ts';
import type { ContainerGrowth } from '../../../src/detect/container-growth.ts';
import { found, noFinding } from '../../../src/detect/detector.ts';
import type { Verdict } from '../../../src/types/index.ts';
import { createTestDetection, run, type Shape } from '../../support/run.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const GROWTH: ContainerGrowth = {
  row: {
    key: 'server.js clients Map',
    type: 'Map',
    owner: 'application',
    name: 'clients',
    path: ['clients'],
    containers: 1,
    entries: 500,
    largest: 500,
    bytes: 1e6,
    sampled: 20,
    closed: 20,
    open: 0,
    location: { file: 'server.js', line: 7, function: 'onConnection', package: null },
    expected: null,
    removedAfterMs: null,
    removal: 'none',
  },
  answer: 'found',
  because: '20 of 20 sampled entries lead to closed connections',
  gained: 400,
  perClosed: 0.98,
  perHour: 240,
  bytesPerHour: 48e6,
  inStep: [],
};
const NOTHING: CensusEvidence = {
  unavailable: null,
  growths: [],
  censuses: 2,
  pair: { fromMs: 20 * MINUTE_MS, toMs: 60 * MINUTE_MS, showsNothing: true },
  nextMs: 3 * HOUR_MS,
};
const MEMORY = found('floor', {
  kind: 'heap-growth',
  subject: 'heap',
  title: 'The post-GC heap rose 40 MiB in 50 min',
  evidence: [],
});
const SITUATION = {
  nowMs: HOUR_MS,
  memoryFoundSinceMs: 50 * MINUTE_MS,
  buffersFoundSinceMs: null,
  timeToLimitMs: null,
};

const judge = (evidence: Partial<CensusEvidence>, situation: Partial<typeof SITUATION> = {}): Verdict[] =>
  applyCensus([MEMORY], { ...NOTHING, ...evidence }, { ...SITUATION, ...situation });

test('without censuses the verdicts stay as they are', () => {
  expect(applyCensus([MEMORY], null, SITUATION)).toEqual([MEMORY]);
});

test('a container that leaks is a finding with its place and its rate', () => {
  const [containers] = judge({ growths: [GROWTH] });
  expect(containers).toMatchObject({
    detector: 'containers',
    answer: 'found',
    finding: {
      kind: 'registry-growth',
      subject: 'clients',
      title:
        'clients (server.js:7) gained 400 entries in 100 min, 0.98 for each closed connection: 20 of 20 sampled entries lead to closed connections',
    },
  });
});

test('a finding about memory stands beside a container that leaks', () => {
  expect(judge({ growths: [GROWTH] })[1]).toEqual(MEMORY);
});

test('a suspect is inconclusive and says when it is looked at again', () => {
  const suspect: ContainerGrowth = { ...GROWTH, answer: 'inconclusive', because: 'it may be a cache' };
  expect(judge({ growths: [suspect] })[0]).toMatchObject({
    answer: 'inconclusive',
    because:
      'may be filling: clients (server.js:7) gained 400 entries in 100 min, 0.98 for each closed connection, but it may be a cache; next look 3 h after the start',
  });
});

test('a finding about memory waits for a census', () => {
  const pending = judge({ pair: null, censuses: 1 });
  expect(pending[0]).toMatchObject({ answer: 'warming-up' });
  expect(pending[1]).toMatchObject({ answer: 'inconclusive', missing: 'a census of containers' });
});

test('two censuses that show nothing contradict a finding about memory', () => {
  const [, memory] = judge({}, { memoryFoundSinceMs: 30 * MINUTE_MS });
  expect(memory).toMatchObject({
    answer: 'inconclusive',
    because:
      'The post-GC heap rose 40 MiB in 50 min, but two censuses of containers, 40 min apart, show nothing that grows',
  });
  expect(contradiction(NOTHING)).toBe('two censuses of containers, 40 min apart, show nothing that grows');
});

test('censuses from before the growth do not contradict it', () => {
  const [, memory] = judge({}, { memoryFoundSinceMs: 70 * MINUTE_MS, nowMs: 80 * MINUTE_MS });
  expect(memory).toMatchObject({ answer: 'inconclusive', missing: 'a census of containers' });
});

test.each([
  ['no census is possible', { unavailable: 'no fork' }, {}, 'because no census is possible: no fork'],
  ['the limit is near', {}, { timeToLimitMs: 3 * HOUR_MS }, 'the limit is too near to wait'],
  ['the censuses take too long', { pair: null }, { nowMs: 3 * HOUR_MS }, 'the censuses do not decide'],
])('a finding about memory stands when %s, and says so', (_, evidence, situation, note) => {
  const memory = judge(evidence, situation as never)[1];
  expect(memory?.answer === 'found' ? memory.finding.title : '').toContain(note);
});

test('other verdicts are not judged', () => {
  const other = noFinding('listeners', 'ok', 'no listeners');
  expect(applyCensus([other], NOTHING, SITUATION)[1]).toBe(other);
  expect(judge({ unavailable: 'off', censuses: 0 })[0]).toMatchObject({ answer: 'warming-up' });
  expect(judge({})[0]).toMatchObject({ answer: 'ok' });
});

test('the kind follows the type of the container and what it grows with', () => {
  const kind = (type: ContainerGrowth['row']['type'], perClosed: number | null) =>
    kindOf({ ...GROWTH, perClosed, row: { ...GROWTH.row, type } });
  expect(kind('Listeners', 1)).toBe('listener-accumulation');
  expect(kind('Timers', 1)).toBe('resource-growth');
  expect(kind('Array', null)).toBe('queue-growth');
  expect(kind('Array', 1)).toBe('registry-growth');
  expect(kind('Map', null)).toBe('registry-growth');
  const named = (name: string, type: ContainerGrowth['row']['type'] = 'Object') =>
    kindOf({ ...GROWTH, perClosed: null, row: { ...GROWTH.row, type, name } });
  expect([named('Queue._events'), named('Queue.events')]).toEqual([
    'listener-accumulation',
    'registry-growth',
  ]);
  // An aggregate of event sourcing has such a field too: `this._events = []`.
  expect(named('Order._events', 'Array')).toBe('queue-growth');
  expect(named('Order._events', 'Map')).toBe('registry-growth');
});

describe('a finding about Buffers', () => {
  const MIB = 1024 ** 2;
  const BUFFERS = found('external', {
    kind: 'external-buffers',
    subject: 'external',
    title: 'Memory of Buffers rose 40 MiB in 30 min',
    evidence: [{ name: 'wsguard_memory_growth_bytes_per_hour', value: 80 * MIB, unit: 'By/h' }],
  });
  const CACHE: ContainerGrowth = {
    ...GROWTH,
    row: { ...GROWTH.row, name: 'images', removal: 'code' },
    answer: 'inconclusive',
    because: 'it may be a cache that is filling',
    bytesPerHour: 50 * MIB,
  };
  const LIMITED: ContainerGrowth = {
    ...CACHE,
    row: { ...CACHE.row, expected: 'the code removes entries at a limit' },
    answer: 'expected',
    because: 'the code removes entries at a limit',
  };
  const judgeBuffers = (
    evidence: Partial<CensusEvidence>,
    situation: Partial<Parameters<typeof applyCensus>[2]> = {},
  ): Verdict | undefined =>
    applyCensus(
      [BUFFERS],
      { ...NOTHING, ...evidence },
      { ...SITUATION, buffersFoundSinceMs: 50 * MINUTE_MS, ...situation },
    )[1];

  test('is inconclusive where a container that may be a cache has the growth, and names it', () => {
    expect(judgeBuffers({ growths: [CACHE] })).toMatchObject({
      answer: 'inconclusive',
      because:
        'Memory of Buffers rose 40 MiB in 30 min, but images (server.js:7) gained 400 entries in 100 min, 0.98 for each closed connection: it may be a cache that is filling',
    });
  });

  test.each([
    ['code that a timer runs removes entries', { row: { ...CACHE.row, removal: 'timer' } }],
    ['it slows down', { row: { ...CACHE.row, removal: 'none' }, answer: 'plateau' }],
  ] as const)('is inconclusive where the container may be a cache: %s', (_, more) => {
    expect(judgeBuffers({ growths: [{ ...CACHE, ...more }] })?.answer).toBe('inconclusive');
  });

  test.each([
    ['no code removes its entries', { row: { ...CACHE.row, removal: 'none' } }],
    ['it has less than half of the growth', { bytesPerHour: 39 * MIB }],
  ] as const)('stands where a container cannot be the cache: %s', (_, more) => {
    expect(judgeBuffers({ growths: [{ ...CACHE, ...more }] })).toBe(BUFFERS);
  });

  const SINCE_MS = 50 * MINUTE_MS;

  test.each([
    ['code that removes entries', CACHE],
    ['growth that slows down', { ...CACHE, answer: 'plateau' }],
  ] as const)('stands four hours after it was first found, beside %s', (_, cache) => {
    const after = (ms: number): Verdict | undefined =>
      judgeBuffers({ growths: [cache] }, { nowMs: SINCE_MS + ms });
    expect(after(4 * HOUR_MS - 1)?.answer).toBe('inconclusive');
    expect(after(4 * HOUR_MS)).toBe(BUFFERS);
  });

  test('a limit in the code of a cache has no duration while the limit of memory is far', () => {
    const after = (hours: number, timeToLimitMs: number | null): Verdict | undefined =>
      judgeBuffers({ growths: [LIMITED] }, { nowMs: SINCE_MS + hours * HOUR_MS, timeToLimitMs });
    expect(after(90, null)?.answer).toBe('inconclusive');
    expect(after(90, 4 * HOUR_MS)?.answer).toBe('inconclusive');
    expect(after(3, 3 * HOUR_MS)?.answer).toBe('inconclusive');
    expect(after(4, 3 * HOUR_MS)).toBe(BUFFERS);
  });

  // Censuses come at any interval, and the last five may span less than an hour.
  test.each([
    ['code that removes entries opens an alert four hours later', CACHE, [240]],
    ['a limit in the code opens none', LIMITED, []],
  ])('of a leak beside %s', (_, cache, expected) => {
    const detection = createTestDetection();
    detection.setCensus({ ...NOTHING, pair: null, growths: [cache] }, 0);
    const shape = (minute: number): Shape => ({
      externalMb: 3 + 1.3 * minute,
      rssMb: 120 + 1.3 * minute,
      ...(minute > 0 && minute % 10 === 0 ? { floorMb: 40 } : {}),
    });
    const alone = run(100, shape).transitions.find(({ kind }) => kind === 'external-buffers');
    const { transitions } = run(400, shape, { detection });
    const opened = transitions.filter(({ event, kind }) => event === 'opened' && kind === 'external-buffers');
    const delays = opened.map(({ minute }) => Math.round(minute - alone!.minute));
    expect(delays).toEqual(expected);
  });

  test('several caches have the growth together, and two places of the same entries do not', () => {
    const other = { ...CACHE, row: { ...CACHE.row, name: 'tiles' }, bytesPerHour: 30 * MIB };
    const half = { ...CACHE, bytesPerHour: 30 * MIB };
    expect(judgeBuffers({ growths: [half, other] })?.answer).toBe('inconclusive');
    const same = [
      { ...half, inStep: ['tiles'] },
      { ...other, inStep: ['images'] },
    ];
    expect(judgeBuffers({ growths: same })).toBe(BUFFERS);
  });

  test('waits for the second census, for an hour at most', () => {
    const one = { censuses: 1, pair: null };
    expect(judgeBuffers(one)).toMatchObject({ answer: 'inconclusive', missing: 'a census of containers' });
    expect(judgeBuffers(one, { nowMs: 110 * MINUTE_MS })).toBe(BUFFERS);
  });

  test.each([
    ['no census is possible', { unavailable: 'no fork' }, {}],
    ['the limit is near', {}, { timeToLimitMs: 29 * MINUTE_MS }],
    ['the limit is near, with one census', { censuses: 1 }, { timeToLimitMs: 29 * MINUTE_MS }],
  ])('stands when %s', (_, evidence, situation) => {
    expect(judgeBuffers({ growths: [CACHE], ...evidence }, situation)).toBe(BUFFERS);
  });

  test('stands beside a container that leaks', () => {
    expect(judgeBuffers({ growths: [GROWTH, CACHE] })).toBe(BUFFERS);
  });
});
