/**
 * `ResourceProbe` decides when the active resources are counted. It loads the code that counts them with the first count,
 * because most processes end before, and counts less often where a count takes long.
 */
import type { Blind, Clock, Culprit, DescriptorsReading, ResourceCounts } from '../../types/index.ts';
import type * as ActiveResourcesModule from './active-resources.ts';
import type { ActiveResources, ActiveResourcesDeps } from './active-resources.ts';

/** The window of counts starts after a warm-up of 6 min (docs/detection.md). */
const START_AFTER_MS = 5 * 60_000;
/** Counting takes at most this share of the time of the application thread. */
const MAX_SHARE = 0.001;
/**
 * A longer stop delays messages noticeably, so it is allowed once a minute, and an even longer one in 100 s: the detector
 * needs 16 counts in half an hour.
 */
const LONG_COUNT_MS = 2;
const VERY_LONG_COUNT_MS = 10;
const AFTER_LONG_COUNT_MS = 60_000;
const AFTER_VERY_LONG_COUNT_MS = 100_000;
/** On a busy machine most counts are interrupted, but hardly ever ten in a row. */
const COSTS_COMPARED = { min: 5, max: 10 } as const;

export interface ResourceProbeDeps extends ActiveResourcesDeps {
  readonly clock: Clock;
  /** Open sockets that servers of this process accepted. */
  readonly countAccepted: () => number;
}

export class ResourceProbe {
  readonly #deps: ResourceProbeDeps;
  #resources: ActiveResources | null = null;
  #nextMs: number;
  #lastCostsMs: readonly number[] = [];

  constructor(deps: ResourceProbeDeps) {
    this.#deps = deps;
    this.#nextMs = deps.clock.nowMs() + START_AFTER_MS / deps.timeScale;
  }

  /** Empty when no count is due. */
  read(descriptors: DescriptorsReading | null): ResourceCounts {
    const { clock, countAccepted } = this.#deps;
    if (clock.nowMs() < this.#nextMs) return {};
    const resources = (this.#resources ??= this.#load());
    const startedMs = clock.nowMs();
    const open = { acceptedSockets: countAccepted(), descriptors: descriptors?.open ?? null };
    const counts = resources.read(open, startedMs);
    const endedMs = clock.nowMs();
    this.#lastCostsMs = [...this.#lastCostsMs, endedMs - startedMs].slice(-COSTS_COMPARED.max);
    this.#nextMs = endedMs + waitAfter(this.#costMs(), this.#deps.timeScale);
    return counts;
  }

  /** `type` is a `ResourceType`. */
  locate(type: string): Culprit | null {
    return this.#resources?.locate(type) ?? null;
  }

  blind(): Blind[] {
    return this.#resources?.blind() ?? [];
  }

  /** Another process, a GC or the compilation of the first counts makes single counts long: the shortest one tells. */
  #costMs(): number {
    return this.#lastCostsMs.length < COSTS_COMPARED.min ? 0 : Math.min(...this.#lastCostsMs);
  }

  #load(): ActiveResources {
    const { ActiveResources } = require('./active-resources.ts') as typeof ActiveResourcesModule;
    return new ActiveResources(this.#deps);
  }
}

/** The share of the time is in real time. The waits that the detector depends on are in scaled time. */
function waitAfter(costMs: number, timeScale: number): number {
  if (costMs > VERY_LONG_COUNT_MS) return AFTER_VERY_LONG_COUNT_MS / timeScale;
  return costMs > LONG_COUNT_MS ? AFTER_LONG_COUNT_MS / timeScale : costMs / MAX_SHARE;
}
