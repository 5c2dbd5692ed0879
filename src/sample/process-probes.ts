import type { Guard } from '../core/guard.ts';
import type { Blind, Clock, GcReading, Sample } from '../types/index.ts';
import { createDescriptors, type Descriptors } from './descriptors.ts';
import { watchGc, type Gc } from './gc.ts';
import { createLimitsReader, type HeapFlags, type LimitsReader } from './limits.ts';
import { watchLoop, type Loop } from './loop.ts';
import { readMemory } from './memory.ts';

export type ProcessReading = Pick<Sample, 'memory' | 'limits' | 'gc' | 'loop' | 'descriptors'>;

const NO_GC: GcReading = { minorTotal: 0, majorTotal: 0, incrementalTotal: 0, pauseMsTotal: 0, floor: null };

/** What is true of the process, whatever it serves. A probe that cannot run here gives nothing and is counted. */
export class ProcessProbes {
  readonly #guard: Guard;
  readonly #limits: LimitsReader;
  readonly #gc: Gc | null;
  readonly #loop: Loop | null;
  readonly #descriptors: Descriptors = createDescriptors();

  constructor(deps: { clock: Clock; guard: Guard; flags: HeapFlags }) {
    const { clock, guard, flags } = deps;
    this.#guard = guard;
    this.#limits = createLimitsReader(flags);
    this.#gc = guard.run('gc', () => watchGc(clock, guard), null);
    this.#loop = guard.run('loop', () => watchLoop(), null);
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

  blind(): Blind[] {
    const blind: Blind[] = [];
    if (this.#gc === null) blind.push({ what: 'garbage collections', why: 'v8.GCProfiler is not there' });
    const descriptors = this.#descriptors.blind();
    if (descriptors !== null) blind.push({ what: 'open descriptors', why: descriptors });
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
