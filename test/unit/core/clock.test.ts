import { createClock } from '../../../src/core/clock.ts';
import { eventually } from '../../support/eventually.ts';

const clock = createClock();
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('nowMs is monotonic and wallMs is the epoch', async () => {
  const before = [clock.nowMs(), Date.now()] as const;
  await wait(20);
  expect(clock.nowMs() - before[0]).toBeGreaterThanOrEqual(15);
  const wallMs = clock.wallMs();
  expect(wallMs).toBeGreaterThanOrEqual(before[1]);
  expect(wallMs).toBeLessThanOrEqual(Date.now());
});

test('every repeats and after runs once, until they are stopped', async () => {
  let repeats = 0;
  let once = 0;
  const stopEvery = clock.every(5, () => (repeats += 1));
  clock.after(5, () => (once += 1));
  clock.after(5, () => (once += 1))();
  await eventually(() => repeats >= 2 && once > 0, 'both timers');
  stopEvery();
  const stoppedAt = repeats;
  await wait(30);
  expect(repeats).toBe(stoppedAt);
  expect(once).toBe(1);
});

test('timers that replace the globals later do not replace those of the clock', () => {
  jest.useFakeTimers();
  try {
    expect(jest.getTimerCount()).toBe(0);
    clock.every(1000, () => undefined)();
    clock.after(1000, () => undefined);
    expect(jest.getTimerCount()).toBe(0);
    expect(clock.wallMs()).not.toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

test('timers keep no process alive', () => {
  const timers: NodeJS.Timeout[] = [];
  const spies = (['setInterval', 'setTimeout'] as const).map((name) => {
    const original = globalThis[name];
    return jest.spyOn(globalThis, name).mockImplementation(((task: () => void, ms: number) => {
      const timer = original(task, ms);
      timers.push(timer);
      return timer;
    }) as never);
  });
  const spiedClock = createClock();
  const stops = [spiedClock.every(60_000, () => undefined), spiedClock.after(60_000, () => undefined)];
  expect(timers.map((timer) => timer.hasRef())).toEqual([false, false]);
  for (const stop of stops) stop();
  for (const spy of spies) spy.mockRestore();
});

test('an error of a task reaches `onError` and not the process', async () => {
  const errors: unknown[] = [];
  const guarded = createClock((error) => errors.push(error));
  await new Promise<void>((resolve) => {
    guarded.after(1, () => {
      setTimeout(resolve, 1);
      throw new Error('task');
    });
  });
  expect(errors).toEqual([new Error('task')]);
});
