/** `ConnectionRegistry`: the open WebSockets by id, with a limit, an idle sweep and one cleanup for each. */
import { randomUUID } from 'node:crypto';
import { errorMonitor } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createClock } from '../core/clock.ts';
import type { Clock, Dispose } from '../types/index.ts';
import { countAction, registerWithAgent, uniqueName } from './agent-registration.ts';
import { BoundedMessageQueue } from './bounded-message-queue.ts';
import { callSafely } from './call-safely.ts';
import { atLeast, checkMethods, checkOptions, TIMER } from './options.ts';
import { CLOSED, hasEnded, type Message, type WebSocketLike } from './types.ts';

export interface ConnectionRegistryOptions {
  /** Default 10,000. A further connection is closed with the code 1013 ("try again later"). */
  readonly maxConnections?: number;
  /** A connection that sent neither a message nor a ping nor a pong for this long is closed. Default 300,000. */
  readonly idleTimeoutMs?: number;
  /** Time between two checks for idle connections. Default 60,000. */
  readonly sweepIntervalMs?: number;
  /** Take the address from `X-Forwarded-For`. Only behind a proxy that sets this header. Default false. */
  readonly trustProxy?: boolean;
  /**
   * The id of a connection. Default: the header `x-client-id`, else a random UUID. A client that knows the id of another
   * can replace its connection; where this matters, return an id that the server has verified.
   */
  idOf?(request: IncomingMessage): string;
  /** Called once for each connection, after it was removed. */
  onRemoved?(this: void, connection: Connection): void;
}

export interface RegistryStats {
  readonly active: number;
  readonly maxConnections: number;
  readonly totalAdded: number;
  readonly totalRemoved: number;
  /** Removed because a new connection has the same id. */
  readonly totalReplaced: number;
  /** Closed with 1013, because the registry was full. */
  readonly totalRefused: number;
  readonly totalIdle: number;
}

const MAX_CONNECTIONS = 10_000;
const IDLE_TIMEOUT_MS = 300_000;
const SWEEP_INTERVAL_MS = 60_000;
/** Room for a UUID (36 characters) with a prefix. */
const MAX_ID_LENGTH = 128;
const MAX_PENDING = 100;
const REPLACED = 1000;
const TRY_AGAIN_LATER = 1013;
const RECEIVED_EVENTS = ['message', 'ping', 'pong'] as const;
/**
 * ws emits `close` after every `error`, also after `terminate()`. The others are for wrappers around a WebSocket or a
 * stream. `errorMonitor` does not count as a handler of the error.
 */
const END_EVENTS = ['close', errorMonitor, 'finish', 'abort', 'aborted'] as const;

interface Followed {
  /** Undoes what `add` did to the WebSocket. */
  readonly stop: Dispose;
  /** Monotonic time: a change of the system time must not make connections idle. */
  lastReceivedMs: number;
}

interface ConnectionFields {
  readonly id: string;
  readonly ip: string | null;
  readonly connectedAtMs: number;
}

/** One WebSocket of a `ConnectionRegistry`. */
export class Connection {
  readonly id: string;
  readonly ws: WebSocketLike;
  /** Null when the socket has already lost its address. */
  readonly ip: string | null;
  /** Milliseconds since 1970. */
  readonly connectedAtMs: number;
  lastActivityMs: number;
  messageCount = 0;
  /** Names of its rooms; `Rooms` keeps them. */
  readonly rooms = new Set<string>();
  #pending: BoundedMessageQueue<Message> | null = null;

  constructor(ws: WebSocketLike, { id, ip, connectedAtMs }: ConnectionFields) {
    this.ws = ws;
    this.id = id;
    this.ip = ip;
    this.connectedAtMs = connectedAtMs;
    this.lastActivityMs = this.connectedAtMs;
  }

  /** At most 100 messages for this connection, for the application to fill. Created with the first use. */
  get pending(): BoundedMessageQueue<Message> {
    return (this.#pending ??= new BoundedMessageQueue<Message>({ maxSize: MAX_PENDING }));
  }
}

export class ConnectionRegistry {
  readonly #options: ConnectionRegistryOptions;
  readonly #maxConnections: number;
  readonly #connections = new Map<string, Connection>();
  /** A connection is in this map exactly as long as in the registry. */
  readonly #followed = new Map<Connection, Followed>();
  readonly #clock: Clock;
  readonly #stopTimer: Dispose;
  readonly #unregister: Dispose;
  #totalAdded = 0;
  #totalRemoved = 0;
  #totalReplaced = 0;
  #totalRefused = 0;
  #totalIdle = 0;

  constructor(options: ConnectionRegistryOptions = {}, clock: Clock = createClock()) {
    checkOptions('ConnectionRegistry', options, {
      maxConnections: atLeast(1),
      idleTimeoutMs: atLeast(1),
      sweepIntervalMs: TIMER,
    });
    this.#options = options;
    this.#clock = clock;
    this.#maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
    this.#stopTimer = clock.every(options.sweepIntervalMs ?? SWEEP_INTERVAL_MS, () => this.#sweep());
    const name = uniqueName('ConnectionRegistry');
    this.#unregister = registerWithAgent((agent) => agent.watchRegistry(name, () => this.#connections.size));
  }

