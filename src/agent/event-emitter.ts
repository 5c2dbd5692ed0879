/** Backs `agent.on`. An error in a listener is logged and counted, never thrown into the application. */
import type { Guard } from '../core/guard.ts';
import { watchArgumentError } from '../hooks/watch-argument-error.ts';
import type { Dispose } from '../types/index.ts';
import type { AgentEvents } from './api.ts';

/** Further listeners are not added, so that an application that adds one per connection cannot grow this list. */
const MAX_LISTENERS = 100;
const EVENTS: readonly (keyof AgentEvents)[] = ['alert', 'snapshot', 'report'];

type Listener = (value: never) => void;

export interface AgentEventEmitter {
  on<E extends keyof AgentEvents>(event: E, listener: (value: AgentEvents[E]) => void): Dispose;
  emit<E extends keyof AgentEvents>(event: E, value: AgentEvents[E]): void;
  clear(): void;
}

export function createEventEmitter(guard: Guard): AgentEventEmitter {
  const listeners = new Map<string, Set<Listener>>();
  return {
    on(event, listener) {
      if (!EVENTS.includes(event)) throw watchArgumentError('event', event);
      if (typeof listener !== 'function') throw watchArgumentError('listener', listener);
      const set = listeners.get(event) ?? new Set();
      listeners.set(event, set);
      if (set.size < MAX_LISTENERS) set.add(listener as Listener);
      return () => void set.delete(listener as Listener);
    },
    emit(event, value) {
      for (const listener of listeners.get(event) ?? [])
        // runAsync also catches the rejection of an async listener.
        void guard.runAsync(
          `on ${event}`,
          async () => (listener as (value: unknown) => unknown)(value),
          null,
        );
    },
    clear: () => listeners.clear(),
  };
}
