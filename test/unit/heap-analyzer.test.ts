import { HeapAnalyzer, type HeapAnalyzerOptions } from '../../src/heap-analyzer.ts';
import type { CaptureLimits, Snapshot } from '../../src/types/index.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const HOUR_MS = 3_600_000;
const ROOMY: CaptureLimits = {
  containerBytes: null,
  containerUsedBytes: null,
  availableBytes: 1,
  heapCapacityBytes: 1e15,
};

/** An analyzer whose gate refuses each snapshot, so that no file is written; the outcomes and their times are recorded. */
function createAnalyzer(limits: () => CaptureLimits) {
  const clock = createFakeClock();
  const outcomes: { atMs: number; snapshot: Snapshot }[] = [];
  const analyzer = new HeapAnalyzer({
    snapshotDir: '/nonexistent/wsguard',
    pauseBudgetMs: 1e9,
    cooldownMs: HOUR_MS,
    clock,
    limits,
    onSnapshot: (snapshot) => outcomes.push({ atMs: clock.nowMs(), snapshot }),
  });
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 60_000) {
      clock.advance(Math.min(left, 60_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { analyzer, outcomes, advance };
}

test('a schedule requests a snapshot each period until it is ended', async () => {
  const { analyzer, outcomes, advance } = createAnalyzer(() => ROOMY);
  const stop = analyzer.scheduleSnapshots(HOUR_MS);
  await advance(3 * HOUR_MS);
  stop();
  await advance(3 * HOUR_MS);
  expect(outcomes.map(({ atMs }) => atMs / HOUR_MS)).toEqual([1, 2, 3]);
  expect(outcomes[0]?.snapshot).toMatchObject({ outcome: 'refused', haveBytes: 1 });
  expect(analyzer.snapshotCount).toBe(0);
});

test('a memory watch requests a snapshot above its share of the heap capacity, and then none for the cooldown', async () => {
  let heapCapacityBytes = 1e15;
  const { analyzer, outcomes, advance } = createAnalyzer(() => ({ ...ROOMY, heapCapacityBytes }));
  const stop = analyzer.watchMemory(70);
  await advance(10 * 60_000);
  expect(outcomes).toEqual([]);
  heapCapacityBytes = 1;
  await advance(2 * HOUR_MS);
  expect(outcomes.map(({ atMs }) => atMs / 60_000)).toEqual([11, 71]);
  expect(outcomes[0]?.snapshot).toMatchObject({
    outcome: 'refused',
    reason: expect.stringContaining('too little free heap'),
  });
  stop();
  await advance(2 * HOUR_MS);
  expect(outcomes.length).toBe(2);
});

test('catches the error of a listener', async () => {
  const clock = createFakeClock();
  const analyzer = new HeapAnalyzer({
    snapshotDir: '/nonexistent/wsguard',
    clock,
    limits: () => ROOMY,
    onSnapshot: () => {
      throw new Error('boom');
    },
  });
  analyzer.scheduleSnapshots(1000);
  clock.advance(5000);
  await new Promise((resolve) => setImmediate(resolve));
  expect(analyzer.snapshotCount).toBe(0);
});

test('analyze is analyse', async () => {
  const analyzer = new HeapAnalyzer({ snapshotDir: '/nonexistent/wsguard', limits: () => ROOMY });
  const [first, second] = await Promise.all([
    analyzer.analyse('/nonexistent/a'),
    analyzer.analyze(['/nonexistent/a']),
  ]);
  expect(first).toEqual({
    outcome: 'failed',
    code: 'WSGUARD_SNAPSHOT_UNREADABLE',
    reason: 'cannot read /nonexistent/a: no such file',
  });
  expect(second).toEqual(first);
});

test('wrong files are a failure, not an exception: a refused snapshot has no file', async () => {
  const { analyzer } = createAnalyzer(() => ROOMY);
  const missing = undefined as unknown as string;
  for (const files of [[missing, 'b'], [], ['a', 'b', 'c', 'd']]) {
    await expect(analyzer.analyse(files)).resolves.toMatchObject({
      outcome: 'failed',
      code: 'WSGUARD_ANALYSIS_FAILED',
      reason: expect.stringMatching(/^expected the names of one to three files, got /),
    });
  }
});

test('throws for arguments out of range', () => {
  const analyzer = new HeapAnalyzer({ snapshotDir: './nowhere' });
  const code = 'WSGUARD_ANALYZER_ARGUMENT';
  for (const intervalMs of [-1, 0, Number.NaN, 2 ** 31])
    expect(() => analyzer.scheduleSnapshots(intervalMs)).toThrow(expect.objectContaining({ code }));
  for (const percent of [0, 101, Number.NaN])
    expect(() => analyzer.watchMemory(percent)).toThrow(expect.objectContaining({ code }));
  for (const options of [
    { snapshotDir: '' },
    { method: 'forked' },
    { pauseBudgetMs: -1 },
    { pauseBudgetMs: '250' },
    { maxSnapshots: 0 },
    { cooldownMs: Number.NaN },
    { redact: 'off' },
    { onSnapshot: 'log' },
  ])
    expect(() => new HeapAnalyzer(options as HeapAnalyzerOptions)).toThrow(expect.objectContaining({ code }));
});