  get size(): number {
    return this.#connections.size;
  }

  /**
   * An open connection of the same id is closed. Returns null when the registry is full, and then closes the WebSocket; also
   * null for a WebSocket that has closed before, for example while the server looked up its user.
   */
  add(ws: WebSocketLike, request: IncomingMessage): Connection | null {
    checkMethods('ConnectionRegistry.add', 'a WebSocket', ws, ['on', 'off', 'close']);
    if (hasEnded(ws)) return null;
    const id = this.#options.idOf?.(request) ?? clientId(request) ?? randomUUID();
    const former = this.#connections.get(id);
    if (former === undefined && this.#connections.size >= this.#maxConnections) {
      this.#totalRefused += 1;
      countAction('ConnectionRegistry', 'refused');
      ws.close(TRY_AGAIN_LATER, 'try again later');
      return null;
    }
    if (former !== undefined) {
      this.#totalReplaced += 1;
      countAction('ConnectionRegistry', 'replaced');
      this.#end(former, REPLACED, 'replaced by a new connection');
    }
    const connection = new Connection(ws, {
      id,
      ip: addressOf(request, this.#options.trustProxy ?? false),
      connectedAtMs: this.#clock.wallMs(),
    });
    this.#connections.set(id, connection);
    this.#follow(connection);
    this.#totalAdded += 1;
    return connection;
  }

  get(id: string): Connection | undefined {
    return this.#connections.get(id);
  }

  /** Forgets a connection without closing its WebSocket. Returns false when there is none of this id. */
  remove(id: string): boolean {
    const connection = this.#connections.get(id);
    return connection !== undefined && this.#remove(connection);
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#connections.values();
  }

  getStats(): RegistryStats {
    return {
      active: this.#connections.size,
      maxConnections: this.#maxConnections,
      totalAdded: this.#totalAdded,
      totalRemoved: this.#totalRemoved,
      totalReplaced: this.#totalReplaced,
      totalRefused: this.#totalRefused,
      totalIdle: this.#totalIdle,
    };
  }

  /** Stops the sweep and forgets all connections without closing them. */
  close(): void {
    this.#stopTimer();
    this.#unregister();
    for (const connection of this.#connections.values()) this.#remove(connection);
  }

  #follow(connection: Connection): void {
    const { ws } = connection;
    const onReceived = (): void => {
      connection.lastActivityMs = this.#clock.wallMs();
      followed.lastReceivedMs = this.#clock.nowMs();
    };
    const onMessage = (): void => void (connection.messageCount += 1);
    const onEnd = (): void => void this.#remove(connection);
    for (const event of RECEIVED_EVENTS) ws.on(event, onReceived);
    ws.on('message', onMessage);
    for (const event of END_EVENTS) ws.on(event, onEnd);
    const stop = (): void => {
      for (const event of RECEIVED_EVENTS) ws.off(event, onReceived);
      ws.off('message', onMessage);
      for (const event of END_EVENTS) ws.off(event, onEnd);
    };
    const followed: Followed = { stop, lastReceivedMs: this.#clock.nowMs() };
    this.#followed.set(connection, followed);
  }

  /** False when it was removed before: `close` of a replaced WebSocket comes after its successor was added. */
  #remove(connection: Connection): boolean {
    const followed = this.#followed.get(connection);
    if (followed === undefined) return false;
    this.#followed.delete(connection);
    this.#connections.delete(connection.id);
    this.#totalRemoved += 1;
    followed.stop();
    const { onRemoved } = this.#options;
    if (onRemoved !== undefined) callSafely('ConnectionRegistry onRemoved', () => onRemoved(connection));
    return true;
  }

  /** ws terminates a WebSocket whose peer does not answer the close frame after its `closeTimeout`, 30 s. */
  #end(connection: Connection, code: number, reason: string): void {
    this.#remove(connection);
    connection.ws.close(code, reason);
  }

  #sweep(): void {
    const oldestMs = this.#clock.nowMs() - (this.#options.idleTimeoutMs ?? IDLE_TIMEOUT_MS);
    for (const [connection, { lastReceivedMs }] of this.#followed) {
      // Its `close` did not arrive: the application called `removeAllListeners()`.
      if (connection.ws.readyState === CLOSED) {
        this.#remove(connection);
        continue;
      }
      if (lastReceivedMs >= oldestMs) continue;
      this.#totalIdle += 1;
      countAction('ConnectionRegistry', 'idle');
      this.#end(connection, 1000, 'idle');
    }
  }
}

function clientId(request: IncomingMessage): string | null {
  const id = request.headers['x-client-id'];
  return typeof id === 'string' && id.length <= MAX_ID_LENGTH && /^[\x21-\x7e]+$/.test(id) ? id : null;
}

function addressOf(request: IncomingMessage, trustProxy: boolean): string | null {
  const forwarded = trustProxy ? request.headers['x-forwarded-for'] : undefined;
  const first = typeof forwarded === 'string' ? forwarded.split(',')[0]!.trim() : '';
  return first === '' ? (request.socket.remoteAddress ?? null) : first;
}
