/** Reads the collections that the application registers: registries, queues and rooms. */
import { isMap, isPromise, isSet } from 'node:util/types';
import type { Guard } from '../core/guard.ts';
import type { Blind, Dispose, QueueReading, RegistryReading, RoomsReading } from '../types/index.ts';
import { memberCount, sizeOf, visitValues } from './discovery/collection.ts';
import { readField } from './discovery/field-reader.ts';
import { MajorGcMarker } from './major-gc-marker.ts';
import { watchArgumentError } from './watch-argument-error.ts';

export type Collection = ReadonlyMap<unknown, unknown> | ReadonlySet<unknown> | readonly unknown[];
export type Watchable = Collection | (() => number);
export type RoomsMap = ReadonlyMap<unknown, Collection>;
export type RoomCounts = Omit<RoomsReading, 'name' | 'source'>;
type QueueCounts = Omit<QueueReading, 'name' | 'source'>;

/** Reads the current value; null when the collection was garbage collected. */
type Read<T> = () => T | null;
interface Registered<T> {
  readonly read: Read<T>;
  /** Null for a function, which is kept until its Dispose. */
  readonly ref: WeakRef<object> | null;
}

const MAX_REGISTERED = 1_000;
/** The members of further rooms are extrapolated: reading 5,000 set sizes takes about 0.1 ms. */
const MAX_SUMMED_ROOMS = 5_000;
/** Rooms that one reading sums in all maps, and the rooms of a map that is seen for the first time when these are used up. */
const ROOMS_PER_READING = 10_000;
const FIRST_SUMMED_ROOMS = 20;
/** Fewer, because a field takes longer to read than a set size. */
const MAX_SUMMED_ROOM_OBJECTS = 1_000;

/** References collections weakly, and functions until their Dispose. */
export class RegisteredCollections {
  readonly #guard: Guard;
  readonly #things = new WeakSet<object>();
  readonly #registries = new Map<string, Registered<number>>();
  readonly #queues = new Map<string, Registered<QueueCounts>>();
  readonly #rooms = new Map<string, Registered<RoomCounts>>();
  readonly #roomCounter = new RoomCounter();
  #refusedTotal = 0;
  /** One for each map, when it is full: the first search for collections that are gone, and one after each major GC. */
  readonly #majorGcs = new WeakMap<object, MajorGcMarker>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  watchRegistry(name: string, thing: Watchable): Dispose {
    const dispose = this.#register(this.#registries, name, counterOf(thing));
    this.#things.add(thing);
    return dispose;
  }

  watchQueue(name: string, thing: Watchable, options: { oldestAgeMs?: () => number } = {}): Dispose {
    const { read: readItems, ref } = counterOf(thing);
    const { oldestAgeMs } = options;
    if (oldestAgeMs !== undefined && typeof oldestAgeMs !== 'function')
      throw watchArgumentError('oldestAgeMs', oldestAgeMs);
    this.#things.add(thing);
    const read = (): QueueCounts | null => {
      const items = readItems();
      if (items === null) return null;
      return { items, oldestAgeMs: oldestAgeMs === undefined ? null : checkedNumber(oldestAgeMs()) };
    };
    return this.#register(this.#queues, name, { read, ref });
  }

  watchRooms(name: string, map: RoomsMap): Dispose {
    if (!isMap(map)) throw watchArgumentError('rooms', map);
    this.#things.add(map);
    const ref = new WeakRef<RoomsMap>(map);
    const read = (): RoomCounts | null => {
      const rooms = ref.deref();
      return rooms === undefined ? null : this.#roomCounter.count(rooms);
    };
    return this.#register(this.#rooms, name, { read, ref });
  }

  has(collection: object): boolean {
    return this.#things.has(collection);
  }

  read(): { registries: RegistryReading[]; queues: QueueReading[]; rooms: RoomsReading[] } {
    const source = 'app' as const;
    this.#roomCounter.startReading();
    return {
      registries: this.#rows(this.#registries, (name, entries) => ({ name, entries, source })),
      queues: this.#rows(this.#queues, (name, queue) => ({ name, ...queue, source })),
      rooms: this.#rows(this.#rooms, (name, rooms) => ({ name, ...rooms, source })),
    };
  }

  blind(): Blind[] {
    if (this.#refusedTotal === 0) return [];
    const what = `${this.#refusedTotal} collections that the application registered`;
    return [{ what, why: `the agent reads ${MAX_REGISTERED} registries, queues and rooms each` }];
  }

  stop(): void {
    for (const registered of [this.#registries, this.#queues, this.#rooms]) registered.clear();
  }

  /** A function of the application that throws has no row: a missing value is better than a wrong one. */
  #rows<T, R>(registered: ReadonlyMap<string, Registered<T>>, rowOf: (name: string, value: T) => R): R[] {
    const rows: R[] = [];
    for (const [name, { read }] of registered) {
      const value = this.#guard.run(`watched ${name}`, read, null);
      if (value !== null) rows.push(rowOf(name, value));
    }
    return rows;
  }

  /** A second registration of a name replaces the first, because an application may load a module again. */
  #register<T>(all: Map<string, Registered<T>>, name: string, registered: Registered<T>): Dispose {
    if (typeof name !== 'string' || name === '') throw watchArgumentError('name', name);
    if (this.#hasRoomFor(all, name)) all.set(name, registered);
    else this.#refusedTotal += 1;
    return () => {
      if (all.get(name) === registered) all.delete(name);
    };
  }

  /** An application may register a collection for each user, and drop it: a search makes room. */
  #hasRoomFor(all: Map<string, Registered<unknown>>, name: string): boolean {
    if (all.size < MAX_REGISTERED || all.has(name)) return true;
    const majorGc = this.#majorGcs.get(all) ?? new MajorGcMarker();
    this.#majorGcs.set(all, majorGc);
    if (!majorGc.hasRun()) return false;
    for (const [known, { ref }] of all) if (ref !== null && ref.deref() === undefined) all.delete(known);
    return all.size < MAX_REGISTERED;
  }
}

