/** Types of the public API: the `Agent` that `start()` returns. docs/api.md describes them with examples. */
import type { EventEmitter } from 'node:events';
import type { RegistryLike } from '../export/collect-into.ts';
import type { ConnectionObject, WatchConnectionOptions } from '../hooks/connections/watched-connections.ts';
import type { RoomsMap, Watchable } from '../hooks/registered-collections.ts';
import type { Alert, Audit, Dispose, Snapshot, Status } from '../types/index.ts';

export interface ReportWritten {
  readonly alertId: string;
  /** Absolute path of `report.json`; `report.txt` and `report.html` are in the same directory. */
  readonly file: string;
}

/** The events of `agent.on` and their values. */
export interface AgentEvents {
  /** Every transition: opened, updated, closed. */
  alert: Alert;
  /** The outcome of every heap snapshot that the agent or the application requested. */
  snapshot: Snapshot;
  /** A report was written, or rewritten after an update. */
  report: ReportWritten;
}

/**
 * The running agent. The `watch...` methods, `on` and `collectInto` throw a `TypeError` with the code
 * `WSGUARD_WATCH_ARGUMENT` for a wrong argument. They return a `Dispose` function that undoes the call. The promises never
 * reject.
 */
export interface Agent {
  /**
   * Counts the live entries of a collection: sessions, clients, subscriptions. A `Map`, `Set` or `Array` is referenced
   * weakly. A function that returns the number of entries is kept until its `Dispose`.
   */
  watchRegistry(name: string, thing: Watchable): Dispose;
  /** Counts the items of a queue. `oldestAgeMs` returns the age of the oldest item in milliseconds. */
  watchQueue(name: string, thing: Watchable, options?: { readonly oldestAgeMs?: () => number }): Dispose;
  /** Counts rooms and their members: a `Map` from a room to a `Set`, `Array` or `Map` of members, referenced weakly. */
  watchRooms(name: string, rooms: RoomsMap): Dispose;
  /** Counts the listeners of each event, and their sum. The emitter is referenced weakly. */
  watchEmitter(name: string, emitter: EventEmitter): Dispose;
  /** Counts a connection that the agent cannot find by itself, or gives a connection an id. */
  watchConnection(connection: ConnectionObject, options?: WatchConnectionOptions): Dispose;
  /** Adds a listener. An error that it throws is logged and counted, and never reaches the application. */
  on<E extends keyof AgentEvents>(event: E, listener: (value: AgentEvents[E]) => void): Dispose;
  /** Resolves within 2 s. `watcher: 'silent'` means that the watcher did not respond in that time. */
  status(): Promise<Status>;
  /**
   * Takes a heap snapshot if memory, disk, quota and pause budget permit. It blocks the process for `pauseMs`. `label`
   * becomes part of the file name.
   */
  snapshot(label: string): Promise<Snapshot>;
  /**
   * Counts the entries of all containers in the heap now and compares them with the earlier audits. Through the same gate
   * as a snapshot. In the process it blocks for `pauseMs`.
   */
  audit(): Promise<Audit>;
  /** Adds the agent's metrics to a prom-client registry that the application serves. */
  collectInto(promClientRegistry: RegistryLike): Dispose;
  /**
   * Closes open alerts, waits up to 2 s for deliveries, undoes every hook and ends the watcher. A later `start()` starts
   * a new agent.
   */
  stop(): Promise<void>;
}
