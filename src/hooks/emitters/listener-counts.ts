/** Reads listener counts per event and in sum: with per-id event names each event has one listener, but the sum grows. */
import EventEmitter, { getEventListeners } from 'node:events';
import { isProxy } from 'node:util/types';
import { descriptionOf } from '../../core/primordials.ts';
import { publicName } from '../../core/safe-text.ts';
import type { Guard } from '../../core/guard.ts';
import type { Blind, Dispose, EmitterReading, ListenerChangesReading, Source } from '../../types/index.ts';
import { classNameOf, findProperty, hasMethod, hasProperty } from '../find-property.ts';
import { MajorGcMarker } from '../major-gc-marker.ts';
import type { UniqueNames } from '../unique-names.ts';
import { watchArgumentError } from '../watch-argument-error.ts';
import type { EmitterTracker } from './emitter-tracker.ts';
import type { Candidate, ListenerChanges } from './listener-changes.ts';

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
/** Event names that one reading counts, about 0.4 us each; the next readings count the rest. */
const MAX_EVENTS_PER_READING = 4_000;
const MAX_WATCHED = 1_000;
/** Names are shown with 128 characters. */
const MAX_SYMBOL_CHARS = 300;
/** A leak has added most of the newest listeners. */
const MAX_LOCATED_LISTENERS = 25;

export class ListenerCounts {
  readonly #tracker: EmitterTracker;
  readonly #guard: Guard;
  readonly #names: UniqueNames;
  readonly #changes: ListenerChanges | null;
  readonly #watched = new Map<string, WeakRef<EventEmitter>>();
  #refusedWatches = 0;
  readonly #majorGc = new MajorGcMarker();
  /** Counts of earlier readings, for emitters that the present one does not reach. */
  readonly #lastCounts = new WeakMap<EventEmitter, ListenerCount>();
  /** Emitters that were counted since all of them were. */
  #counted = new WeakSet<EventEmitter>();
  #eventsLeft = 0;
  #isComplete = true;
  /** Emitters that once had enough listeners. They stay shown when they lose some. */
  readonly #shown = new WeakSet<EventEmitter>();

  constructor(
    tracker: EmitterTracker,
    guard: Guard,
    names: UniqueNames,
    changes: ListenerChanges | null = null,
  ) {
    this.#tracker = tracker;
    this.#guard = guard;
    this.#names = names;
    this.#changes = changes;
  }

