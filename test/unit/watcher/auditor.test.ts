/** The auditor: when it takes censuses, what it makes of refusals, and the root cause that it gives to alerts. */
import type { StartOptions } from '../../../src/config/schema.ts';
import type { CensusEvidence } from '../../../src/detect/census-evidence.ts';
import type { DetectionResult } from '../../../src/detection.ts';
import type { AlertUpdate } from '../../../src/investigate/investigation-state.ts';
import type { CensusRequest, TakenCensus } from '../../../src/snapshots/take-census.ts';
import type { Alert, ContainerRow, Refused } from '../../../src/types/index.ts';
import { Auditor } from '../../../src/watcher/auditor.ts';
import { alertOf } from '../../support/alerts.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';
import { createTestContext } from '../../support/watcher-context.ts';

const MINUTE_MS = 60_000;
const CALM = { suspicion: false, memoryGrows: false, buffersPerHour: null } as DetectionResult;
const REFUSED: Refused = { outcome: 'refused', reason: 'cannot fork: busy' };

const rowOf = (entries: number): ContainerRow => ({
  key: 'server.js clients Map',
  type: 'Map',
  owner: 'application',
  name: 'clients',
  path: ['clients'],
  containers: 1,
  entries,
  largest: entries,
  bytes: entries * 1000,
  sampled: 20,
  closed: 20,
  open: 0,
  location: { file: 'server.js', line: 7, function: null, package: null },
  expected: null,
  removedAfterMs: null,
  removal: 'none',
});

const censusOf = (entries: number, closed = entries): TakenCensus => ({
  outcome: 'done',
  pauseMs: 12,
  cpuMs: 300,
  snapshotBytes: 50e6,
  peakRssBytes: 100e6,
  census: {
    schema: 'wsguard.census/1',
    nodes: 1000,
    bytes: 1e6,
    connections: { open: 10, closed },
    minEntries: 10,
    rows: [rowOf(entries)],
  },
});

function start(
  options: StartOptions,
  replies: (TakenCensus | Refused | Promise<TakenCensus>)[],
  forkUnavailable: string | null = null,
) {
  const context = createTestContext(options, { forkUnavailable });
  const requests: CensusRequest[] = [];
  const evidence: CensusEvidence[] = [];
  const updates: [string, AlertUpdate][] = [];
  const auditor = new Auditor(context, {
    snapshots: {
      takeCensus: (request: CensusRequest) => {
        requests.push(request);
        return Promise.resolve(replies[requests.length - 1] ?? REFUSED);
      },
    } as never,
    onEvidence: (each) => evidence.push(each),
    updateAlert: (alertId, update) => updates.push([alertId, update]),
  });
  const at = async (minutes: number, result = CALM): Promise<void> => {
    const closed = byTransport(minutes * 5);
    const sample = sampleOf({ uptimeMs: minutes * MINUTE_MS });
    auditor.sample({ ...sample, connections: { ...sample.connections, closedTotal: closed } }, result);
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  };
  return { auditor, requests, evidence, updates, at, faults: context.faults };
}

const withKeys = (entries: number): TakenCensus => {
  const taken = censusOf(entries, 0);
  const rows = [{ ...rowOf(entries), closed: 0, bytes: entries * 100_000 }];
  return { ...taken, census: { ...taken.census, rows } };
};

test('growth of Buffers that begins between two censuses judges the containers of the last one', async () => {
  const { evidence, at } = start({ audit: 20 }, [withKeys(70), withKeys(140), withKeys(210)]);
  for (const minutes of [20, 40, 60, 61]) await at(minutes);
  expect(evidence.at(-1)?.growths[0]).toMatchObject({ answer: 'inconclusive' });
  const before = evidence.length;
  const growing = { ...CALM, buffersPerHour: 20e6 };
  for (const minutes of [62, 63]) await at(minutes, growing);
  expect(evidence).toHaveLength(before + 1);
  expect(evidence.at(-1)?.growths[0]).toMatchObject({
    answer: 'found',
    because: 'it has the memory of Buffers that grows, and no code in its file removes entries',
  });
});

test('growth of Buffers that ends between two censuses counts no longer', async () => {
  const { evidence, at } = start({ audit: 20 }, [withKeys(70), withKeys(140), withKeys(210)]);
  const growing = { ...CALM, buffersPerHour: 20e6 };
  for (const minutes of [20, 40, 60, 62]) await at(minutes, growing);
  expect(evidence.at(-1)?.growths[0]).toMatchObject({ answer: 'found' });
  for (const minutes of [63, 64]) await at(minutes);
  expect(evidence.at(-1)?.growths[0]).toMatchObject({ answer: 'inconclusive' });
});

