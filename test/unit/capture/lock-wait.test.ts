import {
  followLockWait,
  readChildActivity,
  waitsForever,
  type ChildActivity,
  type LockWait,
} from '../../../src/capture/lock-wait.ts';

interface Step extends ChildActivity {
  readonly stepMs: number;
}

/** The second at which the child is known to wait forever; null when it never is. */
function stalledAtSecond(steps: readonly Step[]): number | null {
  let wait: LockWait = followLockWait(null, { cpuMs: 500, isInFutex: false }, 1_000);
  for (const { stepMs, ...activity } of steps) {
    wait = followLockWait(wait, activity, wait.atMs + stepMs);
    if (waitsForever(wait)) return (wait.atMs - 1_000) / 1000;
  }
  return null;
}

/** Readings of one a second; `cpuShare` and `isInFutex` are asked for each second. */
const seconds = (
  count: number,
  cpuShare: (second: number) => number,
  isInFutex: (second: number) => boolean,
): Step[] => {
  let cpuMs = 500;
  return Array.from({ length: count }, (_, second) => {
    cpuMs += 1_000 * cpuShare(second);
    return { stepMs: 1_000, cpuMs, isInFutex: isInFutex(second) };
  });
};

test('a child that does nothing but wait for a lock waits forever after ten seconds', () => {
  const steps = seconds(
    60,
    () => 0.01,
    () => true,
  );
  expect(stalledAtSecond(steps)).toBe(10);
});

test('readings in which the watchdog of the child interrupts the wait do not count, and do not end it', () => {
  const steps = seconds(
    60,
    () => 0.01,
    (second) => second % 2 === 1,
  );
  expect(stalledAtSecond(steps)).toBe(20);
});

test.each<[string, Step[]]>([
  [
    'waits for the disk, for the reader of its output or for a CPU',
    seconds(
      600,
      () => 0,
      () => false,
    ),
  ],
  [
    'has a fortieth of a core and sleeps off its debt',
    seconds(
      600,
      () => 0.025,
      () => false,
    ),
  ],
  [
    'works, with short waits for a lock',
    seconds(
      600,
      () => 0.4,
      () => true,
    ),
  ],
  [
    'works for a moment every nine seconds',
    seconds(
      600,
      (second) => (second % 9 === 8 ? 0.2 : 0),
      () => true,
    ),
  ],
])('a child that %s does not wait forever', (_, steps) => {
  expect(stalledAtSecond(steps)).toBeNull();
});

test('the time in which this process was frozen does not count', () => {
  const frozen = { stepMs: 3_600_000, cpuMs: 500, isInFutex: true };
  expect(stalledAtSecond([frozen, frozen, frozen, frozen])).toBeNull();
  expect(stalledAtSecond(Array(5).fill(frozen) as Step[])).toBe(5 * 3_600);
});

const onLinux = process.platform === 'linux' ? test : test.skip;
onLinux('the activity of a process is read from /proc', () => {
  expect(readChildActivity(process.pid)).toEqual({ cpuMs: expect.any(Number) as number, isInFutex: false });
  // The highest pid of Linux is 2^22.
  expect(readChildActivity(2 ** 22 + 1)).toBeNull();
});
