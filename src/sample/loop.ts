import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { LoopReading } from '../types/index.ts';

export interface Loop {
  /** Since the last reading; null when too few turns were timed for a percentile. */
  read(): LoopReading | null;
  stop(): void;
}

const RESOLUTION_MS = 20;
const MIN_TURNS = 5;

export function watchLoop(): Loop {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  // The histogram times the gap between two ticks, the tick's own 20 ms included.
  const late = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
  return {
    read() {
      const reading =
        delay.count < MIN_TURNS
          ? null
          : { delayP99Ms: late(delay.percentile(99)), delayMaxMs: late(delay.max) };
      delay.reset();
      return reading;
    },
    stop: () => void delay.disable(),
  };
}
