import type { Socket } from 'node:net';
import type { Transport } from '../../types/index.ts';
import { eventStreamOf, isAnswered, isParsed } from './sse.ts';
import { webSocketOf } from './ws-instrumentation.ts';

export interface Carried {
  readonly transport: Transport;
  readonly holder: object;
}

interface ServedSocket extends Socket {
  readonly server?: object | null;
  readonly alpnProtocol?: string | false;
}

/** Tells what a socket carries by what lies on it; never on the path of a message. */
export class Transports {
  /** Sockets without an HTTP parser that were seen once: an upgrade may be under way. */
  readonly #bare = new WeakSet<Socket>();
  /** Sockets that the application handed over, which need no server of ours. */
  readonly #handedOver = new WeakSet<Socket>();

  handOver(socket: Socket): void {
    this.#handedOver.add(socket);
  }

  /** `again`: nothing can be said yet, a second look will tell. */
  of(socket: Socket): Carried | 'again' | null {
    const asUpgraded: Carried = { transport: 'upgraded', holder: socket };
    const handedOver = this.#handedOver.has(socket);
    const parsed = isParsed(socket);
    const ws = parsed ? null : webSocketOf(socket);
    if (ws !== null) return { transport: 'websocket', holder: ws };
    if (parsed || isAnswered(socket)) {
      const response = eventStreamOf(socket);
      if (response !== null) return { transport: 'sse', holder: response };
      return handedOver ? asUpgraded : null;
    }
    if (handedOver) return asUpgraded;
    if (!isUpgradeable(socket)) return null;
    if (this.#bare.has(socket)) return asUpgraded;
    if (socket.destroyed) return null;
    this.#bare.add(socket);
    return 'again';
  }
}

/** Of an HTTP/1 server: a plain TCP server's sockets, and HTTP/2 sessions, are not ours to name. */
const isUpgradeable = (socket: ServedSocket): boolean =>
  Boolean(socket.server && 'headersTimeout' in socket.server) && socket.alpnProtocol !== 'h2';
