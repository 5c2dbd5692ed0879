import EventEmitter, { getEventListeners } from 'node:events';
import type { Guard } from '../../core/guard.ts';
import type { Blind, Dispose, EmitterReading, Source } from '../../types/index.ts';
import type { EmitterTracker } from './emitter-tracker.ts';
import type { Names } from '../unique-names.ts';
import { misuse } from '../registered-collections.ts';

export interface Named {
  readonly name: string;
  readonly emitter: EventEmitter;
}
interface Probed extends Named {
  readonly source: Source;
  /** Shown from the first sample on, not only once it has grown. */
  readonly always: boolean;
}

/** An emitter that nobody named is shown once it ever had so many listeners. */
const WORTH_SHOWING = 8;
const MAX_EVENTS_EACH = 20;
const MAX_ROWS = 400;
/** Listing more names than this holds the loop; each of them has one listener at least. */
const MAX_NAMES_LISTED = 2_000;

/** Listener counts per event and summed: per-id event names keep every single event at one. */
export class Emitters {
  readonly #emitterTracker: EmitterTracker;
  readonly #guard: Guard;
  readonly #names: Names;
  readonly #watched = new Map<string, WeakRef<EventEmitter>>();
  /** Emitters that once had enough; they stay in view when they shrink. */
  readonly #shown = new WeakSet<EventEmitter>();

  constructor(emitterTracker: EmitterTracker, guard: Guard, names: Names) {
    this.#emitterTracker = emitterTracker;
    this.#guard = guard;
    this.#names = names;
  }

  watch(name: string, emitter: EventEmitter): Dispose {
    if (typeof name !== 'string' || name === '') throw misuse('name', name);
    if (typeof (emitter as Partial<EventEmitter> | null)?.eventNames !== 'function')
      throw misuse('emitter', emitter);
    const ref = new WeakRef(emitter);
    this.#watched.set(name, ref);
    return () => {
      if (this.#watched.get(name) === ref) this.#watched.delete(name);
    };
  }

  /** `always`: what is probed whatever it looks like: http servers, WebSocket servers, engines, `process`. */
  read(always: readonly Named[]): EmitterReading[] {
    const rows: EmitterReading[] = [];
    for (const probed of this.#all(always)) {
      rows.push(...this.#guard.run('emitters', () => this.#rows(probed), []));
    }
    for (const row of this.#guard.run('emitters', () => this.#targets(), [])) rows.push(row);
    // The sums first, so that what is cut is the smallest single event.
    return rows.sort((a, b) => b.listeners - a.listeners).slice(0, MAX_ROWS);
  }

  find(name: string, always: readonly Named[]): EventEmitter | null {
    return this.#all(always).find((probed) => probed.name === name)?.emitter ?? null;
  }

  /** Node's own warning is one way to an emitter; without it only what was seen being born is in view. */
  blind(): Blind[] {
    const limit = EventEmitter.defaultMaxListeners;
    if (limit > 0 && limit < Infinity) return [];
    return [
      {
        what: 'listeners of emitters beyond the first 50 of a class',
        why: `EventEmitter.defaultMaxListeners is ${limit}: Node warns of none`,
      },
    ];
  }

  stop(): void {
    this.#watched.clear();
  }

  #all(always: readonly Named[]): Probed[] {
    const seen = new Set<EventEmitter>();
    const all: Probed[] = [];
    const add = (
      emitter: EventEmitter | undefined,
      name: () => string,
      how: Pick<Probed, 'source' | 'always'>,
    ) => {
      if (emitter === undefined || seen.has(emitter)) return;
      seen.add(emitter);
      if (how.always || this.#isWorth(emitter)) all.push({ emitter, name: name(), ...how });
    };
    for (const [name, ref] of this.#watched) add(ref.deref(), () => name, { source: 'app', always: true });
    for (const { name, emitter } of always) add(emitter, () => name, { source: 'found', always: true });
    const found = { source: 'found', always: false } as const;
    for (const { target } of this.#emitterTracker.flagged()) {
      if (isEmitter(target)) add(target, () => this.#names.of(target, className(target)), found);
    }
    for (const bus of this.#emitterTracker.buses())
      add(bus, () => this.#names.of(bus, className(bus)), found);
    return all;
  }

  #isWorth(emitter: EventEmitter): boolean {
    if (this.#shown.has(emitter)) return true;
    const worth = this.#guard.run('emitters', () => countOf(emitter).sum >= WORTH_SHOWING, false);
    if (worth) this.#shown.add(emitter);
    return worth;
  }

  #rows({ name, emitter, source }: Probed): EmitterReading[] {
    const { sum, names, events } = countOf(emitter);
    const single = events
      .filter(([, listeners]) => listeners >= WORTH_SHOWING)
      .sort(([, a], [, b]) => b - a)
      .slice(0, MAX_EVENTS_EACH)
      .map(([event, listeners]) => ({
        emitter: name,
        event: String(event),
        listeners,
        eventNames: null,
        source,
      }));
    return [{ emitter: name, event: '*', listeners: sum, eventNames: names, source }, ...single];
  }

  /** EventTargets (an AbortSignal, say) count by event only, and only those that Node warned of are known. */
  #targets(): EmitterReading[] {
    const rows: EmitterReading[] = [];
    for (const { target, type } of this.#emitterTracker.flagged()) {
      if (isEmitter(target) || typeof type !== 'string') continue;
      const listeners = getEventListeners(target as EventTarget, type).length;
      const emitter = this.#names.of(target, className(target));
      rows.push({ emitter, event: type, listeners, eventNames: null, source: 'found' });
    }
    return rows;
  }
}

const isEmitter = (target: object): target is EventEmitter =>
  typeof (target as Partial<EventEmitter>).eventNames === 'function';

function className(thing: object): string {
  try {
    const { name } = thing.constructor;
    if (typeof name === 'string' && name !== '') return name;
  } catch {
    // A constructor that is none, or that throws: the emitter has its listeners all the same.
  }
  return 'EventEmitter';
}

interface Count {
  readonly sum: number;
  readonly names: number;
  readonly events: readonly (readonly [string | symbol, number])[];
}

export function countOf(emitter: EventEmitter): Count {
  // Core's own counter, since naming 100,000 events to count them takes 10 ms.
  const counted = (emitter as { readonly _eventsCount?: unknown })._eventsCount;
  if (typeof counted === 'number' && counted > MAX_NAMES_LISTED) {
    return { sum: counted, names: counted, events: [] };
  }
  // By the original methods: a class may have replaced its own.
  const { prototype } = EventEmitter;
  const events = prototype.eventNames
    .call(emitter)
    .map((event) => [event, prototype.listenerCount.call(emitter, event)] as const);
  return { sum: events.reduce((sum, [, count]) => sum + count, 0), names: events.length, events };
}
