/**
 * The agent's one inspector session on this thread. The end of any session makes V8 forget the ids of objects in heap
 * snapshots, so the session stays connected until the snapshots of a round are compared.
 */
import type { Session } from 'node:inspector';
import type { Clock } from '../types/index.ts';
import { createClock } from './clock.ts';

/** While a session is connected, V8 keeps the arguments of the last 1,000 console messages alive, and after it too. */
const DISCARD_PERIOD_MS = 10_000;
/** Longer than a round: two waits of 15 min between three snapshots, and the time to redact and analyse them. */
const KEEP_IDS_MS = 45 * 60_000;

export class InspectorConnection {
  readonly #clock: Clock;
  #session: Session | null = null;
  #users = 0;
  #keepUntilMs = -Infinity;
  #stopDiscarding: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isConnected(): boolean {
    return this.#session !== null;
  }

  /** Connects unless it is connected. Throws in a Node without inspector. Each call needs one `release`. */
  acquire(): Session {
    this.#session ??= this.#connect();
    this.#users += 1;
    return this.#session;
  }

  release(): void {
    this.#users -= 1;
    this.#disconnectIfUnused();
  }

  /** Call it before each snapshot: from then on no session of the agent ends until the round is over. */
  keepObjectIds(): void {
    this.#discardConsoleMessages();
    this.#keepUntilMs = this.#clock.nowMs() + KEEP_IDS_MS;
    this.#clock.after(KEEP_IDS_MS, () => this.#disconnectIfUnused());
  }

  #connect(): Session {
    // Loaded on demand: `require` throws in a Node that was built without the inspector.
    const { Session } = require('node:inspector') as typeof import('node:inspector');
    const session = new Session();
    session.connect();
    this.#stopDiscarding = this.#clock.every(DISCARD_PERIOD_MS, () => this.#discardConsoleMessages());
    return session;
  }

  #disconnectIfUnused(): void {
    if (this.#session === null || this.#users > 0 || this.#clock.nowMs() < this.#keepUntilMs) return;
    this.#stopDiscarding();
    this.#discardConsoleMessages();
    this.#session.disconnect();
    this.#session = null;
  }

  /** Not while a debugger is attached to the process: its console would lose the objects. */
  #discardConsoleMessages(): void {
    if (this.#session === null) return;
    const { url } = require('node:inspector') as typeof import('node:inspector');
    if (url() === undefined) this.#session.post('Runtime.discardConsoleEntries');
  }
}

/** One for each thread: the ids belong to the thread's heap, whoever takes the snapshot. */
// A session that the application has ended refuses what the timers ask of it.
export const inspectorConnection = new InspectorConnection(createClock(() => undefined));

/** The session calls back before `post` returns, because it is connected to its own thread. Throws when V8 refuses. */
export function postNow<T>(session: Session, method: string, params: object = {}): T {
  let failure: Error | null = null;
  let result: unknown = null;
  session.post(method, params, (error: Error | null, value?: object) => {
    failure = error;
    result = value;
  });
  if (failure !== null) throw failure as Error;
  return result as T;
}
