import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Config } from './config/schema.ts';
import type { Guard } from './guard.ts';
import type { Dormant } from './hooks/dormant.ts';
import type { Blind, Clock, Culprit, Dispose, Sample, SampleMark } from './types.ts';

export type Collection = ReadonlyMap<unknown, unknown> | ReadonlySet<unknown> | readonly unknown[];
export type Watchable = Collection | (() => number);
export type RoomsMap = ReadonlyMap<unknown, Collection>;

/** Reads a `Sample` of this process. Made when the agent wakes; everything it patches is undone by `stop`. */
export interface Sampler {
  /** Cheap; sweeps over the connections run sliced in between. */
  read(): Sample;
  watchRegistry(name: string, thing: Watchable): Dispose;
  watchQueue(name: string, thing: Watchable, options?: { oldestAgeMs?: () => number }): Dispose;
  watchRooms(name: string, map: RoomsMap): Dispose;
  watchEmitter(name: string, emitter: EventEmitter): Dispose;
  watchConnection(connection: Duplex, options?: { id?: string }): Dispose;
  /** Asks every connection that may be asked, and resolves when the answering window is over. */
  askAll(): Promise<void>;
  /** While on, a sample of up to 200 silent connections is asked once a minute. */
  setSuspicion(on: boolean): void;
  /** Function, file and line of the listeners of `event` (`*`: of the event with most). */
  locateListener(emitter: string, event: string): Promise<Culprit | null>;
  /** For the start line. */
  attached(): { servers: string[]; pings: boolean; blind: readonly Blind[] };
  noteMark(mark: SampleMark): void;
  stop(): void;
}

export interface SamplerDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly config: Config;
  readonly dormant: Dormant;
}

export function createSampler(_deps: SamplerDeps): Sampler {
  throw new Error('not built yet');
}
