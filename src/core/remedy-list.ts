/**
 * The list of remedies of this process. It joins `@wsguard/agent/remedy` with the agent, whichever is loaded first, and it
 * works for two copies of the package. Without an agent it costs one entry for each part.
 */
import type { Alert, Dispose, Status } from '../types/index.ts';
import { DurationHistogram } from './duration-histogram.ts';

/** The methods of the agent that the remedies use. */
export interface WatchingAgent {
  watchRegistry(name: string, thing: () => number): Dispose;
  watchQueue(name: string, thing: () => number, options: { readonly oldestAgeMs: () => number }): Dispose;
  watchRooms(name: string, rooms: ReadonlyMap<string, ReadonlySet<unknown>>): Dispose;
  on(event: 'alert', listener: (alert: Alert) => void): Dispose;
  status(): Promise<Pick<Status, 'timeToLimit'>>;
}

export type Attach = (agent: WatchingAgent) => Dispose;

/** `globalThis[Symbol.for('wsguard.remedies')]`: all copies of this package in one process share it. */
export interface RemedyList {
  readonly parts: Map<Attach, Dispose | null>;
  /** Number of actions since the process started, by `remedy action`, such as `safeSend dropped`. */
  readonly actions: Map<string, number>;
  /** From the publishing of a message to its receipt by the fan-out. */
  readonly fanoutLag: DurationHistogram;
  agent: WatchingAgent | null;
}

const LIST = Symbol.for('wsguard.remedies');
const globals = globalThis as unknown as Record<symbol, RemedyList | undefined>;

/** For an application that has closed its global object to new properties. */
const ownList: RemedyList = {
  parts: new Map(),
  actions: new Map(),
  fanoutLag: new DurationHistogram(),
  agent: null,
};

export function remedyList(): RemedyList {
  if (globals[LIST] === undefined) Reflect.set(globals, LIST, ownList);
  return globals[LIST] ?? ownList;
}
