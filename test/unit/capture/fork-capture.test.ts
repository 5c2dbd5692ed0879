import { forkCapture } from '../../../src/capture/fork-capture.ts';
import type { ForkResult, NativeAddon } from '../../../src/capture/native-addon.ts';
import type { ForkRequest } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const BUSY: ForkResult = { outcome: 'busy', detail: 'worker-3' };
const FORKED: ForkResult = { outcome: 'forked', pid: 42, stopMs: 7.5 };

/** An addon that gives these results, the last one again and again. */
function start(results: readonly ForkResult[], validMs = 60_000) {
  const clock = createFakeClock();
  const calls: string[] = [];
  const ranges: ArrayBuffer[] = [];
  let attempts = 0;
  const addon = {
    scanMarkedRanges: () => Promise.resolve(new ArrayBuffer(16)),
    forkCapture: ({ markedRanges }: ForkRequest) => {
      attempts += 1;
      ranges.push(markedRanges);
      return results[Math.min(attempts, results.length) - 1]!;
    },
    endCapture: (pid: number) => void calls.push(`end ${pid}`),
    waitForCapture: (pid: number) => (calls.push(`wait ${pid}`), null),
  } as unknown as NativeAddon;
  const request = {
    output: 9,
    deadlineMs: 1000,
    validUntilWallMs: clock.wallMs() + validMs,
  } as ForkRequest;
  const done = forkCapture(request, {
    clock,
    addon,
    writeSnapshot: () => undefined,
    duringFork: (fork) => (calls.push('fork'), fork()),
  });
  /** Lets the promises settle between two timers. */
  const advance = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 3) {
      await Promise.resolve();
      clock.advance(3);
      for (let turn = 0; turn < 3; turn += 1) await Promise.resolve();
    }
  };
  return { done, calls, advance, attempts: () => attempts, ranges };
}

test('a process whose threads wait is forked at once', async () => {
  const { done, calls } = start([FORKED]);
  await expect(done).resolves.toEqual({ outcome: 'forked', pid: 42, pauseMs: 7.5 });
  expect(calls).toEqual(['fork']);
});

test('asks again from the event loop while a thread works', async () => {
  const { done, advance, attempts } = start([BUSY, BUSY, FORKED]);
  await advance(12);
  await expect(done).resolves.toMatchObject({ outcome: 'forked' });
  expect(attempts()).toBe(3);
});

test('scans the marks again twice a second while it waits', async () => {
  const { done, advance, ranges } = start([...Array<ForkResult>(200).fill(BUSY), FORKED]);
  await advance(1_200);
  await expect(done).resolves.toMatchObject({ outcome: 'forked' });
  expect(new Set(ranges).size).toBe(2);
});

test('gives up after 30 s and names the thread', async () => {
  const { done, advance } = start([BUSY]);
  await advance(30_100);
  await expect(done).resolves.toEqual({
    outcome: 'refused',
    reason: 'cannot fork: the thread worker-3 worked without a pause for 30 s',
  });
});

test('a refusal of the kernel has its reason', async () => {
  const { done } = start([{ outcome: 'refused', detail: 'Operation not permitted' }]);
  await expect(done).resolves.toEqual({
    outcome: 'refused',
    reason: 'cannot fork: Operation not permitted',
  });
});

test('a request that comes too late forks nothing: its descriptor may belong to somebody else', async () => {
  const { done, attempts } = start([FORKED], -1);
  await expect(done).resolves.toMatchObject({ outcome: 'refused' });
  expect(attempts()).toBe(0);
});

test('the child is ended and reaped when nobody else does that', async () => {
  const { done, calls, advance } = start([FORKED]);
  await done;
  await advance(10_000);
  expect(calls).toEqual(['fork']);
  await advance(1100);
  expect(calls).toEqual(['fork', 'end 42']);
  await advance(10_100);
  expect(calls).toEqual(['fork', 'end 42', 'wait 42']);
});