test('growth of Buffers long after the last census waits for the next one', async () => {
  const { requests, evidence, at } = start({ audit: 20 }, [
    ...[withKeys(70), withKeys(140), withKeys(210)],
    ...[REFUSED, withKeys(210)],
  ]);
  for (const minutes of [20, 40, 60]) await at(minutes);
  const growing = { ...CALM, buffersPerHour: 20e6 };
  await at(1500, growing);
  expect(requests).toHaveLength(4);
  expect(evidence.at(-1)?.growths[0]).toMatchObject({ answer: 'inconclusive' });
  await at(1520, growing);
  expect(requests).toHaveLength(5);
  expect(evidence.at(-1)?.growths).toEqual([]);
});

test('a container that growth of Buffers makes a leak does not delay the next census', async () => {
  const { requests, evidence, at } = start({}, [70, 140, 210, 210].map(withKeys));
  const suspected = { ...CALM, suspicion: true };
  for (const minutes of [20, 40, 60]) await at(minutes, suspected);
  for (const minutes of [62, 63]) await at(minutes, { ...suspected, buffersPerHour: 20e6 });
  expect(evidence.at(-1)).toMatchObject({ growths: [{ answer: 'found' }], nextMs: 80 * MINUTE_MS });
  await at(80, { ...suspected, buffersPerHour: 20e6 });
  expect(requests).toHaveLength(4);
  expect(evidence.at(-1)?.growths).toEqual([]);
});

test('with an interval, censuses are taken in it and name what leaks', async () => {
  const { auditor, requests, evidence, updates, at } = start({ audit: 20 }, [
    censusOf(100),
    censusOf(200),
    censusOf(300),
  ]);
  for (const minutes of [5, 20, 30, 40, 60]) await at(minutes);
  expect(requests.map(({ earlier }) => earlier?.[0]?.entries ?? null)).toEqual([null, 100, 200]);
  expect(requests.every(({ mayStop }) => !mayStop)).toBe(true);
  expect(evidence.at(-1)?.growths[0]).toMatchObject({ answer: 'found', gained: 200, perClosed: 1 });
  expect(auditor.counts()).toEqual({ audits: { done: 3 }, suspects: 1 });
  auditor.alert(alertOf({ id: 'a', kind: 'registry-growth', subject: 'clients', culprit: null }));
  expect(updates).toMatchObject([['a', { culprit: { file: 'server.js', line: 7 } }]]);
});

test('an alert that is open without a root cause gets it from a later census', async () => {
  const { auditor, updates, at } = start({ audit: 20 }, [censusOf(100), censusOf(200), censusOf(300)]);
  for (const minutes of [5, 20]) await at(minutes);
  auditor.alert(alertOf({ id: 'a', kind: 'retained-after-close', culprit: null }));
  auditor.alert(alertOf({ id: 'b', kind: 'retained-after-close', culprit: null }));
  auditor.alert(alertOf({ id: 'b', kind: 'retained-after-close', culprit: null, event: 'closed' }));
  const unlocated = { name: 'system / JSArrayBufferData', file: null } as Alert['culprit'];
  auditor.alert(alertOf({ id: 'c', kind: 'external-buffers', culprit: unlocated }));
  const inPackage = { file: 'node_modules/ws/lib/sender.js', package: 'ws' } as Alert['culprit'];
  auditor.alert(alertOf({ id: 'd', kind: 'external-buffers', culprit: inPackage }));
  const ofApplication = { file: 'server.js', package: null, confidence: 0.9 } as Alert['culprit'];
  auditor.alert(alertOf({ id: 'e', kind: 'external-buffers', culprit: ofApplication }));
  expect(updates).toEqual([]);
  for (const minutes of [40, 60]) await at(minutes);
  const named = { culprit: { file: 'server.js', line: 7 } };
  expect(updates).toMatchObject([
    ['a', named],
    ['c', named],
    ['d', named],
  ]);
});

test('entries of an emitter in a variable are given to an alert only while no other one could be about them', async () => {
  const withListeners = (entries: number): TakenCensus => {
    const taken = censusOf(entries);
    const row = {
      ...rowOf(entries),
      key: 'server.js jobs._events',
      type: 'Object',
      name: 'jobs._events',
    } as const;
    return { ...taken, census: { ...taken.census, rows: [row] } };
  };
  const { auditor, updates, at } = start({ audit: 20 }, [100, 200, 300, 400].map(withListeners));
  const listeners = {
    kind: 'listener-accumulation',
    culprit: null,
    evidence: [{ name: 'rise_per_hour', value: 300, unit: 'listeners/h' }],
  } as const;
  auditor.alert(alertOf({ ...listeners, id: 'a', subject: 'Queue *' }));
  auditor.alert(alertOf({ ...listeners, id: 'b', subject: 'Bus *' }));
  for (const minutes of [5, 20, 40, 60]) await at(minutes);
  expect(updates).toEqual([]);
  auditor.alert(alertOf({ ...listeners, id: 'b', subject: 'Bus *', event: 'closed' }));
  await at(80);
  expect(updates).toMatchObject([['a', { culprit: { file: 'server.js', line: 7 } }]]);
});

