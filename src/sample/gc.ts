/** Counts GCs, and reads the post-GC heap: old space right after each major GC, as V8's GCProfiler records it. */
import { GCProfiler } from 'node:v8';
import type { Guard } from '../core/guard.ts';
import type { Clock, PostGcHeap, GcReading } from '../types/index.ts';
import { isYoungSpace } from './memory.ts';

export interface GcProbe {
  read(): GcReading;
  /** Major GCs so far, until this moment. Null while V8 marks the heap for the next one. */
  completedMajorGcs(): number | null;
  stop(): void;
}

type GcEvent = NonNullable<ReturnType<GCProfiler['stop']>>['statistics'][number];

/** The profiler keeps 3 to 4 KB per GC until it is stopped, and takes about 20 us per GC to return them. */
const COLLECT_EVERY_MS = 1_000;

/** Uses the profiler, because every callback about a GC runs later, when the heap has grown again. */
export function createGcProbe(clock: Clock, guard: Guard): GcProbe {
  let minorTotal = 0;
  let majorTotal = 0;
  let incrementalTotal = 0;
  let isMarking = false;
  let pauseMsTotal = 0;
  let floor: PostGcHeap | null = null;
  let profiler = new GCProfiler();
  profiler.start();

  function addEvent(event: GcEvent): void {
    pauseMsTotal += event.cost / 1_000;
    // V8's names are Scavenge, MinorMarkCompact, MarkSweepCompact, IncrementalMarking and ProcessWeakCallbacks.
    if (event.gcType === 'MarkSweepCompact') {
      majorTotal += 1;
      isMarking = false;
      floor = { atMs: clock.nowMs(), bytes: oldSpaceBytesAfter(event) };
    } else if (event.gcType === 'IncrementalMarking') {
      // The event comes when V8 begins to mark, seconds before the major GC that ends it.
      incrementalTotal += 1;
      isMarking = true;
    } else if (event.gcType !== 'ProcessWeakCallbacks') minorTotal += 1;
  }
  function collectEvents(): void {
    const events = profiler.stop()?.statistics ?? [];
    profiler = new GCProfiler();
    profiler.start();
    for (const event of events) addEvent(event);
  }

  const stopTimer = clock.every(COLLECT_EVERY_MS, guard.wrap('gc', collectEvents));
  return {
    read() {
      collectEvents();
      const reading = { minorTotal, majorTotal, incrementalTotal, pauseMsTotal, floor };
      floor = null;
      return reading;
    },
    completedMajorGcs() {
      collectEvents();
      return isMarking ? null : majorTotal;
    },
    stop() {
      stopTimer();
      profiler.stop();
    },
  };
}

function oldSpaceBytesAfter(event: GcEvent): number {
  let bytes = 0;
  for (const space of event.afterGC.heapSpaceStatistics) {
    if (!isYoungSpace(space.spaceName)) bytes += space.spaceUsedSize;
  }
  return bytes;
}
