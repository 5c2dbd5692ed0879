/**
 * Backs `agent.on`. An error in a listener is logged, never thrown into the application. It is no fault of the agent, so no
 * number of errors ends the calls: the next alert may reach the person on call.
 */
import { watchArgumentError } from '../hooks/watch-argument-error.ts';
import type { Dispose, Log } from '../types/index.ts';
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

export function createEventEmitter(log: Log): AgentEventEmitter {
  const listeners = new Map<string, Set<Listener>>();
  /** Listeners whose last call failed. */
  const failing = new WeakSet<Listener>();

  async function call(event: string, listener: Listener, value: unknown): Promise<void> {
    try {
      // An async listener rejects.
      await (listener as (value: unknown) => unknown)(value);
      failing.delete(listener);
    } catch (error) {
      if (failing.has(listener)) return;
      failing.add(listener);
      log.error(
        { code: 'WSGUARD_LISTENER_FAILED', event, error },
        `a listener of the application for agent.on('${event}') failed`,
      );
    }
  }

  return {
    on(event, listener) {
      if (!EVENTS.includes(event)) throw watchArgumentError('event', event);
      if (typeof listener !== 'function') throw watchArgumentError('listener', listener);
      const set = listeners.get(event) ?? new Set();
      listeners.set(event, set);
      if (set.size < MAX_LISTENERS) set.add(listener as Listener);
      return () => {
        set.delete(listener as Listener);
        failing.delete(listener as Listener);
      };
    },
    emit(event, value) {
      // A copy: a loop over the set itself would also call a listener that is added meanwhile, and might never end.
      for (const listener of [...(listeners.get(event) ?? [])]) void call(event, listener, value);
    },
    clear() {
      listeners.clear();
    },
  };
}
