/** Reads listener counts per event and in sum: with per-id event names each event has one listener, but the sum grows. */
import EventEmitter, { getEventListeners } from 'node:events';
import type { Guard } from '../../core/guard.ts';
import type { Blind, Dispose, EmitterReading, Source } from '../../types/index.ts';
import type { UniqueNames } from '../unique-names.ts';
import { watchArgumentError } from '../watch-argument-error.ts';
import type { EmitterTracker } from './emitter-tracker.ts';

export interface NamedEmitter {
  readonly name: string;
  readonly emitter: EventEmitter;
}
interface CountedEmitter extends NamedEmitter {
  readonly source: Source;
}

/** Other emitters, and single events, are shown from this many listeners on. */
const MIN_SHOWN_LISTENERS = 8;
const MAX_EVENTS_PER_EMITTER = 20;
const MAX_ROWS = 400;
/** Naming more events blocks the loop: 100,000 names take 10 ms. */
const MAX_LISTED_EVENTS = 2_000;

export class ListenerCounts {
  readonly #tracker: EmitterTracker;
  readonly #guard: Guard;
  readonly #names: UniqueNames;
  readonly #watched = new Map<string, WeakRef<EventEmitter>>();
  /** Emitters that once had enough listeners. They stay shown when they lose some. */
  readonly #shown = new WeakSet<EventEmitter>();

  constructor(tracker: EmitterTracker, guard: Guard, names: UniqueNames) {
    this.#tracker = tracker;
    this.#guard = guard;
    this.#names = names;
  }

  watch(name: string, emitter: EventEmitter): Dispose {
    if (typeof name !== 'string' || name === '') throw watchArgumentError('name', name);
    if (typeof (emitter as Partial<EventEmitter> | null)?.eventNames !== 'function')
      throw watchArgumentError('emitter', emitter);
    const ref = new WeakRef(emitter);
    this.#watched.set(name, ref);
    return () => {
      if (this.#watched.get(name) === ref) this.#watched.delete(name);
    };
  }

  /** `servers` are shown with any number of listeners: http and WebSocket servers, engines, `process`. */
  read(servers: readonly NamedEmitter[]): EmitterReading[] {
    const rows: EmitterReading[] = [];
    for (const counted of this.#all(servers)) {
      rows.push(...this.#guard.run('emitters', () => rowsOf(counted), []));
    }
    for (const row of this.#guard.run('emitters', () => this.#eventTargetRows(), [])) rows.push(row);
    // A cut then drops the smallest rows. A sum is never below one of its events.
    return rows.sort((a, b) => b.listeners - a.listeners).slice(0, MAX_ROWS);
  }

  find(name: string, servers: readonly NamedEmitter[]): EventEmitter | null {
    return this.#all(servers).find((counted) => counted.name === name)?.emitter ?? null;
  }

  /** Without Node's warnings the agent sees only the first emitters of each class. */
  blind(): Blind[] {
    const limit = EventEmitter.defaultMaxListeners;
    if (limit > 0 && limit < Infinity) return [];
    return [
      {
        what: 'listeners of emitters beyond the first 50 of each class',
        why: `EventEmitter.defaultMaxListeners is ${limit}, so Node does not warn about them`,
      },
    ];
  }

  stop(): void {
    this.#watched.clear();
  }

  #all(servers: readonly NamedEmitter[]): CountedEmitter[] {
    const seen = new Set<EventEmitter>();
    const all: CountedEmitter[] = [];
    const add = (emitter: EventEmitter | undefined, name: string, source: Source): void => {
      if (emitter === undefined || seen.has(emitter)) return;
      seen.add(emitter);
      all.push({ emitter, name, source });
    };
    const addIfLarge = (emitter: EventEmitter): void => {
      if (seen.has(emitter)) return;
      if (this.#isShown(emitter)) add(emitter, this.#names.nameOf(emitter, className(emitter)), 'found');
      else seen.add(emitter);
    };
    for (const [name, ref] of this.#watched) add(ref.deref(), name, 'app');
    for (const { name, emitter } of servers) add(emitter, name, 'found');
    for (const { target } of this.#tracker.flagged()) if (isEmitter(target)) addIfLarge(target);
    for (const bus of this.#tracker.buses()) addIfLarge(bus);
    return all;
  }

  #isShown(emitter: EventEmitter): boolean {
    if (this.#shown.has(emitter)) return true;
    const isLarge = this.#guard.run(
      'emitters',
      () => countListeners(emitter).sum >= MIN_SHOWN_LISTENERS,
      false,
    );
    if (isLarge) this.#shown.add(emitter);
    return isLarge;
  }

  /** An EventTarget (an AbortSignal, for example) has counts per event only, and only for events that Node warned about. */
  #eventTargetRows(): EmitterReading[] {
    const rows: EmitterReading[] = [];
    for (const { target, event } of this.#tracker.flagged()) {
      if (isEmitter(target) || typeof event !== 'string') continue;
      const listeners = getEventListeners(target as EventTarget, event).length;
      const emitter = this.#names.nameOf(target, className(target));
      rows.push({ emitter, event, listeners, eventNames: null, source: 'found' });
    }
    return rows;
  }
}

function rowsOf({ name, emitter, source }: CountedEmitter): EmitterReading[] {
  const { sum, eventCount, perEvent } = countListeners(emitter);
  const eventRows = perEvent
    .filter(([, listeners]) => listeners >= MIN_SHOWN_LISTENERS)
    .sort(([, a], [, b]) => b - a)
    .slice(0, MAX_EVENTS_PER_EMITTER)
    .map(([event, listeners]) => ({
      emitter: name,
      event: String(event),
      listeners,
      eventNames: null,
      source,
    }));
  return [{ emitter: name, event: '*', listeners: sum, eventNames: eventCount, source }, ...eventRows];
}

const isEmitter = (target: object): target is EventEmitter =>
  typeof (target as Partial<EventEmitter>).eventNames === 'function';

function className(thing: object): string {
  try {
    const { name } = thing.constructor;
    if (typeof name === 'string' && name !== '') return name;
  } catch {
    // A getter `constructor` can throw. The listeners are counted all the same.
  }
  return 'EventEmitter';
}

interface ListenerCount {
  readonly sum: number;
  readonly eventCount: number;
  /** Empty for an emitter with too many events to list. */
  readonly perEvent: readonly (readonly [string | symbol, number])[];
}

export function countListeners(emitter: EventEmitter): ListenerCount {
  // Node's own counter of event names. Each name has at least one listener.
  const eventCount = (emitter as { readonly _eventsCount?: unknown })._eventsCount;
  if (typeof eventCount === 'number' && eventCount > MAX_LISTED_EVENTS) {
    return { sum: eventCount, eventCount, perEvent: [] };
  }
  // The original methods, because a class may have overridden its own.
  const { prototype } = EventEmitter;
  const perEvent = prototype.eventNames
    .call(emitter)
    .map((event) => [event, prototype.listenerCount.call(emitter, event)] as const);
  const sum = perEvent.reduce((total, [, count]) => total + count, 0);
  return { sum, eventCount: perEvent.length, perEvent };
}
