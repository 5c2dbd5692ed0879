/**
 * Makes the remedies known to the agent of the process, whichever of the two is loaded first. The agent reads this list
 * when it starts. Without an agent the list costs one entry for each part.
 */
import type { Alert, Dispose } from '../types/index.ts';

/** The methods of the agent that the remedies use. */
export interface WatchingAgent {
  watchRegistry(name: string, thing: () => number): Dispose;
  watchQueue(name: string, thing: () => number, options: { readonly oldestAgeMs: () => number }): Dispose;
  watchRooms(name: string, rooms: ReadonlyMap<string, ReadonlySet<unknown>>): Dispose;
  on(event: 'alert', listener: (alert: Alert) => void): Dispose;
}

type Attach = (agent: WatchingAgent) => Dispose;

/** `globalThis[Symbol.for('wsguard.remedies')]`: all copies of this package in one process share it. */
export interface RemedyList {
  readonly parts: Map<Attach, Dispose | null>;
  /** Number of actions since the process started, by `remedy action`, such as `safeSend dropped`. */
  readonly actions: Map<string, number>;
  /** Delays of the messages that the fan-out received since the agent last read them, in milliseconds. */
  readonly fanoutLagsMs: number[];
  agent: WatchingAgent | null;
}

const LIST = Symbol.for('wsguard.remedies');
/** Parts that an application makes for each connection without a Dispose must not fill the memory. */
const MAX_PARTS = 1_000;
/** The agent reads the delays every 15 s. At a higher rate than 66 messages a second it gets the latest ones. */
const MAX_FANOUT_LAGS = 1_000;
const globals = globalThis as unknown as Record<symbol, RemedyList | undefined>;

export function remedyList(): RemedyList {
  return (globals[LIST] ??= { parts: new Map(), actions: new Map(), fanoutLagsMs: [], agent: null });
}

/** Calls `attach` with the agent of the process, at once or when it starts. */
export function registerWithAgent(attach: Attach): Dispose {
  const { parts, agent } = remedyList();
  if (parts.size >= MAX_PARTS) return () => undefined;
  parts.set(attach, agent === null ? null : attach(agent));
  return () => {
    parts.get(attach)?.();
    parts.delete(attach);
  };
}

export function countAction(remedy: string, action: string): void {
  const { actions } = remedyList();
  const name = `${remedy} ${action}`;
  actions.set(name, (actions.get(name) ?? 0) + 1);
}

export function recordFanoutLag(lagMs: number): void {
  const { fanoutLagsMs } = remedyList();
  fanoutLagsMs.push(lagMs);
  if (fanoutLagsMs.length > MAX_FANOUT_LAGS) fanoutLagsMs.shift();
}

const names = new Map<string, number>();

/** `Rooms`, `Rooms 2`, ...: two parts of one name would replace each other in the agent. */
export function uniqueName(name: string): string {
  const count = (names.get(name) ?? 0) + 1;
  names.set(name, count);
  return count === 1 ? name : `${name} ${count}`;
}
