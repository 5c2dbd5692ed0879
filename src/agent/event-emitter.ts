/** `agent.on`: what a listener throws stays here. */
import type { Guard } from '../core/guard.ts';
import type { Dispose } from '../types/index.ts';
import type { AgentEvents } from './api.ts';

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
      if (!EVENTS.includes(event))
        throw new TypeError(`agent.on('${String(event)}'): expected one of ${EVENTS.join(', ')}`);
      if (typeof listener !== 'function') throw new TypeError(`agent.on('${event}') needs a function`);
      const set = listeners.get(event) ?? new Set();
      listeners.set(event, set);
      if (set.size < MAX_LISTENERS) set.add(listener as Listener);
      return () => void set.delete(listener as Listener);
    },
    emit(event, value) {
      for (const listener of listeners.get(event) ?? [])
        // An async listener throws by its promise.
        void guard.runAsync(
          `on ${event}`,
          async () => (listener as (value: unknown) => unknown)(value),
          null,
        );
    },
    clear: () => listeners.clear(),
  };
}
