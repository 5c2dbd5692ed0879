import { threadCpuSeconds } from '../../../src/core/process.ts';
import type { DetectionResult } from '../../../src/detection.ts';
import { WatcherState } from '../../../src/watcher/state.ts';
import { alertOf } from '../../support/alerts.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';
import { createTestContext } from '../../support/watcher-context.ts';

const COUNTERS = { samplesTotal: 3, samplesDroppedTotal: 1, faults: { sample: 2 }, sampleCpuMsTotal: 500 };
const RESULT: DetectionResult = {
  verdicts: [],
  transitions: [],
  timeToLimit: { ms: 60_000, lowMs: 50_000, highMs: null, limit: 'heap' },
  growthBytesPerHour: { heap: 1e6 },
  suspicion: false,
  memoryGrows: false,
  buffersPerHour: null,
  confirming: false,
};

test('before the first sample the status has the blind spots of the start, and metrics have no sample', () => {
  const state = new WatcherState(createTestContext());
  state.setBlind([{ what: 'HTTP/2 streams', why: 'only HTTP/1 connections are counted' }]);
  expect(state.status()).toMatchObject({
    watcher: 'running',
    timeToLimit: null,
    verdicts: [],
    blind: [{ what: 'HTTP/2 streams' }],
  });
  expect(state.metrics()).toMatchObject({ sample: null, postGcHeapBytes: null, openAlerts: [] });
});

test('metrics and status have the latest sample, counters and open alerts', () => {
  const context = createTestContext({}, { restarts: 1, noThreadReason: 'WSGUARD_THREAD=off' });
  const state = new WatcherState(context);
  const sample = sampleOf();
  context.guard.run('publish', () => JSON.parse('{'), null);
  state.setSample(sample, COUNTERS, RESULT);
  state.setOpenAlerts([alertOf()]);
  context.clock.advance(5_000);
  expect(state.metrics()).toMatchObject({
    sample,
    openAlerts: [{ kind: 'zombie-connections' }],
    timeToLimit: RESULT.timeToLimit,
    growthBytesPerHour: { heap: 1e6 },
    agent: {
      samplesTotal: 3,
      samplesDroppedTotal: 1,
      watcherRestartsTotal: 1,
      faultsTotal: { sample: 2, publish: 1 },
      cpuSecondsTotal: { application: 0.5 },
    },
  });
  expect(state.status()).toMatchObject({ watcher: 'none', uptimeMs: 5_000, timeToLimit: RESULT.timeToLimit });
});

test('the CPU time of the watcher is a metric of its own, where it has a thread', () => {
  const state = new WatcherState(createTestContext({}, { noThreadReason: null }));
  state.setSample(sampleOf(), COUNTERS, RESULT);
  const { cpuSecondsTotal } = state.metrics().agent;
  expect(cpuSecondsTotal?.['application']).toBe(0.5);
  // This test runs on the thread that it measures.
  if (threadCpuSeconds() !== null) expect(cpuSecondsTotal?.['watcher']).toBeGreaterThan(0);
});

test('the bytes of a refused snapshot are in the metrics until one is written', () => {
  const state = new WatcherState(createTestContext());
  const refused = { outcome: 'refused', reason: 'too little memory' } as const;
  state.countSnapshot(refused);
  expect(state.metrics().refusedBytes).toBeNull();
  state.countSnapshot({ ...refused, needBytes: 300, haveBytes: 90 });
  state.countSnapshot(refused);
  expect(state.metrics().refusedBytes).toEqual({ needed: 300, available: 90 });
  state.countSnapshot({
    outcome: 'written',
    file: 'f',
    method: 'fork',
    pauseMs: 9,
    bytes: 1,
    redacted: true,
  });
  expect(state.metrics()).toMatchObject({
    refusedBytes: null,
    snapshots: [
      { outcome: 'refused', method: 'none', count: 3 },
      { outcome: 'written', method: 'fork', count: 1 },
    ],
  });
});

test('the post-GC heap stays when a sample has none', () => {
  const state = new WatcherState(createTestContext());
  const { gc } = sampleOf();
  state.setSample(sampleOf({ gc: { ...gc, floor: { atMs: 0, bytes: 7e6 } } }), COUNTERS, RESULT);
  state.setSample(sampleOf({ gc: { ...gc, floor: null } }), COUNTERS, RESULT);
  expect(state.metrics().postGcHeapBytes).toBe(7e6);
  expect(state.points().map(({ floorBytes }) => floorBytes)).toEqual([7e6, 7e6]);
});

test('points of a report sum the connections over all transports and keep one hour', () => {
  const state = new WatcherState(createTestContext());
  const { connections } = sampleOf();
  for (let seq = 0; seq < 300; seq += 1) {
    const active = byTransport(seq, { sse: 2 });
    state.setSample(sampleOf({ seq, connections: { ...connections, active } }), COUNTERS, RESULT);
  }
  expect(state.points()).toHaveLength(240);
  expect(state.points().at(-1)?.connections).toBe(301);
});

test('snapshots and deliveries are counted by outcome', () => {
  const state = new WatcherState(createTestContext());
  const written = {
    outcome: 'written',
    file: 'a',
    method: 'inprocess',
    pauseMs: 9,
    bytes: 1,
    redacted: true,
  } as const;
  for (const snapshot of [written, written, { outcome: 'refused', reason: 'memory' } as const])
    state.countSnapshot(snapshot);
  state.countDelivery('webhook', { outcome: 'delivered' });
  state.countDelivery('webhook', { outcome: 'retry', reason: '503', code: 'X' });
  state.countDelivery('webhook', { outcome: 'delivered' });
  const { snapshots, agent } = state.metrics();
  expect(snapshots).toEqual([
    { outcome: 'written', method: 'inprocess', count: 2 },
    { outcome: 'refused', method: 'none', count: 1 },
  ]);
  expect(agent.deliveries).toEqual([
    { sink: 'webhook', outcome: 'delivered', count: 2 },
    { sink: 'webhook', outcome: 'retry', count: 1 },
  ]);
});
