/** Finds the object by which a library other than ws can send a ping frame on a socket: `websocket-driver`, `websocket`. */
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { isArray } from '../discovery/collection.ts';
import { readField } from '../discovery/field-reader.ts';
import { baseReader } from '../base-property.ts';
import { hasMethod } from '../find-property.ts';

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
      const connections = readField(server, 'connections');
      if (!isArray(connections)) continue;
      const first = Math.max(0, connections.length - MAX_LISTED);
      for (let index = first; index < connections.length; index += 1) {
        const connection = readField(connections, index);
        const socket = readField(connection, 'socket');
        if (typeof socket === 'object' && socket !== null && isLibraryConnection(connection))
          this.#bySocket.set(socket as Socket, connection);
      }
    }
  }
}

const readReadyState = baseReader('readyState');
const isConnected = baseReader('connected');

export function isLibraryConnectionOpen(library: LibraryConnection): boolean {
  const readyState = readReadyState(library);
  return readyState === undefined ? isConnected(library) === true : readyState === 1;
}

/** A driver reads the socket through a stream that the socket is piped into. */
function driverOf(socket: Socket): LibraryConnection | null {
  const pipes = (socket as Piped)._readableState?.pipes;
  for (const stream of Array.isArray(pipes) ? (pipes as unknown[]) : [pipes]) {
    const driver = readField(stream, '_driver');
    if (isLibraryConnection(driver) && hasMethod(driver, 'frame')) return driver;
  }
  return null;
}

const isLibraryConnection = (value: unknown): value is LibraryConnection =>
  typeof value === 'object' && value !== null && hasMethod(value, 'ping') && hasMethod(value, 'emit');
