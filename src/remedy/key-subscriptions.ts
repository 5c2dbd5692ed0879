/** `KeySubscriptions`: the connections of each key in this process. A connection leaves all its keys when it closes. */
import type { EventEmitter } from 'node:events';
import { hasEnded, type WebSocketLike } from './types.ts';

/** A WebSocket, a Socket.IO socket, or an object with the WebSocket in `ws`, such as a `Connection`. */
export type FanoutConnection = EventEmitter | { readonly ws: WebSocketLike };

interface Subscription {
  readonly keys: Set<string>;
  /** Removes the listeners from the connection. */
  readonly stop: () => void;
}

/** A Socket.IO socket emits `disconnect` and no `close`. */
const END_EVENTS = ['close', 'disconnect'] as const;

export const emitterOf = (connection: FanoutConnection): EventEmitter =>
  'ws' in connection ? connection.ws : connection;

export class KeySubscriptions {
  readonly connectionsByKey = new Map<string, Set<FanoutConnection>>();
  readonly #subscriptions = new Map<FanoutConnection, Subscription>();
  readonly #onKey: (key: string, isUsed: boolean) => void;

  /** `onKey` is called with the first connection of a key and after its last one. */
  constructor(onKey: (key: string, isUsed: boolean) => void) {
    this.#onKey = onKey;
  }

  get connections(): number {
    return this.#subscriptions.size;
  }

  add(key: string, connection: FanoutConnection): void {
    // A connection that has closed already emits no event that would remove it.
    if (hasEnded(emitterOf(connection))) return;
    const subscription = this.#subscriptions.get(connection) ?? this.#follow(connection);
    subscription.keys.add(key);
    const connections = this.connectionsByKey.get(key);
    if (connections !== undefined) {
      connections.add(connection);
      return;
    }
    this.connectionsByKey.set(key, new Set([connection]));
    this.#onKey(key, true);
  }

  remove(key: string, connection: FanoutConnection): void {
    const subscription = this.#subscriptions.get(connection);
    if (subscription === undefined || !subscription.keys.delete(key)) return;
    if (subscription.keys.size === 0) {
      subscription.stop();
      this.#subscriptions.delete(connection);
    }
    const connections = this.connectionsByKey.get(key)!;
    connections.delete(connection);
    if (connections.size > 0) return;
    this.connectionsByKey.delete(key);
    this.#onKey(key, false);
  }

  clear(): void {
    for (const { stop } of this.#subscriptions.values()) stop();
    this.#subscriptions.clear();
    this.connectionsByKey.clear();
  }

  #follow(connection: FanoutConnection): Subscription {
    const emitter = emitterOf(connection);
    const keys = new Set<string>();
    const end = (): void => {
      for (const key of keys) this.remove(key, connection);
    };
    const stop = (): void => {
      for (const event of END_EVENTS) emitter.off(event, end);
    };
    for (const event of END_EVENTS) emitter.on(event, end);
    const subscription = { keys, stop };
    this.#subscriptions.set(connection, subscription);
    return subscription;
  }
}
