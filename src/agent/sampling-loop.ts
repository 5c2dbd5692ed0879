/** Reads one sample per period and sends it to the watcher, unless too many samples are unacknowledged. */
import { MAX_UNACKNOWLEDGED, type AppCounters, type FromApp, type Link } from '../channel.ts';
import type { Guard } from '../core/guard.ts';
import type { Clock, Sample, Stop } from '../types/index.ts';

/** The default interval of 15 s at time scale 60, and the smallest WSGUARD_INTERVAL_MS. */
const MIN_PERIOD_MS = 250;

interface Deps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly periodMs: number;
  readonly read: () => Sample;
  readonly link: () => Link<FromApp> | null;
}

export interface SamplingLoop {
  readonly lastSample: () => Sample | null;
  /** All samples up to `seq` are processed. */
  acknowledge(seq: number): void;
  /** A new watcher will not acknowledge the samples that the previous one received. */
  resetUnacknowledged(): void;
  stop: Stop;
}

export const samplingPeriodMs = (intervalMs: number, timeScale: number): number =>
  Math.max(MIN_PERIOD_MS, intervalMs / timeScale);

export function startSamplingLoop({ clock, guard, periodMs, read, link }: Deps): SamplingLoop {
  const unacknowledged = new Set<number>();
  let last: Sample | null = null;
  let takenTotal = 0;
  let droppedTotal = 0;
  let spentMs = 0;

  function sampleOnce(): void {
    const startedMs = clock.nowMs();
    const sample = (last = read());
    takenTotal += 1;
    spentMs += clock.nowMs() - startedMs;
    if (unacknowledged.size >= MAX_UNACKNOWLEDGED) {
      droppedTotal += 1;
      return;
    }
    const counters: AppCounters = {
      samplesTotal: takenTotal,
      samplesDroppedTotal: droppedTotal,
      faults: guard.faults(),
      sampleMsTotal: spentMs,
    };
    link()?.send('sample', { sample, counters });
    unacknowledged.add(sample.seq);
  }

  const tick = guard.wrap('sample', sampleOnce);
  const stop = clock.every(periodMs, tick);
  clock.after(0, tick);
  return {
    lastSample: () => last,
    acknowledge: (seq) => {
      for (const sent of unacknowledged) if (sent <= seq) unacknowledged.delete(sent);
    },
    resetUnacknowledged: () => unacknowledged.clear(),
    stop,
  };
}
