/**
 * Tracks servers and accepted sockets from the preload on: through `diagnostics_channel`s of Node, and through the messages by
 * which a parent process hands sockets over (the workers of a sticky cluster never listen).
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Guard } from '../../core/guard.ts';
import { lazy } from '../../core/lazy.ts';
import type { Blind } from '../../types/index.ts';
import type * as BasePropertyModule from '../base-property.ts';
import type { Connection } from './connection.ts';
import type * as DestroyHookModule from './destroy-hook.ts';
import type * as ReceivedSocketsModule from './received-sockets.ts';
import type * as ServerKindModule from './server-kind.ts';
import type { ServerKind } from './server-kind.ts';

export interface TrackedServer {
  readonly server: Server;
  readonly kind: ServerKind;
}

export interface SocketObserver {
  socketOpened(socket: Socket): void;
  socketClosed(socket: Socket, connection: Connection | null): void;
}

interface AcceptedSocket extends Socket {
  readonly _server?: Server | null;
  /** Set by Node's http server. */
  readonly server?: Server | null;
  /** Null after the socket was closed or sent to another process. */
  readonly _handle?: object | null;
}

const LISTENING = 'tracing:net.server.listen:asyncEnd';
const ACCEPTED = 'net.server.socket';
const REQUEST = 'http.server.request.start';
/** A server process has a handful of servers; a test runner makes and drops many. */
const MAX_SERVERS = 200;

/**
 * True after `worker.send(message, socket)`: Node takes the handle away, the other process serves the connection, and the
 * socket here never emits `close`. The caller has checked that the socket is not destroyed.
 */
export const isSentAway = (socket: Socket): boolean => (socket as AcceptedSocket)._handle === null;

export class SocketTracker {
  /** The open sockets, each with its connection once that is classified. A socket is referenced until it is destroyed. */
  readonly open = new Map<Socket, Connection | null>();
  readonly #guard: Guard;
  readonly #onServe: (server: Server | null) => void;
  readonly #kinds = new WeakMap<Server, ServerKind>();
  readonly #secureServers = new WeakSet<Server>();
  readonly #onListening: (message: unknown) => void;
  readonly #onAccepted: (message: unknown) => void;
  readonly #onRequest: (message: unknown) => void;
  readonly #onSecureConnection: (socket: TLSSocket) => void;
  /** For a stream that `#destroyHook` does not cover. */
  readonly #onClose: (this: Socket) => void;
  #destroyHook: DestroyHookModule.DestroyHook | null = null;
  readonly #remove = (socket: Socket): void => this.remove(socket);
  #servers: WeakRef<Server>[] = [];
  #refusedServers = 0;
  #observer: SocketObserver | null = null;
  #isAdopted = false;
  #stopReceiving = (): void => {};

