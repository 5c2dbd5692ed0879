/** Composes the probes of the process itself: memory, limits, GC, event loop and descriptors, whatever it serves. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Guard } from '../core/guard.ts';
import type { Blind, Clock, GcReading, LoopReading, Sample } from '../types/index.ts';
import { createDescriptorProbe, type DescriptorProbe } from './descriptors.ts';
import { createGcProbe, type GcProbe } from './gc.ts';
import { createLimitsReader, type HeapFlags, type LimitsReader } from './limits.ts';
import { readMemory } from './memory.ts';

export type ProcessReading = Pick<Sample, 'memory' | 'limits' | 'gc' | 'loop' | 'descriptors'>;

const NO_GC: GcReading = { minorTotal: 0, majorTotal: 0, incrementalTotal: 0, pauseMsTotal: 0, floor: null };

/** A probe that cannot run here has an empty reading, and the guard counts its fault. */
export class ProcessProbes {
  readonly #guard: Guard;
  readonly #limits: LimitsReader;
  readonly #gc: GcProbe | null;
  readonly #loop: LoopProbe | null;
  readonly #descriptors: DescriptorProbe = createDescriptorProbe();

  constructor(deps: { clock: Clock; guard: Guard; flags: HeapFlags }) {
    const { clock, guard, flags } = deps;
    this.#guard = guard;
    this.#limits = createLimitsReader(flags);
    this.#gc = guard.run('gc', () => createGcProbe(clock, guard), null);
    this.#loop = guard.run('loop', () => createLoopProbe(), null);
    this.#refresh();
  }

  read(): ProcessReading {
    const guard = this.#guard;
    const memory = readMemory();
    const reading = {
      memory,
      limits: this.#limits.read(memory.heapLimitBytes),
      gc: guard.run('gc', () => this.#gc?.read() ?? NO_GC, NO_GC),
      loop: guard.run('loop', () => this.#loop?.read() ?? null, null),
      descriptors: guard.run('descriptors', () => this.#descriptors.read(), null),
    };
    this.#refresh();
    return reading;
  }

  /** Major GCs of this process until this moment. Null while V8 marks the heap for the next one. */
  completedMajorGcs(): number | null {
    return this.#guard.run('gc', () => this.#gc?.completedMajorGcs() ?? null, null);
  }

  blind(): Blind[] {
    const blind: Blind[] = [];
    if (this.#gc === null)
      blind.push({ what: 'garbage collections', why: 'v8.GCProfiler is not available in this runtime' });
    const unreadable = this.#descriptors.unreadable();
    if (unreadable !== null) blind.push({ what: 'open descriptors', why: unreadable });
    return blind;
  }

  stop(): void {
    this.#gc?.stop();
    this.#loop?.stop();
  }

  #refresh(): void {
    void this.#guard.runAsync('descriptors', () => this.#descriptors.refresh(), undefined);
  }
}

interface LoopProbe {
  /** Event loop delay since the last reading; null with too few measurements for a percentile. */
  read(): LoopReading | null;
  stop(): void;
}

const RESOLUTION_MS = 20;
const MIN_MEASUREMENTS = 5;

function createLoopProbe(): LoopProbe {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // The histogram measures the time between two of its timers, which includes the interval of the timer.
  const delayMs = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
  return {
    read() {
      const hasEnough = histogram.count >= MIN_MEASUREMENTS;
      const reading = hasEnough
        ? { delayP99Ms: delayMs(histogram.percentile(99)), delayMaxMs: delayMs(histogram.max) }
        : null;
      histogram.reset();
      return reading;
    },
    stop: () => void histogram.disable(),
  };
}
