/** `scopedListeners`: listeners on long-lived emitters that end with a connection. */
import { type EventEmitter, errorMonitor } from 'node:events';
import { registerOnce } from './agent-registration.ts';
import { checkMethods } from './options.ts';
import { hasEnded } from './types.ts';

type Listener = (...values: never[]) => void;

export interface ScopedListeners {
  /** Adds a listener for the life of the connection. */
  on(emitter: EventEmitter, event: string | symbol, listener: Listener): void;
  /** Adds a listener for one event, at most for the life of the connection. */
  once(emitter: EventEmitter, event: string | symbol, listener: Listener): void;
  /** Removes all of them now. */
  dispose(): void;
}

interface Added {
  readonly emitter: EventEmitter;
  readonly event: string | symbol;
  readonly listener: (...values: unknown[]) => void;
}

/** `errorMonitor` is called on an error without counting as its handler, so an unhandled error stays one. */
const END_EVENTS = ['close', 'aborted', errorMonitor] as const;

/** The listeners of all connections together. */
let addedListeners = 0;

/**
 * `connection` is a WebSocket, a socket, a request, a response or a Socket.IO socket. The listeners are removed when it
 * closes, fails or is aborted, whichever comes first. On a connection that has ended nothing is added.
 */
export function scopedListeners(connection: EventEmitter): ScopedListeners {
  checkMethods('scopedListeners', 'a WebSocket, a socket, a request or a response', connection, [
    'on',
    'off',
  ]);
  registerOnce('scopedListeners', (agent) => agent.watchRegistry('scopedListeners', () => addedListeners));
  const added = new Set<Added>();
  let isOver = hasEnded(connection);

  function add(emitter: EventEmitter, event: string | symbol, listener: Listener, isOnce: boolean): void {
    if (isOver) return;
    const wrapped = function (this: unknown, ...values: unknown[]): void {
      if (isOnce) remove(entry);
      Reflect.apply(listener, this, values);
    };
    // `emitter.off(event, listener)` of the application finds a wrapped listener by this property, as with `once`.
    const entry: Added = { emitter, event, listener: Object.assign(wrapped, { listener }) };
    added.add(entry);
    addedListeners += 1;
    emitter.on(event, entry.listener);
  }
  function remove(entry: Added): void {
    entry.emitter.off(entry.event, entry.listener);
    if (added.delete(entry)) addedListeners -= 1;
  }
  function dispose(): void {
    isOver = true;
    for (const entry of added) remove(entry);
    for (const event of END_EVENTS) connection.off(event, dispose);
    connection.off('disconnect', dispose);
  }

  if (!isOver) {
    for (const event of END_EVENTS) connection.on(event, dispose);
    // A Socket.IO socket emits `disconnect` and no `close`.
    connection.on('disconnect', dispose);
  }
  return {
    on: (emitter, event, listener) => add(emitter, event, listener, false),
    once: (emitter, event, listener) => add(emitter, event, listener, true),
    dispose,
  };
}
