import { HeapAnalyzer } from '../../src/heap-analyzer.ts';
import type { CaptureLimits, Snapshot } from '../../src/types/index.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const HOUR_MS = 3_600_000;
const ROOMY: CaptureLimits = {
  containerBytes: null,
  containerUsedBytes: null,
  availableBytes: 1,
  heapCapacityBytes: 1e15,
};

/** The gate refuses each time, so that nothing is written: what was wanted, and when, is what counts. */
function watched(limits: () => CaptureLimits) {
  const clock = createFakeClock();
  const told: { atMs: number; snapshot: Snapshot }[] = [];
  const analyzer = new HeapAnalyzer({
    snapshotDir: '/nonexistent/wsguard',
    pauseBudgetMs: 1e9,
    cooldownMs: HOUR_MS,
    clock,
    limits,
    onSnapshot: (snapshot) => told.push({ atMs: clock.nowMs(), snapshot }),
  });
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 60_000) {
      clock.advance(Math.min(left, 60_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { analyzer, told, advance };
}

test('a schedule asks the gate once a period until it is ended', async () => {
  const { analyzer, told, advance } = watched(() => ROOMY);
  const end = analyzer.scheduleSnapshots(HOUR_MS);
  await advance(3 * HOUR_MS);
  end();
  await advance(3 * HOUR_MS);
  expect(told.map(({ atMs }) => atMs / HOUR_MS)).toEqual([1, 2, 3]);
  expect(told[0]?.snapshot).toMatchObject({ outcome: 'refused', haveBytes: 1 });
  expect(analyzer.snapshotCount).toBe(0);
});

test('a memory watch wants a snapshot above its share of what kills, and then not again for the cooldown', async () => {
  let heapCapacityBytes = 1e15;
  const { analyzer, told, advance } = watched(() => ({ ...ROOMY, heapCapacityBytes }));
  const end = analyzer.watchMemory(70);
  await advance(10 * 60_000);
  expect(told).toEqual([]);
  heapCapacityBytes = 1;
  await advance(2 * HOUR_MS);
  expect(told.map(({ atMs }) => atMs / 60_000)).toEqual([11, 71]);
  expect(told[0]?.snapshot).toMatchObject({
    outcome: 'refused',
    reason: expect.stringContaining('heap limit'),
  });
  end();
  await advance(2 * HOUR_MS);
  expect(told.length).toBe(2);
});

test('a listener that throws does not reach the timer', async () => {
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

test('analyse and analyze are one', async () => {
  const analyzer = new HeapAnalyzer({ snapshotDir: '/nonexistent/wsguard', limits: () => ROOMY });
  const [first, second] = await Promise.all([
    analyzer.analyse('/nonexistent/a'),
    analyzer.analyze(['/nonexistent/a']),
  ]);
  expect(first).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('/nonexistent/a') });
  expect(second).toEqual(first);
});

test('what a refused snapshot leaves where its file should be is an answer, not an exception', async () => {
  const { analyzer } = watched(() => ROOMY);
  const missing = undefined as unknown as string;
  for (const files of [[missing, 'b'], [], ['a', 'b', 'c', 'd']]) {
    await expect(analyzer.analyse(files)).resolves.toMatchObject({
      outcome: 'failed',
      code: 'WSGUARD_ANALYSIS_FAILED',
      reason: expect.stringMatching(/^expected the names of one to three files, got /),
    });
  }
});

test('what cannot be meant is said at the call', () => {
  const analyzer = new HeapAnalyzer({ snapshotDir: './nowhere' });
  const code = 'WSGUARD_ANALYZER_ARGUMENT';
  for (const intervalMs of [-1, 0, Number.NaN, 2 ** 31])
    expect(() => analyzer.scheduleSnapshots(intervalMs)).toThrow(expect.objectContaining({ code }));
  for (const percent of [0, 101, Number.NaN])
    expect(() => analyzer.watchMemory(percent)).toThrow(expect.objectContaining({ code }));
  expect(() => new HeapAnalyzer({ snapshotDir: '' })).toThrow(expect.objectContaining({ code }));
});
