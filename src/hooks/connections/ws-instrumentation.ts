/**
 * Counts messages and round trips, and notes which closing handshakes the server started: wraps `send`, `ping` and `close`
 * once per prototype, with one shared `pong` listener.
 */
import type { Socket } from 'node:net';
import { DurationHistogram } from '../../core/duration-histogram.ts';
import { apply } from '../../core/primordials.ts';
import type { Clock } from '../../types/index.ts';
import { countListenersOf } from '../emitters/listener-counts.ts';
import { addListener, baseMethod, removeListener } from '../base-property.ts';
import { prototypeChain } from '../find-property.ts';
import { isShutdownCode, type ServerClose } from './close-status.ts';
import { NEVER, type Connection } from './connection.ts';
import { isOpen, type WebSocketLike } from './web-socket.ts';

type Method = (this: WebSocketLike, ...args: unknown[]) => unknown;
type MethodName = 'send' | 'ping' | 'close';

export class WsInstrumentation {
  messagesSent = 0;
  messagesFailed = 0;
  readonly roundTrips = new DurationHistogram();
  readonly #clock: Clock;
  readonly #connections: ReadonlyMap<Socket, Connection | null>;
  readonly #checkedPrototypes = new WeakSet<object>();
  readonly #originalPings = new WeakMap<object, Method>();
  /** Entries of the WebSockets that are closing. A drain of all connections adds one for each. */
  readonly #serverCloses = new WeakMap<object, ServerClose>();
  readonly #undo: (() => void)[] = [];
  #hasFixedPrototype = false;
  readonly #onPong: (this: WebSocketLike) => void;

