/** What `start()` returns. */
import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { RegistryLike } from '../export/collect-into.ts';
import type { RoomsMap, Watchable } from '../hooks/registered-collections.ts';
import type { Alert, Dispose, Snapshot, Status } from '../types/index.ts';

export interface ReportWritten {
  readonly alertId: string;
  readonly file: string;
}

export interface AgentEvents {
  alert: Alert;
  snapshot: Snapshot;
  report: ReportWritten;
}

export interface Agent {
  /** Live entries. Maps, Sets and Arrays are held weakly, a function until its `Dispose`. */
  watchRegistry(name: string, thing: Watchable): Dispose;
  watchQueue(name: string, thing: Watchable, options?: { readonly oldestAgeMs?: () => number }): Dispose;
  watchRooms(name: string, rooms: RoomsMap): Dispose;
  watchEmitter(name: string, emitter: EventEmitter): Dispose;
  watchConnection(socketOrStream: Duplex, options?: { readonly id?: string }): Dispose;
  /** What a listener throws is counted and logged, never passed on. */
  on<E extends keyof AgentEvents>(event: E, listener: (value: AgentEvents[E]) => void): Dispose;
  status(): Promise<Status>;
  snapshot(label: string): Promise<Snapshot>;
  /** The same metrics in a registry of prom-client that the application serves itself. */
  collectInto(promClientRegistry: RegistryLike): Dispose;
  /** Undoes every hook. */
  stop(): Promise<void>;
}