  /**
   * `onServe` is called for each new server until `adoptExisting`: the first one may be only handed on, as in the primary
   * of a cluster. It gets null for a connection of a server that does not listen in this process.
   */
  constructor(guard: Guard, onServe: (server: Server | null) => void) {
    this.#guard = guard;
    this.#onServe = onServe;
    this.#onListening = guard.wrap('server listens', (message) => {
      const { server } = message as { server: Server };
      // From now on accepted sockets are published, and the channel of requests would only cost time.
      unsubscribe(REQUEST, this.#onRequest);
      if (!this.#kinds.has(server)) this.#addServer(server);
    });
    this.#onAccepted = guard.wrap('socket accepted', (message) => {
      this.#accept((message as { socket: AcceptedSocket }).socket);
    });
    this.#onSecureConnection = guard.wrap('secure connection', (socket) => this.add(socket));
    const remove = this.#remove;
    // One function for all sockets: a closure for each would cost memory per connection.
    this.#onClose = function onClose() {
      remove(this);
    };
    this.#onRequest = guard.wrap('request', (message) => {
      const { server, socket } = message as { server: Server; socket: AcceptedSocket };
      if (!this.#kinds.has(server)) this.#receive(socket);
    });
    subscribe(LISTENING, this.#onListening);
    subscribe(ACCEPTED, this.#onAccepted);
    subscribe(REQUEST, this.#onRequest);
    // Only a process with an IPC channel can be sent a socket.
    if (process.channel !== undefined && process.channel !== null)
      guard.run('message', () => this.#watchMessages(), undefined);
  }

  /** The observer is called synchronously for each socket that opens or closes. */
  observe(observer: SocketObserver | null): void {
    this.#observer = observer;
  }

  servers(): TrackedServer[] {
    return this.#liveServers().map((server) => ({ server, kind: this.#kinds.get(server) ?? 'tcp' }));
  }

  add(socket: Socket): void {
    if (socket.destroyed || this.open.has(socket)) return;
    this.open.set(socket, null);
    if (!this.#isCovered(socket)) baseProperty().addListener(socket, 'close', this.#onClose);
    this.#observer?.socketOpened(socket);
  }

  /** For a closed socket, or a destroyed one whose listeners the application removed before its `close`. */
  remove(socket: Socket): void {
    this.#guard.run('socket closed', () => this.#forget(socket), undefined);
  }

  #forget(socket: Socket): void {
    const connection = this.open.get(socket);
    if (connection === undefined) return;
    this.open.delete(socket);
    this.#observer?.socketClosed(socket, connection);
  }

  /** For a socket that another process serves now: no longer references it. */
  release(socket: Socket): void {
    this.open.delete(socket);
    baseProperty().removeListener(socket, 'close', this.#onClose);
  }

  /** Adds servers and sockets that are older than the agent, as far as Node lists them. */
  adoptExisting(): void {
    this.#isAdopted = true;
    const handles = this.#guard.run('existing', () => kinds().activeHandles(), []);
    for (const handle of handles) {
      if (kinds().isServer(handle) && !this.#kinds.has(handle)) this.#addServer(handle);
    }
    for (const handle of handles) {
      if (!kinds().isServer(handle)) this.#accept(handle as AcceptedSocket);
    }
  }

  stop(): void {
    unsubscribe(LISTENING, this.#onListening);
    unsubscribe(ACCEPTED, this.#onAccepted);
    unsubscribe(REQUEST, this.#onRequest);
    this.#stopReceiving();
    this.#destroyHook?.stop();
    this.#observer = null;
    for (const server of this.#liveServers())
      baseProperty().removeListener(server, 'secureConnection', this.#onSecureConnection);
    for (const socket of this.open.keys()) baseProperty().removeListener(socket, 'close', this.#onClose);
    this.open.clear();
  }

  /** Loads the hook with the first socket, because most processes that load the preload have none. */
  #isCovered(socket: Socket): boolean {
    if (this.#destroyHook === null) {
      const { DestroyHook } = require('./destroy-hook.ts') as typeof DestroyHookModule;
      this.#destroyHook = new DestroyHook(this.#remove);
    }
    return this.#destroyHook.covers(socket);
  }

  #accept(socket: AcceptedSocket): void {
    const server = kinds().serverOf(socket);
    if (server === null || server === undefined) return;
    const kind = this.#kinds.get(server) ?? this.#addServer(server);
    if (kind !== 'ignored' && !this.#secureServers.has(server)) this.add(socket);
  }

  #watchMessages(): void {
    const { isSocket, watchReceivedSockets } =
      require('./received-sockets.ts') as typeof ReceivedSocketsModule;
    const receive = this.#guard.wrap('message', (handle: unknown) => {
      if (isSocket(handle)) this.#receive(handle);
    });
    this.#stopReceiving = watchReceivedSockets(receive);
  }

  /** A connection of a server that does not listen in this process. */
  #receive(socket: AcceptedSocket): void {
    const { server } = socket;
    const isNew = server !== null && server !== undefined && !this.#kinds.has(server);
    const kind = isNew ? this.#addServer(server) : 'tcp';
    if (kind === 'ignored') return;
    this.add(socket);
    if (!this.#isAdopted) this.#guard.run('wake', () => this.#onServe(null), undefined);
  }

  #addServer(server: Server): ServerKind {
    const kind = this.#guard.run<ServerKind>('server', () => kinds().kindOf(server), 'tcp');
    this.#kinds.set(server, kind);
    if (kind === 'ignored') return kind;
    if (this.#servers.length >= MAX_SERVERS) this.#servers = this.#servers.filter((ref) => ref.deref());
    if (this.#servers.length < MAX_SERVERS) this.#servers.push(new WeakRef(server));
    else this.#refusedServers += 1;
    // With TLS the channel publishes the raw socket, which has no link to its TLSSocket.
    if (this.#guard.run('server', () => kinds().isSecure(server), false)) {
      this.#secureServers.add(server);
      baseProperty().addListener(server, 'secureConnection', this.#onSecureConnection);
    }
    if (!this.#isAdopted) this.#guard.run('wake', () => this.#onServe(server), undefined);
    return kind;
  }

  blind(): Blind[] {
    if (this.#refusedServers === 0) return [];
    return [{ what: `${this.#refusedServers} servers`, why: `the agent lists ${MAX_SERVERS} at a time` }];
  }

  #liveServers(): Server[] {
    return this.#servers.map((ref) => ref.deref()).filter((server) => server !== undefined);
  }
}

/** Loaded with the first server or listener: most processes that load the preload have none. */
const kinds = lazy(() => require('./server-kind.ts') as typeof ServerKindModule);
const baseProperty = lazy(() => require('../base-property.ts') as typeof BasePropertyModule);