  constructor(clock: Clock, connections: ReadonlyMap<Socket, Connection | null>) {
    this.#clock = clock;
    this.#connections = connections;
    const notePong = (ws: WebSocketLike): void => this.#notePong(ws);
    this.#onPong = function onPong() {
      notePong(this);
    };
  }

  /** Wraps the class of this WebSocket; costs one lookup when it is wrapped already. */
  instrument(ws: WebSocketLike): void {
    const proto = Object.getPrototypeOf(ws) as object;
    if (this.#checkedPrototypes.has(proto)) return;
    this.#checkedPrototypes.add(proto);
    const owner = ownerOf(proto, 'send');
    if (owner === null || this.#originalPings.has(owner)) return;
    if (isReplaceable(owner, 'send') && isReplaceable(owner, 'ping')) this.#wrap(owner);
    else this.#hasFixedPrototype = true;
  }

  /** A class whose methods cannot be replaced, for example a frozen one. */
  get hasFixedPrototype(): boolean {
    return this.#hasFixedPrototype;
  }

  /** Sends a ping by the original method, so that it does not count as a ping of the application. */
  ping(ws: WebSocketLike, ...payload: readonly string[]): void {
    const owner = ownerOf(Object.getPrototypeOf(ws) as object, 'send');
    const original = owner === null ? undefined : this.#originalPings.get(owner);
    if (original === undefined) callPing(ws, ...payload);
    else apply(original, ws, payload);
  }

  /** Null where the peer started the closing handshake, or nobody did. Forgets the entry. */
  takeServerClose(ws: object): ServerClose | null {
    const serverClose = this.#serverCloses.get(ws) ?? null;
    if (serverClose !== null) this.#serverCloses.delete(ws);
    return serverClose;
  }

  hasAppPongListener(ws: WebSocketLike, connection: Connection): boolean {
    return countListenersOf(ws, 'pong') > (connection.hasPongListener ? 1 : 0);
  }

  stop(): void {
    for (const undo of this.#undo) undo();
    for (const connection of this.#connections.values()) {
      if (connection?.hasPongListener) removeListener(connection.appObject, 'pong', this.#onPong);
    }
  }

  #wrap(owner: object): void {
    const proto = owner as Record<MethodName, Method>;
    const { send, ping } = proto;
    this.#originalPings.set(owner, ping);
    const noteSend = (ws: WebSocketLike): void => this.#noteSend(ws);
    const wrappedSend: Method = function (this) {
      noteSend(this);
      // oxlint-disable-next-line prefer-rest-params -- ws reads its arguments by their number
      return apply(send, this, arguments);
    };
    const notePing = (ws: WebSocketLike): void => this.#notePing(ws);
    const wrappedPing: Method = function (this) {
      notePing(this);
      // oxlint-disable-next-line prefer-rest-params -- as above
      return apply(ping, this, arguments);
    };
    this.#replace(proto, 'send', wrappedSend);
    this.#replace(proto, 'ping', wrappedPing);
    if (isReplaceable(owner, 'close') && typeof proto.close === 'function') this.#wrapClose(proto);
  }

  #wrapClose(proto: Record<MethodName, Method>): void {
    const { close } = proto;
    const noteClose = (ws: WebSocketLike, code: unknown): void => this.#noteClose(ws, code);
    const wrappedClose: Method = function (this, ...args) {
      noteClose(this, args[0]);
      return apply(close, this, args);
    };
    this.#replace(proto, 'close', wrappedClose);
  }

  #replace(proto: Record<MethodName, Method>, name: MethodName, wrapped: Method): void {
    const original = proto[name];
    Object.defineProperty(wrapped, 'name', { value: original.name });
    Object.defineProperty(wrapped, 'length', { value: original.length });
    proto[name] = wrapped;
    this.#undo.push(() => {
      if (proto[name] === wrapped) proto[name] = original;
    });
  }

  #noteSend(ws: WebSocketLike): void {
    try {
      // Clients in this process can use the same copy of ws. They are not connections of the server.
      if (ws._isServer === false) return;
      if (isOpen(ws)) this.messagesSent += 1;
      else this.messagesFailed += 1;
    } catch {
      // `send` was taken off its object and called without `this`. The original throws the error that the caller expects.
    }
  }

  #notePing(ws: WebSocketLike): void {
    try {
      const connection = ws._socket ? this.#connections.get(ws._socket) : null;
      if (!connection || !isOpen(ws)) return;
      const nowMs = this.#clock.nowMs();
      connection.appPingAtMs = Math.trunc(nowMs);
      if (connection.unansweredPingAtMs === NEVER) connection.unansweredPingAtMs = Math.trunc(nowMs);
      connection.roundTripStartMs = nowMs;
      if (connection.hasPongListener) return;
      connection.hasPongListener = true;
      addListener(ws, 'pong', this.#onPong);
    } catch {
      // A subclass may have a getter that throws. The application's ping is sent all the same.
    }
  }

  /** ws calls its own `close` to reply to a close frame of the peer. */
  #noteClose(ws: WebSocketLike, code: unknown): void {
    try {
      if (ws._isServer === false || ws._closeFrameReceived === true || !isOpen(ws)) return;
      const serverClose = { atMs: Math.trunc(this.#clock.nowMs()), isShutdown: isShutdownCode(code) };
      this.#serverCloses.set(ws, serverClose);
    } catch {
      // The original throws the error that the caller expects, as after `#noteSend`.
    }
  }

  #notePong(ws: WebSocketLike): void {
    try {
      const connection = ws._socket ? this.#connections.get(ws._socket) : null;
      if (!connection || connection.roundTripStartMs === NEVER) return;
      this.roundTrips.add((this.#clock.nowMs() - connection.roundTripStartMs) / 1_000);
      connection.roundTripStartMs = NEVER;
      connection.unansweredPingAtMs = NEVER;
    } catch {
      // The same getter can throw here. The other listeners of `pong` are called all the same.
    }
  }
}

/** False for an accessor, and for a method that is frozen. */
function isReplaceable(owner: object, name: string): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(owner, name);
  return descriptor === undefined ? Object.isExtensible(owner) : descriptor.writable === true;
}

/**
 * The prototype of the library, which has the method itself: wrapped there, once for all its subclasses. A class of the
 * application that overrides the method calls this one.
 */
const ownerOf = (proto: object, method: string): object | null =>
  prototypeChain(proto).findLast((owner) => Object.hasOwn(owner, method)) ?? null;

const callPing = baseMethod('ping');
