import { findProcessDeath } from '../../../src/detect/process-died.ts';
import type { CrashRecord } from '../../../src/types/index.ts';
import { alertOf } from '../../support/alerts.ts';
import { IDENTITY, MB, MINUTE, sampleAt, createTestDetection, type Shape } from '../../support/run.ts';
import { sampleOf } from '../../support/samples.ts';

const boxOf = (shape: (minute: number) => Shape, more: Partial<CrashRecord> = {}): CrashRecord => ({
  owner: { identity: { ...IDENTITY, pid: 77 }, startedWallMs: 0, bootId: null, startTicks: null },
  samples: Array.from({ length: 60 }, (_, minute) => sampleAt(minute, minute * MINUTE, shape(minute))),
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
