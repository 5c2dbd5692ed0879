import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Guard } from '../../core/guard.ts';
import type { Connection } from './connection.ts';

/** A `pipe` is a tool's private channel (tsx has one); every other kind is serving. */
export type ServerKind = 'http' | 'https' | 'http2' | 'tcp' | 'pipe';

export interface WatchedServer {
  readonly server: Server;
  readonly kind: ServerKind;
}

export interface SocketObserver {
  opened(socket: Socket): void;
  closed(socket: Socket, connection: Connection | null): void;
}

interface AcceptedSocket extends Socket {
  readonly _server?: Server | null;
}

const LISTENING = 'tracing:net.server.listen:asyncEnd';
const ACCEPTED = 'net.server.socket';
/** Servers come and go in a test runner; a server process has a handful. */
const MAX_SERVERS = 200;

/** By shape, since `instanceof` would load http into every npm and npx that inherits NODE_OPTIONS. */
export function kindOf(server: Server): ServerKind {
  if ('headersTimeout' in server) return isSecure(server) ? 'https' : 'http';
  if ('updateSettings' in server) return 'http2';
  return typeof server.address() === 'string' ? 'pipe' : 'tcp';
}

const isSecure = (server: Server): boolean => 'setSecureContext' in server;
const isServer = (handle: object): handle is Server => 'listening' in handle && 'listen' in handle;

/** The part that sleeps in every process: two core channels, no timer, nothing held but open sockets. */
export class Sockets {
  /** Every open socket of a serving server, and what the sampler has made of it; held until `close` only. */
  readonly open = new Map<Socket, Connection | null>();
  readonly #guard: Guard;
  readonly #onServe: (server: Server) => void;
  readonly #kinds = new WeakMap<Server, ServerKind>();
  readonly #onListening: (message: unknown) => void;
  readonly #onAccepted: (message: unknown) => void;
  readonly #onSecure: (socket: TLSSocket) => void;
  readonly #onClose: (this: Socket) => void;
  #servers: WeakRef<Server>[] = [];
  #observer: SocketObserver | null = null;
  /** Until then each new server asks to wake up: the first one may only be handed on (a cluster's primary). */
  #awake = false;

  constructor(guard: Guard, onServe: (server: Server) => void) {
    this.#guard = guard;
    this.#onServe = onServe;
    this.#onListening = guard.wrap('server listens', (message) => {
      const { server } = message as { server: Server };
      if (!this.#kinds.has(server)) this.#meet(server);
    });
    this.#onAccepted = guard.wrap('socket accepted', (message) => {
      this.#accept((message as { socket: AcceptedSocket }).socket);
    });
    this.#onSecure = guard.wrap('secure connection', (socket) => this.add(socket));
    const drop = (socket: Socket): void => this.drop(socket);
    // One function for all sockets: a closure each would cost every connection its bytes.
    this.#onClose = function onClose() {
      drop(this);
    };
    subscribe(LISTENING, this.#onListening);
    subscribe(ACCEPTED, this.#onAccepted);
  }

  /** Hears of each socket that opened or closed, on the spot. */
  observe(observer: SocketObserver | null): void {
    this.#observer = observer;
  }

  servers(): WatchedServer[] {
    return this.#alive().map((server) => ({ server, kind: this.#kinds.get(server) ?? 'tcp' }));
  }

  /** Follows a socket: an accepted one, or one that the application hands over. */
  add(socket: Socket): void {
    if (socket.destroyed || this.open.has(socket)) return;
    this.open.set(socket, null);
    socket.on('close', this.#onClose);
    this.#observer?.opened(socket);
  }

  /** Forgets a socket: closed, or destroyed though its `close` never reached us (listeners can be stripped). */
  drop(socket: Socket): void {
    const connection = this.open.get(socket);
    if (connection === undefined) return;
    this.open.delete(socket);
    if (this.#observer === null) return;
    this.#guard.run('socket closed', () => this.#observer?.closed(socket, connection), undefined);
  }

  /** Servers and sockets that were there before us, as far as Node lists them. */
  adoptExisting(): void {
    this.#awake = true;
    const handles = this.#guard.run('existing', activeHandles, []);
    for (const handle of handles) {
      if (isServer(handle) && !this.#kinds.has(handle)) this.#meet(handle);
    }
    for (const handle of handles) {
      if (!isServer(handle)) this.#accept(handle as AcceptedSocket);
    }
  }

  stop(): void {
    unsubscribe(LISTENING, this.#onListening);
    unsubscribe(ACCEPTED, this.#onAccepted);
    this.#observer = null;
    for (const server of this.#alive()) server.removeListener('secureConnection', this.#onSecure);
    for (const socket of this.open.keys()) socket.removeListener('close', this.#onClose);
    this.open.clear();
  }

  #accept(socket: AcceptedSocket): void {
    const server = socket._server;
    if (server === null || server === undefined) return;
    const kind = this.#kinds.get(server) ?? this.#meet(server);
    if (kind !== 'pipe' && !isSecure(server)) this.add(socket);
  }

  #meet(server: Server): ServerKind {
    const kind = this.#guard.run<ServerKind>('server', () => kindOf(server), 'tcp');
    this.#kinds.set(server, kind);
    if (kind === 'pipe') return kind;
    if (this.#servers.length >= MAX_SERVERS) this.#servers = this.#servers.filter((ref) => ref.deref());
    if (this.#servers.length < MAX_SERVERS) this.#servers.push(new WeakRef(server));
    // Under TLS the channel shows the raw socket, which has no link to its TLSSocket.
    if (isSecure(server)) server.on('secureConnection', this.#onSecure);
    if (!this.#awake) this.#guard.run('wake', () => this.#onServe(server), undefined);
    return kind;
  }

  #alive(): Server[] {
    return this.#servers.map((ref) => ref.deref()).filter((server) => server !== undefined);
  }
}

/** Documented as deprecated, never removed, and the only list of sockets accepted before us. */
function activeHandles(): object[] {
  const list = (process as unknown as { _getActiveHandles?: () => object[] })._getActiveHandles;
  return typeof list === 'function' ? list.call(process) : [];
}