test('a root cause that two censuses could not make certain becomes certain with the third', async () => {
  const { auditor, updates, at } = start({ audit: 20 }, [censusOf(100), censusOf(200), censusOf(300)]);
  const subject = { id: 'a', kind: 'registry-growth', subject: 'clients' } as const;
  auditor.alert(alertOf({ ...subject, culprit: null }));
  for (const minutes of [5, 20, 40]) await at(minutes);
  const [, update] = updates[0]!;
  expect(update.culprit).toMatchObject({ line: 7, confidence: 0.5 });
  expect(update.culprit?.text).toContain('not certain yet');
  auditor.alert(alertOf({ ...subject, culprit: update.culprit! }));
  await at(60);
  expect(updates).toHaveLength(2);
  expect(updates[1]![1].culprit).toMatchObject({ line: 7, confidence: 0.8 });
  expect(updates[1]![1].culprit?.text).not.toContain('not certain yet');
  auditor.alert(alertOf({ ...subject, culprit: updates[1]![1].culprit! }));
  expect(updates).toHaveLength(2);
});

test.each([
  ['60 min after the start, then 20 min later while one shows a suspect', 0, [20, 60, 80]],
  ['20 min later when the first shows that most closed connections are still in memory', 100, [20, 40, 60]],
])('auto takes censuses 20 min after the start, and %s', async (_, closed, expected) => {
  const { requests, evidence, at } = start({}, [censusOf(100, closed), censusOf(300), censusOf(400)]);
  expect(evidence).toMatchObject([{ unavailable: null, censuses: 0, nextMs: 20 * MINUTE_MS }]);
  const takenAt: number[] = [];
  for (let minutes = 5; minutes <= 120; minutes += 5) {
    const before = requests.length;
    await at(minutes);
    if (requests.length > before) takenAt.push(minutes);
  }
  expect(takenAt.slice(0, 3)).toEqual(expected);
  expect(requests.every(({ mayStop }) => !mayStop)).toBe(true);
});

test('agent.audit() takes a census at once, in the process where there is no fork', async () => {
  const { auditor, requests, at } = start({ audit: 'off' }, [censusOf(100)]);
  expect(await auditor.audit()).toMatchObject({ outcome: 'refused' });
  await at(90);
  expect(requests).toEqual([]);
  expect(await auditor.audit()).toMatchObject({ outcome: 'done', pauseMs: 12, containers: 1, suspects: [] });
  expect(requests).toMatchObject([{ earlier: null, mayStop: true }]);
});

test('a census that waits for a snapshot has the counts of the time at which its heap was taken', async () => {
  let resolve!: (taken: TakenCensus) => void;
  const promise = new Promise<TakenCensus>((done) => (resolve = done));
  const { requests, evidence, at } = start({ audit: 20 }, [censusOf(100), promise, censusOf(300)]);
  for (const minutes of [20, 40, 50]) await at(minutes);
  requests[1]?.onCaptured();
  await at(60);
  resolve(censusOf(200));
  for (const minutes of [65, 75]) await at(minutes);
  expect(requests).toHaveLength(3);
  expect(evidence.at(-1)?.pair).toMatchObject({ fromMs: 50 * MINUTE_MS, toMs: 75 * MINUTE_MS });
});

test('a refused census is tried again 20 min later', async () => {
  const { auditor, requests, at } = start({ audit: 20 }, [REFUSED, censusOf(100)]);
  for (const minutes of [20, 30, 40]) await at(minutes);
  expect(requests).toHaveLength(2);
  expect(auditor.counts()).toEqual({ audits: { refused: 1, done: 1 }, suspects: null });
});

test('after two refusals in a row no finding waits for a census', async () => {
  const { evidence, at } = start({ audit: 20 }, [REFUSED, REFUSED, censusOf(100)]);
  await at(20);
  expect(evidence.at(-1)).toMatchObject({ unavailable: null });
  await at(40);
  expect(evidence.at(-1)).toMatchObject({ unavailable: REFUSED.reason });
  await at(60);
  expect(evidence.at(-1)).toMatchObject({ unavailable: null, censuses: 1 });
});

test.each([
  [{ audit: 'off' }, null, 'censuses are switched off (WSGUARD_AUDIT=off)'],
  [
    { audit: 20, snapshot: 'inprocess' },
    null,
    'scheduled ones need a forked process (WSGUARD_SNAPSHOT=inprocess)',
  ],
  [{ audit: 20 }, 'this is darwin', 'cannot fork: this is darwin'],
] as const)(
  '%j: no census is scheduled, and the reason is said',
  async (options, forkUnavailable, reason) => {
    const { requests, evidence, at } = start(options, [], forkUnavailable);
    await at(100);
    expect(requests).toEqual([]);
    expect(evidence[0]).toMatchObject({ unavailable: reason, nextMs: null });
  },
);
