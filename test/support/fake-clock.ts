import type { Clock } from '../../src/types/index.ts';

export interface FakeClock extends Clock {
  /** Moves the time forward and runs the timers that fall due, in order. */
  advance(ms: number): void;
}

interface Timer {
  dueMs: number;
  readonly periodMs: number | null;
  readonly task: () => void;
}

export function createFakeClock(startWallMs = Date.UTC(2026, 10, 22)): FakeClock {
  let nowMs = 0;
  const timers = new Set<Timer>();
  const add = (dueMs: number, periodMs: number | null, task: () => void) => {
    const timer = { dueMs, periodMs, task };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  return {
    nowMs: () => nowMs,
    wallMs: () => startWallMs + nowMs,
    every: (periodMs, task) => add(nowMs + periodMs, periodMs, task),
    after: (delayMs, task) => add(nowMs + delayMs, null, task),
    advance(ms) {
      const untilMs = nowMs + ms;
      for (;;) {
        const next = [...timers]
          .filter((timer) => timer.dueMs <= untilMs)
          .sort((a, b) => a.dueMs - b.dueMs)[0];
        if (next === undefined) break;
        nowMs = next.dueMs;
        if (next.periodMs === null) timers.delete(next);
        else next.dueMs += next.periodMs;
        next.task();
      }
      nowMs = untilMs;
    },
  };
}
