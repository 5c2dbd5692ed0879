import { run, createTestDetection, type Shape } from '../../support/run.ts';

type Row = readonly [kind: string, severity: string, shape: (minute: number) => Shape];
const CONDITIONS: readonly Row[] = [
  ['memory-threshold', 'critical', () => ({ floorMb: 450, oldMb: 460 })],
  ['memory-threshold', 'critical', () => ({ rssMb: 950, containerMb: 1000, heapTotalMb: 70 })],
  ['connection-limit', 'warning', () => ({ connections: 850 })],
  ['connection-limit', 'critical', () => ({ connections: 960 })],
  ['descriptor-limit', 'warning', () => ({ more: { descriptors: { open: 900, limit: 1024 } } })],
  ['descriptor-limit', 'critical', () => ({ more: { descriptors: { open: 1000, limit: 1024 } } })],
  ['gc-pressure', 'warning', (minute) => ({ majors: Math.floor(minute * 12) })],
  ['gc-pressure', 'critical', (minute) => ({ majors: Math.floor(minute * 40) })],
  ['loop-lag', 'warning', () => ({ p99: 800 })],
];

test.each(CONDITIONS)('%s (%s) opens an alert of the family condition', (kind, severity, shape) => {
  const { transitions } = run(30, shape, { detection: createTestDetection({ maxConnections: 1000 }) });
  const opened = transitions.filter(({ event }) => event === 'opened');
  expect(opened).toMatchObject([{ kind, severity, family: 'condition' }]);
});

test('the evidence of an alert names the threshold of its severity', () => {
  const thresholdOf = (shape: (minute: number) => Shape): number | undefined =>
    run(30, shape, { detection: createTestDetection({ maxConnections: 1000 }) }).transitions[0]?.evidence[0]
      ?.threshold;
  expect(thresholdOf(() => ({ connections: 850 }))).toBe(800);
  expect(thresholdOf(() => ({ connections: 960 }))).toBe(950);
  expect(thresholdOf((minute) => ({ majors: Math.floor(minute * 12) }))).toBe(10);
  expect(thresholdOf((minute) => ({ majors: Math.floor(minute * 40) }))).toBe(30);
});

test('70 % of the heap capacity alone opens no alert, with a rising post-GC heap it does', () => {
  const steady = run(120, (minute) => (minute % 5 === 0 ? { floorMb: 384, oldMb: 390 } : { oldMb: 390 }));
  expect(steady.opened).toEqual([]);
  // The rise is too small for a leak, and large enough to show that the heap does not stay at 70 %.
  const rising = run(60, (minute) => ({
    ...(minute % 3 === 0 ? { floorMb: 380 + 0.15 * minute } : {}),
    oldMb: 400,
  }));
  expect(rising.transitions).toMatchObject([{ kind: 'memory-threshold', severity: 'warning' }]);
});

test('heap exhaustion is reported when it is near and certain and no leak explains it', () => {
  // Too few major GCs, and a number of connections that varies too much, for a verdict on the heap.
  const { transitions } = run(30, (minute) => ({
    connections: 300 + 50 * (minute % 7),
    ...(minute % 5 === 0 ? { floorMb: 280 + 5 * minute } : {}),
  }));
  const first = transitions[0];
  expect(first).toMatchObject({ event: 'opened', kind: 'exhaustion', severity: 'critical' });
  expect(first?.title).toMatch(
    /^The process reaches 85 % of the heap capacity in about [\d.]+ min( \([\d.]+ to [\d.]+\))?$/,
  );
});

test('blocked-loop: the heartbeat stops and returns', () => {
  const detection = createTestDetection();
  run(1, () => ({}), { detection });
  expect(detection.checkHeartbeat(1_000, 0)).toEqual([]);
  expect(detection.checkHeartbeat(6_000, 0)).toMatchObject([{ event: 'opened', kind: 'blocked-loop' }]);
  expect(detection.checkHeartbeat(7_000, 0)).toEqual([]);
  expect(detection.checkHeartbeat(0, 0)).toMatchObject([
    { event: 'closed', because: 'the event loop runs again' },
  ]);
  expect(detection.openAlerts()).toEqual([]);
});

test('a condition that a leak explains joins it and raises its severity', () => {
  const { transitions } = run(60, (minute) => ({
    connections: 500 + 8 * minute,
    unanswering: 8 * minute,
    oldMb: minute < 30 ? 100 : 460,
    ...(minute === 30 ? { floorMb: 450 } : {}),
  }));
  expect(transitions.filter(({ event }) => event === 'opened').map(({ kind }) => kind)).toEqual([
    'zombie-connections',
  ]);
  const joined = transitions.find(({ also }) => also.some(({ kind }) => kind === 'memory-threshold'));
  expect(joined).toMatchObject({ kind: 'zombie-connections', severity: 'critical' });
});

test('an alert of a condition closes when a leak explains it', () => {
  const { transitions } = run(40, (minute) => ({
    oldMb: 460,
    connections: 500 + 8 * minute,
    unanswering: minute < 14 ? 0 : 10 * (minute - 14),
    ...(minute === 3 ? { floorMb: 440 } : {}),
  }));
  expect(transitions.find(({ event }) => event === 'closed')).toMatchObject({
    kind: 'memory-threshold',
    because: expect.stringContaining('explained by the alert zombie-connections'),
  });
});

test('without a known limit the answer is inconclusive and names the missing data', () => {
  const { last } = run(20, () => ({ more: { descriptors: null } }));
  const limits = last.verdicts.filter(({ detector }) => detector.endsWith('-limit'));
  expect(limits).toMatchObject([
    { answer: 'inconclusive', missing: 'WSGUARD_MAX_CONNECTIONS or server.maxConnections' },
    { answer: 'inconclusive', missing: 'the soft limit in /proc/self/limits' },
  ]);
});
