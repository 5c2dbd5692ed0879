import { createClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/types/index.ts';

export interface SkippingClock extends Clock {
  /** Moves time forward at once, and runs the timers that fall due. */
  skip(ms: number): void;
}

/** A clock of real time, as tests with real sockets need it. `skip` spares them the long waits. */
export function createSkippingClock(): SkippingClock {
  const real = createClock();
  const waiting = new Map<() => void, number>();
  let skippedMs = 0;
  const nowMs = (): number => real.nowMs() + skippedMs;
  return {
    nowMs,
    wallMs: () => real.wallMs() + skippedMs,
    every: (periodMs, task) => real.every(periodMs, task),
    after(delayMs, task) {
      const run = (): void => {
        if (!waiting.delete(run)) return;
        stop();
        task();
      };
      const stop = real.after(delayMs, run);
      waiting.set(run, nowMs() + delayMs);
      return () => {
        stop();
        waiting.delete(run);
      };
    },
    skip(ms) {
      skippedMs += ms;
      for (const [run, dueMs] of [...waiting].toSorted(([, a], [, b]) => a - b)) if (dueMs <= nowMs()) run();
    },
  };
}
