import { findProcessDeath } from '../../../src/detect/process-died.ts';
import type { CrashRecord, MemoryPoint } from '../../../src/types/index.ts';
import { alertOf } from '../../support/alerts.ts';
import { IDENTITY, MB, MINUTE, sampleAt, createTestDetection, type Shape } from '../../support/run.ts';
import { sampleOf } from '../../support/samples.ts';

const boxOf = (shape: (minute: number) => Shape, more: Partial<CrashRecord> = {}): CrashRecord => ({
  owner: { identity: { ...IDENTITY, pid: 77 }, startedWallMs: 0, bootId: null, startTicks: null },
  samples: Array.from({ length: 60 }, (_, minute) => sampleAt(minute, minute * MINUTE, shape(minute))),
  lastMinute: [],
  openAlerts: [],
  ...more,
});
const afterMs = (box: CrashRecord): number => (box.samples.at(-1)?.wallMs ?? 0) + MINUTE;

test('says the pool that rose and how full the heap was', () => {
  const box = boxOf((minute) => ({ oldMb: 100 + 6.5 * minute }));
  const death = findProcessDeath(box, { wallMs: afterMs(box), oomKills: null });
  expect(death?.finding).toMatchObject({ kind: 'process-died', family: 'condition', severity: 'critical' });
  expect(death?.finding.title).toMatch(
    /pid 77\) ended with 9\d % of its heap capacity in use; its old space rose 19\d MiB/,
  );
});

const pointAt = (wallMs: number, heapUsedMb: number): MemoryPoint => ({
  wallMs,
  rssBytes: (heapUsedMb + 40) * MB,
  heapUsedBytes: heapUsedMb * MB,
  externalBytes: 0,
  containerUsedBytes: null,
  containerOomKills: null,
  pressureShare: 0.25,
});

test('a rise after the last sample is seen in the last minute, with the pool that rose', () => {
  const calm = boxOf(() => ({ oldMb: 60 }));
  const endMs = calm.samples.at(-1)?.wallMs ?? 0;
  const lastMinute = Array.from({ length: 40 }, (_, n) => pointAt(endMs + n * 250, 80 + 4 * n));
  const box = { ...calm, lastMinute };
  const death = findProcessDeath(box, { wallMs: endMs + MINUTE, oomKills: null });
  expect(death?.finding.title).toMatch(/its heap rose 156 MiB in the last 10 s$/);
  const valueOf = (name: string) => death?.finding.evidence.find((one) => one.name === name)?.value;
  expect(valueOf('wsguard_rss_bytes')).toBe((80 + 4 * 39 + 40) * MB);
  expect(valueOf('time_since_last_sample')).toBe(MINUTE - 39 * 250);
  expect(valueOf('memory_pressure')).toBe(0.25);
});

test('memory that came while the application thread was blocked belongs to no pool', () => {
  const calm = boxOf(() => ({ oldMb: 60 }));
  const endMs = calm.samples.at(-1)?.wallMs ?? 0;
  // A heartbeat a second for 5 s, then none: the size of the heap stands still while RSS rises.
  const lastMinute = Array.from({ length: 40 }, (_, n) => ({
    ...pointAt(endMs + n * 250, 80 + Math.min(20, n - (n % 4)) / 4),
    rssBytes: (120 + Math.max(0, n - 20) * 10) * MB,
  }));
  const death = findProcessDeath({ ...calm, lastMinute }, { wallMs: endMs + MINUTE, oomKills: null });
  expect(death?.finding.title).toMatch(
    /its RSS rose 190 MiB in the last 5 s, after the last heartbeat of its application thread$/,
  );
});

test('a last minute that is older than the last sample changes nothing', () => {
  const box = boxOf(() => ({ oldMb: 60 }));
  const endMs = box.samples.at(-1)?.wallMs ?? 0;
  const now = { wallMs: endMs + MINUTE, oomKills: null };
  const withOld = { ...box, lastMinute: [pointAt(endMs - 500, 150), pointAt(endMs - 250, 150)] };
  expect(findProcessDeath(withOld, now)?.finding.title).toBe(findProcessDeath(box, now)?.finding.title);
});

test('the cgroup tells of its OOM killer', () => {
  const box = boxOf(() => ({}));
  const samples = box.samples.map((sample) => ({
    ...sample,
    limits: { ...sample.limits, containerBytes: 300 * MB, containerOomKills: 2 },
  }));
  const death = findProcessDeath({ ...box, samples }, { wallMs: afterMs(box), oomKills: 3 });
  expect(death?.finding.title).toContain('OOM killer');
  const quiet = findProcessDeath({ ...box, samples }, { wallMs: afterMs(box), oomKills: 2 });
  expect(quiet?.finding.title).toContain('without a shutdown');
  // A deployment may look like this.
  expect(quiet?.finding.severity).toBe('warning');
});

test('an alert that was open goes along; a box without samples says nothing', () => {
  const box = boxOf(() => ({}), { openAlerts: [alertOf()] });
  expect(findProcessDeath(box, { wallMs: afterMs(box), oomKills: null })?.also).toMatchObject([
    { kind: 'zombie-connections' },
  ]);
  expect(findProcessDeath({ ...box, samples: [] }, { wallMs: 0, oomKills: null })).toBeNull();
});

test('it opens an alert at once', () => {
  const box = boxOf(() => ({}), { openAlerts: [alertOf()] });
  const { limits } = sampleOf();
  const [alert] = createTestDetection().reportCrash(box, { wallMs: afterMs(box), limits });
  expect(alert).toMatchObject({
    event: 'opened',
    kind: 'process-died',
    also: [{ kind: 'zombie-connections' }],
  });
});
