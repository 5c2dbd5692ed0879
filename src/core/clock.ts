/** The only file that reads the time and creates timers. Every timer is unref'd, so that none keeps the process alive. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '../types/index.ts';
import { rethrow } from './guard.ts';

/** An error that escapes from a timer ends the application, so the application thread passes an `onError`. */
export function createClock(onError: (error: unknown) => void = rethrow): Clock {
  // Tests of the application can replace the globals with fake timers later.
  const { setInterval, setTimeout, clearInterval, clearTimeout } = globalThis;
  const now = Date.now;
  const monotonic = performance.now.bind(performance);
  const guarded = (task: () => void) => (): void => {
    try {
      task();
    } catch (error) {
      onError(error);
    }
  };
  return {
    nowMs: monotonic,
    wallMs: () => now(),
    every(periodMs, task) {
      const timer = setInterval(guarded(task), periodMs);
      timer.unref();
      return () => clearInterval(timer);
    },
    after(delayMs, task) {
      const timer = setTimeout(guarded(task), delayMs);
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}
