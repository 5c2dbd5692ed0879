/** The only file that reads the time and creates timers. Every timer is unref'd, so that none keeps the process alive. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '../types/index.ts';

export function createClock(): Clock {
  // Tests of the application can replace the globals with fake timers later.
  const { setInterval, setTimeout, clearInterval, clearTimeout } = globalThis;
  const now = Date.now;
  const monotonic = performance.now.bind(performance);
  return {
    nowMs: monotonic,
    wallMs: () => now(),
    every(periodMs, task) {
      const timer = setInterval(task, periodMs);
      timer.unref();
      return () => clearInterval(timer);
    },
    after(delayMs, task) {
      const timer = setTimeout(task, delayMs);
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}
