/**
 * Sends pings whose pongs the listeners of the application do not receive: an idle sweep that pongs refresh must close
 * what it closes without the agent (docs/adr/0012). A pong carries the payload of its ping, so ours is recognised.
 */
import type { EventEmitter } from 'node:events';
import { apply } from '../../core/primordials.ts';
import { NEVER, type Connection } from './connection.ts';

type Emit = (this: EventEmitter, ...args: unknown[]) => boolean;

// Captured, because an application can replace it.
const { getPrototypeOf } = Reflect;

/** Differs in each process, so that a pong to another process behind the same proxy is not taken for ours. */
const createPayload = (): string => `wsguard-${Math.random().toString(36).slice(2, 10)}`;

export class HiddenPings {
  readonly #payload = createPayload();
  readonly #waiting = new WeakMap<EventEmitter, Connection>();
  readonly #emit: Emit;

  constructor() {
    const isHidden = (emitter: EventEmitter, pong: unknown): boolean => this.#isHidden(emitter, pong);
    // One function for all connections: a closure for each would cost memory per connection.
    this.#emit = function emit(this) {
      // oxlint-disable-next-line prefer-rest-params -- an emitter passes on any number of arguments
      if (arguments[0] === 'pong' && isHidden(this, arguments[1])) return true;
      const { emit: original } = getPrototypeOf(this) as { emit: Emit };
      // oxlint-disable-next-line prefer-rest-params -- as above
      return apply(original, this, arguments) as boolean;
    };
  }

  /**
   * `emitter` emits `pong` for this connection, and `write` sends a ping frame with the payload. False when the pong could
   * not be hidden; then nothing was sent.
   */
  send(emitter: EventEmitter, connection: Connection, write: (payload: string) => void): boolean {
    if (!this.#hide(emitter)) return false;
    this.#waiting.set(emitter, connection);
    write(this.#payload);
    return true;
  }

  /** Ends the wait for a pong. Later pongs reach the application. */
  release(emitter: EventEmitter): void {
    this.#waiting.delete(emitter);
    if (Object.hasOwn(emitter, 'emit') && emitter.emit === this.#emit)
      Reflect.deleteProperty(emitter, 'emit');
  }

  /** An emitter that has an `emit` of its own is left alone: another tool has put it there. */
  #hide(emitter: EventEmitter): boolean {
    if (Object.hasOwn(emitter, 'emit')) return emitter.emit === this.#emit;
    const hidden = { value: this.#emit, configurable: true, writable: true, enumerable: false };
    return Reflect.defineProperty(emitter, 'emit', hidden);
  }

  #isHidden(emitter: EventEmitter, pong: unknown): boolean {
    try {
      const connection = this.#waiting.get(emitter);
      if (connection === undefined) return false;
      const isOurs = payloadOf(pong) === this.#payload;
      // A peer that replies without the payload, or sends pongs unasked: its pongs look like those of the application.
      if (!isOurs && connection.appPingAtMs < connection.agentPingAtMs) connection.hidesPongs = false;
      if (!isOurs) return false;
      connection.unansweredPingAtMs = NEVER;
      this.release(emitter);
      return true;
    } catch {
      return false;
    }
  }
}

/** ws and `websocket` emit a Buffer, `websocket-driver` an event with a string. */
function payloadOf(pong: unknown): string {
  if (Buffer.isBuffer(pong)) return pong.toString('latin1');
  const { data } = (pong ?? {}) as { data?: unknown };
  return typeof data === 'string' ? data : '';
}
