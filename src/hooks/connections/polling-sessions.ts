import type { EventEmitter } from 'node:events';
import type { Retained } from './retained-connections.ts';

/** A client by long polling has no socket of its own: the server's list is the only place that knows it. */
export interface EngineServer extends EventEmitter {
  readonly clientsCount: number;
  readonly clients: Readonly<Record<string, EngineSocket>>;
}
interface EngineSocket {
  readonly transport?: { readonly name?: string };
}
interface Session {
  readonly ref: WeakRef<EngineSocket>;
  round: number;
}

const MAX_SESSIONS = 50_000;
/** A new one takes up to 4 us, its WeakRef and its place in the map included. */
const SLICE_SESSIONS = 250;

export class Polling {
  opened = 0;
  closed = 0;
  readonly #retained: Retained;
  readonly #sessions = new Map<string, Session>();
  #looking: Iterator<number, void> | null = null;
  #round = 0;
  #nowMs = 0;

  constructor(retained: Retained) {
    this.#retained = retained;
  }

  get active(): number {
    return this.#sessions.size;
  }

  /**
   * One slice of a look; true when it is complete. A look compares the sessions with those of the last one: what came and
   * went in between is not seen. Sessions may come and go between two slices.
   */
  lookSlice(engines: readonly EngineServer[], nowMs: number): boolean {
    const looking = (this.#looking ??= this.#look(engines));
    this.#nowMs = nowMs;
    for (let left = SLICE_SESSIONS; left > 0;) {
      const next = looking.next();
      if (next.done) {
        this.#looking = null;
        return true;
      }
      left -= next.value;
    }
    return false;
  }

  stop(): void {
    this.#looking = null;
    this.#sessions.clear();
  }

  /** Gives what each step took of a slice. */
  *#look(engines: readonly EngineServer[]): Generator<number, void> {
    this.#round += 1;
    for (const { clients, clientsCount } of engines) {
      // The names of 10,000 are listed in one go, which takes a millisecond: in a turn of its own.
      const alone = clientsCount > SLICE_SESSIONS ? SLICE_SESSIONS : 0;
      yield alone;
      const ids = Object.keys(clients);
      yield alone;
      for (const id of ids) {
        this.#see(id, clients[id]);
        yield 1;
      }
    }
    for (const [id, session] of this.#sessions) {
      if (session.round !== this.#round) this.#leave(id, session);
      yield 1;
    }
  }

  #see(id: string, socket: EngineSocket | undefined): void {
    if (socket?.transport?.name !== 'polling') return;
    const session = this.#sessions.get(id);
    if (session !== undefined) session.round = this.#round;
    else if (this.#sessions.size < MAX_SESSIONS) {
      this.opened += 1;
      this.#sessions.set(id, { ref: new WeakRef(socket), round: this.#round });
    }
  }

  #leave(id: string, session: Session): void {
    this.#sessions.delete(id);
    this.closed += 1;
    const socket = session.ref.deref();
    // One that is no longer polling went on by WebSocket, and counts there.
    if (socket !== undefined && socket.transport?.name === 'polling')
      this.#retained.note(socket, this.#nowMs);
  }
}
