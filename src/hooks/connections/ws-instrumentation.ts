import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Clock } from '../../types/index.ts';
import { NEVER, type Connection } from './connection.ts';
import { createRoundTrips, type RoundTrips } from './round-trips.ts';

/** What ws 6, 7 and 8 share and we rely on. */
export interface WebSocketLike extends EventEmitter {
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly _socket?: Socket | null;
  readonly _isServer?: boolean;
  ping(data?: unknown, mask?: boolean, callback?: (error?: Error) => void): void;
  send(...args: unknown[]): void;
}

const OPEN = 1;
export const isOpen = (ws: WebSocketLike): boolean => ws.readyState === OPEN;

/** One symbol for each copy of ws in the process: socket.io alone brings two. */
const symbols: symbol[] = [];
const MAX_SYMBOLS = 20;

/**
 * An upgraded socket carries its WebSocket under a symbol described `websocket`, in minified bundles too. It is a private
 * detail of ws, so what is found must look like a WebSocket.
 */
export function webSocketOf(socket: Socket): WebSocketLike | null {
  const fields = socket as unknown as Record<symbol, unknown>;
  for (const symbol of symbols) {
    const value = fields[symbol];
    if (isWebSocket(value)) return value;
  }
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    if (symbol.description !== 'websocket' || !isWebSocket(fields[symbol])) continue;
    if (symbols.length < MAX_SYMBOLS && !symbols.includes(symbol)) symbols.push(symbol);
    return fields[symbol];
  }
  return null;
}

function isWebSocket(value: unknown): value is WebSocketLike {
  if (typeof value !== 'object' || value === null) return false;
  const { readyState, ping, send } = value as Record<string, unknown>;
  return typeof readyState === 'number' && typeof ping === 'function' && typeof send === 'function';
}

type Method = (this: WebSocketLike, ...args: unknown[]) => unknown;

/** Wraps `send` and `ping` once per prototype found: integers only, nothing per connection but one shared listener. */
export class Wraps {
  sent = 0;
  failed = 0;
  readonly roundTrips: RoundTrips = createRoundTrips();
  readonly #clock: Clock;
  readonly #open: ReadonlyMap<Socket, Connection | null>;
  readonly #known = new WeakSet<object>();
  readonly #pings = new WeakMap<object, Method>();
  readonly #undo: (() => void)[] = [];
  readonly #onPong: (this: WebSocketLike) => void;

  constructor(clock: Clock, open: ReadonlyMap<Socket, Connection | null>) {
    this.#clock = clock;
    this.#open = open;
    const answered = (ws: WebSocketLike): void => this.#answered(ws);
    this.#onPong = function onPong() {
      answered(this);
    };
  }

  /** Cheap for a prototype that is known. */
  discover(ws: WebSocketLike): void {
    const proto = Object.getPrototypeOf(ws) as object;
    if (this.#known.has(proto)) return;
    this.#known.add(proto);
    const owner = ownerOf(proto, 'send');
    if (owner !== null && !this.#pings.has(owner)) this.#wrap(owner);
  }

  /** A ping of ours: by the original method, so that it is not taken for the application's. */
  ping(ws: WebSocketLike): void {
    const owner = ownerOf(Object.getPrototypeOf(ws) as object, 'send');
    const original = owner === null ? undefined : this.#pings.get(owner);
    if (original === undefined) ws.ping();
    else original.call(ws);
  }

  /** Does the application itself hear this connection's pongs? */
  appHearsPongs(ws: WebSocketLike, connection: Connection): boolean {
    return ws.listenerCount('pong') > (connection.listensForPong ? 1 : 0);
  }

  stop(): void {
    for (const undo of this.#undo) undo();
    for (const connection of this.#open.values()) {
      if (connection?.listensForPong)
        (connection.holder as WebSocketLike).removeListener('pong', this.#onPong);
    }
  }

  #wrap(owner: object): void {
    const proto = owner as { send: Method; ping: Method };
    const { send, ping } = proto;
    this.#pings.set(owner, ping);
    const count = this as { sent: number; failed: number };
    const wrappedSend: Method = function (this) {
      // The same copy of ws may serve clients of this process, which are not its connections.
      if (this._isServer !== false) {
        if (this.readyState === OPEN) count.sent += 1;
        else count.failed += 1;
      }
      // oxlint-disable-next-line prefer-rest-params -- the number of arguments decides how ws reads them
      return Reflect.apply(send, this, arguments);
    };
    const pinged = (ws: WebSocketLike): void => this.#pinged(ws);
    const wrappedPing: Method = function (this) {
      pinged(this);
      // oxlint-disable-next-line prefer-rest-params -- as above
      return Reflect.apply(ping, this, arguments);
    };
    for (const [name, wrapped, original] of [
      ['send', wrappedSend, send],
      ['ping', wrappedPing, ping],
    ] as const) {
      Object.defineProperty(wrapped, 'name', { value: original.name });
      Object.defineProperty(wrapped, 'length', { value: original.length });
      proto[name] = wrapped;
      this.#undo.push(() => {
        if (proto[name] === wrapped) proto[name] = original;
      });
    }
  }

  #pinged(ws: WebSocketLike): void {
    try {
      const connection = ws._socket ? this.#open.get(ws._socket) : null;
      if (!connection || ws.readyState !== OPEN) return;
      const nowMs = this.#clock.nowMs();
      connection.appPingedAtMs = nowMs;
      if (connection.askedAtMs === NEVER) connection.askedAtMs = nowMs;
      connection.roundTripFromMs = nowMs;
      if (connection.listensForPong) return;
      connection.listensForPong = true;
      ws.on('pong', this.#onPong);
    } catch {
      // A subclass with a getter that throws: its ping must go out all the same.
    }
  }

  #answered(ws: WebSocketLike): void {
    const connection = ws._socket ? this.#open.get(ws._socket) : null;
    if (!connection || connection.roundTripFromMs === NEVER) return;
    this.roundTrips.add((this.#clock.nowMs() - connection.roundTripFromMs) / 1_000);
    connection.roundTripFromMs = NEVER;
    connection.askedAtMs = NEVER;
  }
}

/** A subclass may inherit the method: it is wrapped where it lives, once for all classes below. */
function ownerOf(proto: object, method: string): object | null {
  for (let at: object | null = proto; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    if (Object.hasOwn(at, method)) return at;
  }
  return null;
}

/** Registered codes as they are; clients choose the others, so each thousand is one name. */
export function closeCodeName(code: number): string {
  if (code >= 4_000 && code <= 4_999) return '4xxx';
  if (code >= 3_000 && code <= 3_999) return '3xxx';
  return REGISTERED.has(code) ? String(code) : 'other';
}

/** RFC 6455 and the IANA registry. */
const REGISTERED = new Set([
  1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015,
]);
