import type { EventEmitter } from 'node:events';
import type { Retained } from './retained.ts';

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

export class Polling {
  opened = 0;
  closed = 0;
  readonly #retained: Retained;
  readonly #sessions = new Map<string, Session>();
  #round = 0;

  constructor(retained: Retained) {
    this.#retained = retained;
  }

  get active(): number {
    return this.#sessions.size;
  }

  /** Compares the sessions with those of the last look: one that came and went in between is not seen. */
  look(engines: readonly EngineServer[], nowMs: number): void {
    this.#round += 1;
    for (const { clients } of engines) {
      for (const id in clients) this.#see(id, clients[id]);
    }
    for (const [id, session] of this.#sessions) {
      if (session.round !== this.#round) this.#leave(id, session, nowMs);
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

  #leave(id: string, session: Session, nowMs: number): void {
    this.#sessions.delete(id);
    this.closed += 1;
    const socket = session.ref.deref();
    // One that is no longer polling went on by WebSocket, and counts there.
    if (socket !== undefined && socket.transport?.name === 'polling') this.#retained.note(socket, nowMs);
  }
}
