import type { ByTransport, Transport } from '../../types/index.ts';
import { TRANSPORTS } from '../../types/index.ts';
import type { Answering, Connection } from './connection.ts';

type Counts = Record<Transport, number>;
const noCounts = (): Counts => ({ websocket: 0, sse: 0, polling: 0, upgraded: 0 });

export interface Population {
  readonly active: ByTransport;
  readonly opened: ByTransport;
  readonly closed: ByTransport;
  readonly unanswering: number;
  readonly unaskable: number;
  readonly sendBufferBytes: number;
  readonly slow: number;
}

/** The sums over the connections, kept with each change: right at any moment, also between two slices of a sweep. */
export class Tally {
  readonly #opened = noCounts();
  readonly #closed = noCounts();
  readonly #answering: Record<Answering, number> = { yes: 0, no: 0, unknown: 0 };
  readonly #slow = new Set<Connection>();
  #sendBufferBytes = 0;

  open({ transport, answering }: Connection): void {
    this.#opened[transport] += 1;
    this.#answering[answering] += 1;
  }

  close(connection: Connection): void {
    this.#closed[connection.transport] += 1;
    this.#answering[connection.answering] -= 1;
    this.#sendBufferBytes -= connection.waitingBytes;
    this.#slow.delete(connection);
  }

  waiting(deltaBytes: number): void {
    this.#sendBufferBytes += deltaBytes;
  }

  judged(connection: Connection, answering: Answering): void {
    if (answering === connection.answering) return;
    this.#answering[connection.answering] -= 1;
    this.#answering[answering] += 1;
    connection.answering = answering;
  }

  slow(connection: Connection, isSlow: boolean): void {
    if (isSlow) this.#slow.add(connection);
    else if (this.#slow.size > 0) this.#slow.delete(connection);
  }

  active(transport: Transport): number {
    return this.#opened[transport] - this.#closed[transport];
  }

  read(): Population {
    const active = noCounts();
    for (const transport of TRANSPORTS) active[transport] = this.active(transport);
    return {
      active,
      opened: { ...this.#opened },
      closed: { ...this.#closed },
      unanswering: this.#answering.no,
      unaskable: this.#answering.unknown,
      sendBufferBytes: this.#sendBufferBytes,
      slow: this.#slow.size,
    };
  }
}