  watch(name: string, emitter: EventEmitter): Dispose {
    if (typeof name !== 'string' || name === '') throw watchArgumentError('name', name);
    if (typeof (emitter as Partial<EventEmitter> | null)?.eventNames !== 'function')
      throw watchArgumentError('emitter', emitter);
    const ref = new WeakRef(emitter);
    if (this.#hasRoomFor(name)) this.#watched.set(name, ref);
    else this.#refusedWatches += 1;
    return () => {
      if (this.#watched.get(name) === ref) this.#watched.delete(name);
    };
  }

  /** `servers` are shown with any number of listeners: http and WebSocket servers, engines, `process`. */
  read(servers: readonly NamedEmitter[]): EmitterReading[] {
    if (this.#isComplete) this.#counted = new WeakSet();
    this.#isComplete = true;
    this.#eventsLeft = MAX_EVENTS_PER_READING;
    const rows: EmitterReading[] = [];
    const candidates: Candidate[] = [];
    for (const counted of this.#all(servers)) {
      rows.push(...this.#guard.run('emitters', () => this.#rowsOf(counted, candidates), []));
    }
    this.#changes?.follow(candidates);
    for (const row of this.#guard.run('emitters', () => this.#eventTargetRows(), [])) rows.push(row);
    // A cut then drops the smallest rows. A sum is never below one of its events.
    return rows.sort((a, b) => b.listeners - a.listeners).slice(0, MAX_ROWS);
  }

  find(name: string, servers: readonly NamedEmitter[]): EventEmitter | null {
    return this.#all(servers).find((counted) => publicName(counted.name) === name)?.emitter ?? null;
  }

  /** The newest functions that listen to an EventTarget of a reading. Null when `name` is not the name of one. */
  targetListeners(name: string, event: string): readonly object[] | null {
    for (const { target, emitter, event: flagged } of this.#eventTargets()) {
      if (publicName(emitter) === name && publicName(flagged) === event)
        return getEventListeners(target, flagged).slice(-MAX_LOCATED_LISTENERS);
    }
    return null;
  }

  /** Without Node's warnings the agent sees only the first emitters of each class. */
  blind(): Blind[] {
    const blind = this.#tracker.blind();
    if (this.#refusedWatches > 0)
      blind.push({
        what: `${this.#refusedWatches} emitters that the application registered`,
        why: `the agent watches ${MAX_WATCHED} at a time`,
      });
    const limit = EventEmitter.defaultMaxListeners;
    if (limit > 0 && limit < Infinity) return blind;
    return [
      ...blind,
      {
        what: 'listeners of emitters beyond the first 50 of each class',
        why: `EventEmitter.defaultMaxListeners is ${limit}, so Node does not warn about them`,
      },
    ];
  }

  stop(): void {
    this.#watched.clear();
  }

  /** The application may register an emitter for each user, and drop it. */
  #hasRoomFor(name: string): boolean {
    if (this.#watched.size < MAX_WATCHED || this.#watched.has(name)) return true;
    if (!this.#majorGc.hasRun()) return false;
    for (const [known, ref] of this.#watched) if (ref.deref() === undefined) this.#watched.delete(known);
    return this.#watched.size < MAX_WATCHED;
  }

  #rowsOf(counted: CountedEmitter, candidates: Candidate[]): EmitterReading[] {
    const { emitter } = counted;
    const count = this.#count(emitter);
    if (count === null) return [];
    for (const [event, listeners] of shownEvents(count))
      if (typeof event === 'string') candidates.push({ emitter, event, listeners });
    return rowsOf(counted, count, (event) => this.#changes?.readingOf(emitter, event) ?? null);
  }

  /** Null for an emitter that no reading has reached yet. */
  #count(emitter: EventEmitter): ListenerCount | null {
    if (this.#counted.has(emitter)) return this.#lastCounts.get(emitter) ?? null;
    if (this.#eventsLeft <= 0) {
      this.#isComplete = false;
      return this.#lastCounts.get(emitter) ?? null;
    }
    const count = countListeners(emitter);
    this.#counted.add(emitter);
    if (count === null) return null;
    this.#eventsLeft -= Math.max(1, count.perEvent.length);
    // Kept for each emitter: all names of 1,000 emitters with 2,000 events each would take 150 MB.
    const kept = { ...count, perEvent: shownEvents(count) };
    this.#lastCounts.set(emitter, kept);
    return kept;
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
      if (this.#isShown(emitter))
        add(emitter, this.#names.nameOf(emitter, classNameOf(emitter, 'EventEmitter')), 'found');
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
      () => (this.#count(emitter)?.sum ?? 0) >= MIN_SHOWN_LISTENERS,
      false,
    );
    if (isLarge) this.#shown.add(emitter);
    return isLarge;
  }

  /** An EventTarget (an AbortSignal, for example) has counts per event only, and only for events that Node warned about. */
  #eventTargetRows(): EmitterReading[] {
    return [...this.#eventTargets()].map(({ target, emitter, event }) => {
      const listeners = getEventListeners(target, event).length;
      return { emitter, event, listeners, eventNames: null, source: 'found' };
    });
  }

  *#eventTargets(): Generator<{
    readonly target: EventTarget;
    readonly emitter: string;
    readonly event: string;
  }> {
    for (const { target, event } of this.#tracker.flagged()) {
      // `getEventListeners` calls a `listeners` method, which only a class of the application can have here.
      if (isEmitter(target) || isProxy(target) || hasProperty(target, 'listeners')) continue;
      if (typeof event !== 'string') continue;
      const emitter = this.#names.nameOf(target, classNameOf(target, 'EventTarget'));
      yield { target: target as EventTarget, emitter, event };
    }
  }
}

function rowsOf(
  { name, source }: CountedEmitter,
  { sum, eventCount, perEvent }: ListenerCount,
  changesOf: (event: string) => ListenerChangesReading | null,
): EmitterReading[] {
  const eventRows = perEvent.map(([event, listeners]) => {
    const isSymbol = typeof event === 'symbol';
    const changes = isSymbol ? null : changesOf(event);
    const text = isSymbol ? symbolText(event) : event;
    const row = { emitter: name, event: text, listeners, eventNames: null, source };
    return changes === null ? row : { ...row, changes };
  });
  return [{ emitter: name, event: '*', listeners: sum, eventNames: eventCount, source }, ...eventRows];
}

/** The description of a symbol can be as long as any text. */
const symbolText = (symbol: symbol): string =>
  `Symbol(${(descriptionOf(symbol) ?? '').slice(0, MAX_SYMBOL_CHARS)})`;

/** The events with most listeners. */
const shownEvents = ({ perEvent }: ListenerCount): ListenerCount['perEvent'] =>
  perEvent
    .filter(([, listeners]) => listeners >= MIN_SHOWN_LISTENERS)
    .sort(([, a], [, b]) => b - a)
    .slice(0, MAX_EVENTS_PER_EMITTER);

const isEmitter = (target: object): target is EventEmitter => hasMethod(target, 'eventNames');

interface ListenerCount {
  readonly sum: number;
  readonly eventCount: number;
  /** Empty for an emitter with too many events to list. */
  readonly perEvent: readonly (readonly [string | symbol, number])[];
}

/** The event with most listeners among those whose public name is `event`. */
export function eventOfPublicName(emitter: EventEmitter, event: string): string {
  const matching = (countListeners(emitter)?.perEvent ?? []).filter(
    ([name]) => typeof name === 'string' && publicName(name) === event,
  );
  const [most] = matching.toSorted(([, a], [, b]) => b - a);
  return most === undefined ? event : String(most[0]);
}

/**
 * Reads Node's own fields `_events` and `_eventsCount`. The methods of the emitter are not called: a class can override them,
 * and `_events` can be a Proxy or a getter. Null where the fields cannot be read.
 */
export function countListeners(emitter: EventEmitter): ListenerCount | null {
  const eventCount = findProperty(emitter, '_eventsCount');
  // Each name has at least one listener.
  if (typeof eventCount === 'number' && eventCount > MAX_LISTED_EVENTS)
    return { sum: eventCount, eventCount, perEvent: [] };
  const events = findProperty(emitter, '_events');
  if (typeof events !== 'object' || events === null || isProxy(events)) return null;
  const perEvent: [string | symbol, number][] = [];
  let sum = 0;
  for (const event of Reflect.ownKeys(events)) {
    const count = listenerCountOf(events, event);
    perEvent.push([event, count]);
    sum += count;
  }
  return { sum, eventCount: perEvent.length, perEvent };
}

/** The listeners of one event, read like `countListeners`. */
export function countListenersOf(emitter: EventEmitter, event: string): number {
  const events = findProperty(emitter, '_events');
  return typeof events !== 'object' || events === null || isProxy(events)
    ? 0
    : listenerCountOf(events, event);
}

/** Node stores a single listener as a function, and several as an array. */
function listenerCountOf(events: object, event: string | symbol): number {
  const listeners: unknown = Object.getOwnPropertyDescriptor(events, event)?.value;
  if (typeof listeners === 'function') return 1;
  return Array.isArray(listeners) && !isProxy(listeners) ? listeners.length : 0;
}
