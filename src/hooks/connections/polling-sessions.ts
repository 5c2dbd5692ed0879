/**
 * Counts the long-polling sessions of engine.io, which have no socket of their own, only an entry in `clients`, and the bytes that
 * wait in engine.io for any of its clients.
 */
import type { EventEmitter } from 'node:events';
import type { Blind } from '../../types/index.ts';
import { listNames, readField } from '../discovery/field-reader.ts';
import { waitingBytes } from './engine-packets.ts';
import type { RetainedConnections } from './retained-connections.ts';

export interface EngineServer extends EventEmitter {
  readonly clientsCount: number;
  readonly clients: Readonly<Record<string, EngineSocket>>;
}
interface EngineSocket {
  readonly transport?: { readonly name?: string };
}
interface Session {
  readonly ref: WeakRef<EngineSocket>;
  /** Last scan that saw the session. */
  scan: number;
}

/** A bound on memory: each session costs a WeakRef and a map entry. */
const MAX_SESSIONS = 50_000;
/** A new session takes up to 4 us with its WeakRef and map entry, so a slice takes about 1 ms. */
const SLICE_SESSIONS = 250;

export class PollingSessions {
  opened = 0;
  closed = 0;
  /** The sum of the last complete scan. */
  waitingBytes = 0;
  readonly #retained: RetainedConnections;
  readonly #sessions = new Map<string, Session>();
  #steps: Iterator<number, void> | null = null;
  #scan = 0;
  #isFull = false;
  #nowMs = 0;
  #scannedBytes = 0;

  constructor(retained: RetainedConnections) {
    this.#retained = retained;
  }

  get active(): number {
    return this.#sessions.size;
  }

  blind(): Blind[] {
    if (!this.#isFull) return [];
    return [{ what: 'further long-polling sessions', why: `the agent counts ${MAX_SESSIONS} at a time` }];
  }

  /**
   * One slice of a scan; true when the scan is complete. A scan compares the sessions with those of the scan before, so it
   * misses sessions that opened and closed in between. Sessions may open and close between two slices.
   */
  scanSlice(engines: readonly EngineServer[], nowMs: number): boolean {
    const steps = (this.#steps ??= this.#scanSteps(engines));
    this.#nowMs = nowMs;
    for (let budget = SLICE_SESSIONS; budget > 0;) {
      const step = steps.next();
      if (step.done) {
        this.#steps = null;
        this.waitingBytes = this.#scannedBytes;
        return true;
      }
      budget -= step.value;
    }
    return false;
  }

  stop(): void {
    this.#steps = null;
    this.#sessions.clear();
  }

  /** Yields the cost of each step, in sessions. */
  *#scanSteps(engines: readonly EngineServer[]): Generator<number, void> {
    this.#scan += 1;
    this.#scannedBytes = 0;
    for (const engine of engines) {
      const [clients, clientsCount] = [readField(engine, 'clients'), engine.clientsCount];
      if (typeof clients !== 'object' || clients === null) continue;
      // Listing 10,000 keys takes a millisecond, so a large list gets a slice of its own.
      const listingCost = clientsCount > SLICE_SESSIONS ? SLICE_SESSIONS : 0;
      yield listingCost;
      const ids = listNames(clients);
      yield listingCost;
      for (const id of ids) {
        this.#note(id, readField(clients, id) as EngineSocket | undefined);
        yield 1;
      }
    }
    for (const [id, session] of this.#sessions) {
      if (session.scan !== this.#scan) this.#close(id, session);
      yield 1;
    }
  }

  #note(id: string, socket: EngineSocket | undefined): void {
    this.#scannedBytes += waitingBytes(socket);
    if (socket?.transport?.name !== 'polling') return;
    const session = this.#sessions.get(id);
    if (session !== undefined) session.scan = this.#scan;
    else if (this.#sessions.size < MAX_SESSIONS) {
      this.opened += 1;
      this.#sessions.set(id, { ref: new WeakRef(socket), scan: this.#scan });
    } else this.#isFull = true;
  }

  #close(id: string, session: Session): void {
    this.#sessions.delete(id);
    this.closed += 1;
    const socket = session.ref.deref();
    // A session that upgraded to a WebSocket is still open and is counted there.
    if (socket !== undefined && socket.transport?.name === 'polling')
      this.#retained.addClosed(socket, this.#nowMs);
  }
}