function counterOf(thing: Watchable): Registered<number> {
  if (typeof thing === 'function') return { read: callCounter(thing), ref: null };
  if (isMap(thing) || isSet(thing)) return refCounter(new WeakRef(thing), sizeCounter);
  if (Array.isArray(thing)) return refCounter(new WeakRef<readonly unknown[]>(thing), lengthCounter);
  throw watchArgumentError('thing', thing);
}

const refCounter = <T extends object>(
  ref: WeakRef<T>,
  counter: (ref: WeakRef<T>) => Read<number>,
): Registered<number> => ({ read: counter(ref), ref });

// Separate functions, because closures of one scope share it: one that uses `thing` would keep it alive for all of them.
const callCounter = (count: () => unknown) => (): number => checkedNumber(count());
const sizeCounter = (ref: WeakRef<object>) => (): number | null => {
  const collection = ref.deref();
  return collection === undefined ? null : sizeOf(collection);
};
const lengthCounter = (ref: WeakRef<readonly unknown[]>) => (): number | null => ref.deref()?.length ?? null;

function checkedNumber(value: unknown): number {
  // An async function returns no number. Without a handler its rejection would end the process, and the agent made the call.
  if (isPromise(value)) value.catch(() => undefined);
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new TypeError(`returned ${String(value)} where a number of at least 0 was expected`);
}

export const countRooms = (rooms: object, maxRooms = MAX_SUMMED_ROOMS): RoomCounts =>
  sumRooms(rooms, (room) => room, maxRooms);

/**
 * Counts the rooms of many maps at a bounded cost for each reading. A map that finds no room in a reading has the mean of its
 * last sum, and later readings sum it again.
 */
export class RoomCounter {
  readonly #meanMembers = new WeakMap<object, number>();
  /** Maps that were summed since all of them were. */
  #summed = new WeakSet<object>();
  #roomsLeft = 0;
  #isComplete = true;

  /** Call it before each reading. */
  startReading(): void {
    if (this.#isComplete) this.#summed = new WeakSet();
    this.#isComplete = true;
    this.#roomsLeft = ROOMS_PER_READING;
  }

  count(rooms: object): RoomCounts {
    const mean = this.#meanMembers.get(rooms);
    const size = sizeOf(rooms);
    const isDue = !this.#summed.has(rooms);
    if (mean !== undefined && (!isDue || this.#roomsLeft <= 0)) {
      this.#isComplete &&= !isDue;
      return { rooms: size, members: Math.round(mean * size) };
    }
    const maxRooms = this.#roomsLeft > 0 ? MAX_SUMMED_ROOMS : FIRST_SUMMED_ROOMS;
    const counts = countRooms(rooms, maxRooms);
    this.#meanMembers.set(rooms, size === 0 ? 0 : counts.members / size);
    if (this.#roomsLeft > 0) this.#summed.add(rooms);
    else this.#isComplete = false;
    this.#roomsLeft -= Math.min(size, maxRooms);
    return counts;
  }
}

/** For rooms that are objects with their members in the field `field`. A getter is not called. */
export const countRoomObjects = (rooms: object, field: string): RoomCounts => ({
  ...sumRooms(rooms, (room) => readField(room, field), MAX_SUMMED_ROOM_OBJECTS),
  areObjects: true,
});

function sumRooms(
  rooms: object,
  membersOf: (room: unknown) => unknown,
  maxRooms: number,
): { rooms: number; members: number } {
  const size = sizeOf(rooms);
  let summedRooms = 0;
  let sum = 0;
  visitValues(rooms, (room) => {
    sum += memberCount(membersOf(room)) ?? 0;
    summedRooms += 1;
    return summedRooms < maxRooms;
  });
  const members = summedRooms === 0 ? 0 : Math.round((sum / summedRooms) * size);
  return { rooms: size, members };
}
