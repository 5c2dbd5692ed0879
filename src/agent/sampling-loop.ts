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
  /** CPU time of the process in milliseconds. */
  readonly cpuMs: () => number;
  /** Runs in the turn of the event loop before `read`, so that neither blocks it for long. */
  readonly prepare: () => void;
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

export function startSamplingLoop(deps: Deps): SamplingLoop {
  const { clock, guard, periodMs, cpuMs, prepare, read, link } = deps;
  const unacknowledged = new Set<number>();
  let last: Sample | null = null;
  const timer = createCpuTimer(clock, cpuMs);
  let takenTotal = 0;
  let droppedTotal = 0;
  let isStopped = false;

  function sampleOnce(): void {
    if (isStopped) return;
    const sample = (last = timer.run(read));
    takenTotal += 1;
    if (unacknowledged.size >= MAX_UNACKNOWLEDGED) {
      droppedTotal += 1;
      return;
    }
    const counters: AppCounters = {
      samplesTotal: takenTotal,
      samplesDroppedTotal: droppedTotal,
      faults: guard.faults(),
      sampleCpuMsTotal: timer.spentMs(),
    };
    link()?.send('sample', { sample, counters });
    unacknowledged.add(sample.seq);
  }

  const runSample = guard.wrap('sample', sampleOnce);
  const tick = guard.wrap('sample', () => {
    // Planned first: a sample is taken also when its preparation fails.
    clock.after(0, runSample);
    if (!isStopped) timer.run(prepare);
  });
  const stopTicks = clock.every(periodMs, tick);
  clock.after(0, tick);
  return {
    lastSample: () => last,
    acknowledge: (seq) => {
      for (const sent of unacknowledged) if (sent <= seq) unacknowledged.delete(sent);
    },
    resetUnacknowledged: () => unacknowledged.clear(),
    stop() {
      isStopped = true;
      stopTicks();
    },
  };
}

/**
 * Node 20 does not tell the CPU time of one thread. It is at most the time that has passed, and at most what the whole process
 * has used in it: on a busy machine the thread waits for a CPU for most of the time.
 */
function createCpuTimer(clock: Clock, cpuMs: () => number) {
  let spentMs = 0;
  return {
    spentMs: () => spentMs,
    run<Result>(task: () => Result): Result {
      const startedMs = clock.nowMs();
      const startedCpuMs = cpuMs();
      try {
        return task();
      } finally {
        spentMs += Math.min(clock.nowMs() - startedMs, cpuMs() - startedCpuMs);
      }
    },
  };
}
