/** The connections that the application passes to `agent.watchConnection`, and the ids that it gives them. */
import type { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { startOf } from '../../core/safe-text.ts';
import type { Blind } from '../../types/index.ts';
import { watchArgumentError } from '../watch-argument-error.ts';

/** A WebSocket of ws has the last two members. */
export type ConnectionObject =
  Duplex | IncomingMessage | ServerResponse | (EventEmitter & { readonly readyState: number; ping(): void });

export interface WatchConnectionOptions {
  /**
   * Names the connection in `status().connections.ids`. Ids are equal when their first 64 characters are, and a second
   * call with the same id replaces the first.
   */
  readonly id?: string;
}

interface Watch {
  readonly socket: Socket;
  readonly id: string | null;
}

/** A bound on memory: further connections are watched without their ids. */
const MAX_IDS = 10_000;
/** Room for a UUID (36 characters) with a prefix. */
const MAX_ID_LENGTH = 64;

export class WatchedConnections {
  readonly #watches = new WeakMap<Socket, Watch>();
  readonly #byId = new Map<string, Watch>();
  #hasUsedIds = false;
  #refusedIds = 0;

  /** True once the application has given an id. */
  get hasUsedIds(): boolean {
    return this.#hasUsedIds;
  }

  blind(): Blind[] {
    if (this.#refusedIds === 0) return [];
    return [{ what: `ids of ${this.#refusedIds} connections`, why: `the agent keeps ${MAX_IDS} at a time` }];
  }

  /** `replaced` is the socket of an earlier call with this id. Throws a TypeError for a wrong argument. */
  add(
    connection: ConnectionObject,
    options: WatchConnectionOptions = {},
  ): { watch: Watch; replaced: Socket | null } {
    const socket = socketUnder(connection);
    const id = options.id === undefined ? null : boundedId(options.id);
    const former = id === null ? undefined : this.#byId.get(id);
    if (former !== undefined) this.#remove(former);
    const earlier = this.#watches.get(socket);
    if (earlier !== undefined) this.#remove(earlier);
    const hasRoom = this.#byId.size < MAX_IDS;
    if (id !== null && !hasRoom) this.#refusedIds += 1;
    const watch = { socket, id: hasRoom ? id : null };
    this.#watches.set(socket, watch);
    if (watch.id !== null) {
      this.#hasUsedIds = true;
      this.#byId.set(watch.id, watch);
    }
    return { watch, replaced: former === undefined || former.socket === socket ? null : former.socket };
  }

  /** False when a later call has replaced this watch, or its connection has closed. */
  end(watch: Watch): boolean {
    if (this.#watches.get(watch.socket) !== watch) return false;
    this.#remove(watch);
    return true;
  }

  has(socket: Socket): boolean {
    return this.#watches.has(socket);
  }

  idOf(socket: Socket): string | null {
    return this.#watches.get(socket)?.id ?? null;
  }

  /** Call it when the socket has closed: the table of ids retains its sockets. */
  forget(socket: Socket): void {
    const watch = this.#watches.get(socket);
    if (watch !== undefined) this.#remove(watch);
  }

  /** The open connections that have an id. */
  named(): Iterable<Watch> {
    return this.#byId.values();
  }

  stop(): void {
    this.#byId.clear();
  }

  #remove(watch: Watch): void {
    this.#watches.delete(watch.socket);
    if (watch.id !== null) this.#byId.delete(watch.id);
  }
}

interface WithSocket {
  /** On a ws WebSocket. */
  readonly _socket?: unknown;
  /** On a request, a response, and a connection of the package `websocket`. */
  readonly socket?: unknown;
}

/** The socket under a WebSocket, a request, a response or a stream. */
function socketUnder(connection: ConnectionObject): Socket {
  const { _socket, socket } = (connection ?? {}) as WithSocket;
  for (const candidate of [_socket, socket, connection]) {
    if (isStream(candidate)) return candidate as Socket;
  }
  throw watchArgumentError('connection', connection);
}

function isStream(value: unknown): boolean {
  const { pipe, on, write } = (value ?? {}) as Record<string, unknown>;
  return typeof pipe === 'function' && typeof on === 'function' && typeof write === 'function';
}

/** Ids are data of the application: without control characters they cannot break a line of a log or a terminal. */
function boundedId(id: unknown): string {
  if (typeof id !== 'string' || id === '') throw watchArgumentError('id', id);
  return startOf(id, MAX_ID_LENGTH).replace(/\p{Cc}/gu, '\uFFFD');
}
