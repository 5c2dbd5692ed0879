/** One sample a period, at most so many unacknowledged, the rest dropped and counted. */
import { MAX_UNACKNOWLEDGED, type AppCounters, type FromApp, type Link } from '../channel.ts';
import type { Guard } from '../core/guard.ts';
import type { Clock, Sample, Stop } from '../types/index.ts';

/** A fifth of a second at scale 60 would be too fine for a test machine and finds nothing sooner. */
const SHORTEST_PERIOD_MS = 250;

interface Deps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly periodMs: number;
  readonly read: () => Sample;
  readonly link: () => Link<FromApp> | null;
}

export interface SamplingLoop {
  readonly last: () => Sample | null;
  acknowledge(seq: number): void;
  /** A new watcher owes nothing. */
  resetUnacknowledged(): void;
  stop: Stop;
}

export const samplingPeriodMs = (intervalMs: number, timeScale: number): number =>
  Math.max(SHORTEST_PERIOD_MS, intervalMs / timeScale);

export function startSamplingLoop({ clock, guard, periodMs, read, link }: Deps): SamplingLoop {
  const underway = new Set<number>();
  let last: Sample | null = null;
  let taken = 0;
  let dropped = 0;
  let spentMs = 0;

  function sampleOnce(): void {
    const startedMs = clock.nowMs();
    const sample = (last = read());
    taken += 1;
    spentMs += clock.nowMs() - startedMs;
    if (underway.size >= MAX_UNACKNOWLEDGED) {
      dropped += 1;
      return;
    }
    const counters: AppCounters = {
      samplesTotal: taken,
      samplesDroppedTotal: dropped,
      faults: guard.faults(),
      sampleMsTotal: spentMs,
    };
    link()?.send('sample', { sample, counters });
    underway.add(sample.seq);
  }

  const tick = guard.wrap('sample', sampleOnce);
  const stop = clock.every(periodMs, tick);
  clock.after(0, tick);
  return {
    last: () => last,
    acknowledge: (seq) => {
      for (const waiting of underway) if (waiting <= seq) underway.delete(waiting);
    },
    resetUnacknowledged: () => underway.clear(),
    stop,
  };
}
