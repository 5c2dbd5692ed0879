/** Finds the object by which a library other than ws can send a ping frame on a socket: `websocket-driver`, `websocket`. */
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

/** `websocket-driver` is in `faye-websocket`, and so in SockJS. Both objects emit `pong`. */
export interface LibraryConnection extends EventEmitter {
  /** False where the version of the protocol has no ping frame. */
  ping(payload: string): unknown;
  /** Only drivers have it: 1 is open. */
  readonly readyState?: number;
  /** Only connections of `websocket` have it. */
  readonly connected?: boolean;
  readonly socket?: Socket;
}

interface Piped {
  readonly _readableState?: { readonly pipes?: unknown };
}

/** A server that never removes its closed connections has a long list. The newest are at its end. */
const MAX_LISTED = 20_000;

export class LibraryConnections {
  readonly #servers: () => readonly object[];
  readonly #bySocket = new WeakMap<Socket, LibraryConnection>();

  /** `servers`: the WebSocket servers that the emitter tracker has seen. */
  constructor(servers: () => readonly object[]) {
    this.#servers = servers;
  }

  find(socket: Socket): LibraryConnection | null {
    return driverOf(socket) ?? this.#bySocket.get(socket) ?? null;
  }

  /** Reads the lists of connections again. 20,000 entries take a millisecond. */
  refresh(): void {
    for (const server of this.#servers()) {
      const { connections } = server as { connections?: unknown };
      if (!Array.isArray(connections)) continue;
      for (const connection of connections.slice(-MAX_LISTED) as unknown[]) {
        if (!isLibraryConnection(connection)) continue;
        const { socket } = connection;
        if (typeof socket === 'object' && socket !== null) this.#bySocket.set(socket, connection);
      }
    }
  }
}

export const isLibraryConnectionOpen = ({ readyState, connected }: LibraryConnection): boolean =>
  readyState === undefined ? connected === true : readyState === 1;

/** A driver reads the socket through a stream that the socket is piped into. */
function driverOf(socket: Socket): LibraryConnection | null {
  const pipes = (socket as Piped)._readableState?.pipes;
  for (const stream of Array.isArray(pipes) ? (pipes as unknown[]) : [pipes]) {
    const { _driver: driver } = (stream ?? {}) as { _driver?: unknown };
    if (isLibraryConnection(driver) && 'frame' in driver) return driver;
  }
  return null;
}

function isLibraryConnection(value: unknown): value is LibraryConnection {
  const { ping, emit } = (value ?? {}) as Record<string, unknown>;
  return typeof ping === 'function' && typeof emit === 'function';
}
