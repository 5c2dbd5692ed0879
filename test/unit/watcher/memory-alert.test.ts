/** An alert about memory alone opens, waits, changes its kind or closes by what the censuses of containers show. */
import type { StartOptions } from '../../../src/config/schema.ts';
import type { TakenCensus } from '../../../src/snapshots/take-census.ts';
import type { Alert, ContainerRow, Refused } from '../../../src/types/index.ts';
import { Auditor } from '../../../src/watcher/auditor.ts';
import { createTestDetection, gcEvery, MB, sampleAt, type Shape } from '../../support/run.ts';
import { createTestContext } from '../../support/watcher-context.ts';

const SAMPLE_MS = 15_000;
const REFUSED: Refused = { outcome: 'refused', reason: 'cannot fork: busy' };

const rowOf = (entries: number): ContainerRow => ({
  key: 'server.js sessions Map',
  type: 'Map',
  owner: 'application',
  name: 'sessions',
  path: ['sessions'],
  containers: 1,
  entries,
  largest: entries,
  bytes: entries * 20_000,
  sampled: 20,
  closed: 0,
  open: 0,
  location: { file: 'server.js', line: 25, function: 'onConnection', package: null },
  expected: null,
  removedAfterMs: null,
  removal: 'code',
});

const censusOf = (rows: readonly ContainerRow[], bytes: number): TakenCensus => ({
  outcome: 'done',
  pauseMs: 12,
  cpuMs: 300,
  snapshotBytes: bytes,
  peakRssBytes: bytes,
  census: {
    schema: 'wsguard.census/1',
    nodes: 1000,
    bytes,
    connections: { open: 500, closed: 0 },
    minEntries: 10,
    rows,
  },
});

interface Situation {
  readonly shape: (minute: number) => Shape;
  readonly census: (minute: number) => TakenCensus | Refused;
  readonly options?: StartOptions;
  readonly forkUnavailable?: string | null;
}

/** Runs a server for some minutes with a fake clock; the detection and the auditor are the real ones. */
async function runFor(minutes: number, { shape, census, options, forkUnavailable = null }: Situation) {
  const context = createTestContext({ audit: 20, ...options }, { forkUnavailable });
  const { clock } = context;
  const detection = createTestDetection();
  const transitions: (Alert & { minute: number })[] = [];
  const minuteNow = (): number => clock.nowMs() / 60_000;
  const publish = (alerts: readonly Alert[]): void =>
    void transitions.push(...alerts.map((alert) => ({ ...alert, minute: minuteNow() })));
  const auditor = new Auditor(context, {
    snapshots: { takeCensus: () => Promise.resolve(census(minuteNow())) } as never,
    onEvidence: (evidence) => publish(detection.setCensus(evidence, clock.wallMs())),
    updateAlert: (alertId, update) => publish(detection.updateAlert(alertId, update, clock.wallMs())),
  });
  for (let seq = 1; minuteNow() <= minutes; seq += 1) {
    const sample = sampleAt(seq, clock.nowMs(), shape(minuteNow()));
    const result = detection.addSample(sample);
    publish(result.transitions);
    for (const alert of result.transitions) auditor.alert(alert);
    auditor.sample(sample, result);
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    clock.advance(SAMPLE_MS);
  }
  expect(context.faults).toEqual([]);
  const only = (event: Alert['event']): (Alert & { minute: number })[] =>
    transitions.filter((alert) => alert.event === event);
  return { opened: only('opened'), closed: only('closed'), transitions };
}

/** The limit of 8 GiB is days away. */
const GROWING = gcEvery(
  5,
  (minute) => 40 + minute,
  () => ({ capacityMb: 8192 }),
);

test('a census that names a container turns the finding into that kind, with its file and line', async () => {
  const { opened, transitions } = await runFor(130, {
    shape: GROWING,
    census: (minute) => censusOf([rowOf(10 + 50 * minute)], (40 + minute) * MB),
  });
  expect(opened.map(({ kind, subject }) => [kind, subject])).toEqual([['registry-growth', 'sessions']]);
  expect(opened[0]?.title).toContain('the post-GC heap grows with it');
  expect(transitions.at(-1)?.culprit).toMatchObject({ file: 'server.js', line: 25 });
});

test('with the limit near it opens without a census, and says so', async () => {
  const { opened } = await runFor(60, {
    shape: gcEvery(5, (minute) => 40 + 3 * minute),
    census: () => censusOf([], 40 * MB),
  });
  expect(opened.map(({ kind }) => kind)).toEqual(['heap-growth']);
  expect(opened[0]?.title).toContain('the limit is too near to wait for a census');
});

test.each([
  ['forks are not possible', { forkUnavailable: 'this is darwin' }, 'cannot fork: this is darwin'],
  ['censuses are off', { options: { audit: 'off' } }, 'WSGUARD_AUDIT=off'],
] as const)('when %s it opens on memory alone, and says so', async (_, more, reason) => {
  const { opened } = await runFor(240, { shape: GROWING, census: () => REFUSED, ...more });
  expect(opened.map(({ kind }) => kind)).toEqual(['heap-growth']);
  expect(opened[0]?.title).toContain('because no census is possible');
  expect(opened[0]?.title).toContain(reason);
});

test('a pair of censuses that shows nothing that grows keeps it from opening', async () => {
  const { opened } = await runFor(300, { shape: GROWING, census: () => censusOf([rowOf(100)], 60 * MB) });
  expect(opened).toEqual([]);
});

test('a pair that shows nothing that grows closes an open one, and says so', async () => {
  const { opened, closed } = await runFor(200, {
    shape: GROWING,
    // Refused, so that the finding opens without them; the censuses that follow show no growth.
    census: (minute) => (minute < 110 ? REFUSED : censusOf([rowOf(100)], 300 * MB)),
  });
  expect(opened.map(({ kind }) => kind)).toEqual(['heap-growth']);
  expect(opened[0]?.title).toContain(`no census is possible: ${REFUSED.reason}`);
  expect(closed[0]?.because).toContain('show nothing that grows');
});

test('a heap that grows without a container that grows opens it after an hour, and says so', async () => {
  const { opened } = await runFor(200, {
    shape: GROWING,
    census: (minute) => censusOf([rowOf(100)], (40 + 5 * minute) * MB),
  });
  expect(opened.map(({ kind }) => kind)).toEqual(['heap-growth']);
  expect(opened[0]?.title).toContain('the censuses do not decide');
});
