import { performance } from 'node:perf_hooks';
import type { Clock } from '../types/index.ts';

/** The only place that reads the time or makes a timer; every timer is unref'd (a guest keeps nothing alive). */
export function createClock(): Clock {
  // Taken once: an application under test may replace the globals with fake ones later.
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
