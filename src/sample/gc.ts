import { GCProfiler } from 'node:v8';
import type { Guard } from '../core/guard.ts';
import type { Clock, Floor, GcReading } from '../types/index.ts';
import { isYoung } from './memory.ts';

export interface Gc {
  read(): GcReading;
  stop(): void;
}

type Statistics = NonNullable<ReturnType<GCProfiler['stop']>>['statistics'][number];

/** The profiler hoards 3-4 KB an event and hands them over as JSON (about 20 us each), so it is emptied each second. */
const EMPTY_EVERY_MS = 1_000;

/** Exact heap after each major collection: no callback is early enough, the profiler notes it inside V8. */
export function watchGc(clock: Clock, guard: Guard): Gc {
  let minorTotal = 0;
  let majorTotal = 0;
  let incrementalTotal = 0;
  let pauseMsTotal = 0;
  let floor: Floor | null = null;
  let profiler = new GCProfiler();
  profiler.start();

  function note(event: Statistics): void {
    // V8's own names: Scavenge, MinorMarkCompact, MarkSweepCompact, IncrementalMarking, ProcessWeakCallbacks.
    pauseMsTotal += event.cost / 1_000;
    if (event.gcType === 'MarkSweepCompact') {
      majorTotal += 1;
      floor = { atMs: clock.nowMs(), bytes: oldBytes(event) };
    } else if (event.gcType === 'IncrementalMarking') incrementalTotal += 1;
    else if (event.gcType !== 'ProcessWeakCallbacks') minorTotal += 1;
  }
  function empty(): void {
    const seen = profiler.stop()?.statistics ?? [];
    profiler = new GCProfiler();
    profiler.start();
    for (const event of seen) note(event);
  }

  const stopTimer = clock.every(EMPTY_EVERY_MS, guard.wrap('gc', empty));
  return {
    read() {
      empty();
      const reading = { minorTotal, majorTotal, incrementalTotal, pauseMsTotal, floor };
      floor = null;
      return reading;
    },
    stop() {
      stopTimer();
      profiler.stop();
    },
  };
}

function oldBytes(event: Statistics): number {
  let bytes = 0;
  for (const space of event.afterGC.heapSpaceStatistics) {
    if (!isYoung(space.spaceName)) bytes += space.spaceUsedSize;
  }
  return bytes;
}
