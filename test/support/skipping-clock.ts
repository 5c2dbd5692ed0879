import { createClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/types/index.ts';

export interface SkippingClock extends Clock {
  /** Time passes at once; what falls due by it runs now. */
  skip(ms: number): void;
}

/** Real time for what happens on real sockets, of which a test skips what would only be waited for. */
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
