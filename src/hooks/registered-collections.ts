/** Reads the collections that the application registers: registries, queues and rooms. */
import { isMap, isPromise, isSet } from 'node:util/types';
import type { Guard } from '../core/guard.ts';
import type { Dispose, QueueReading, RegistryReading, RoomsReading } from '../types/index.ts';
import { readField } from './discovery/field-reader.ts';
import { watchArgumentError } from './watch-argument-error.ts';

export type Collection = ReadonlyMap<unknown, unknown> | ReadonlySet<unknown> | readonly unknown[];
export type Watchable = Collection | (() => number);
export type RoomsMap = ReadonlyMap<unknown, Collection>;
export type RoomCounts = Omit<RoomsReading, 'name' | 'source'>;
type QueueCounts = Omit<QueueReading, 'name' | 'source'>;

/** Reads the current value; null when the collection was garbage collected. */
type Read<T> = () => T | null;

const MAX_REGISTERED = 1_000;
/** The members of further rooms are extrapolated: reading 5,000 set sizes takes about 0.1 ms. */
const MAX_SUMMED_ROOMS = 5_000;
/** Fewer, because a field takes longer to read than a set size. */
const MAX_SUMMED_ROOM_OBJECTS = 1_000;

/** References collections weakly, and functions until their Dispose. */
export class RegisteredCollections {
  readonly #guard: Guard;
  readonly #things = new WeakSet<object>();
  readonly #registries = new Map<string, Read<number>>();
  readonly #queues = new Map<string, Read<QueueCounts>>();
  readonly #rooms = new Map<string, Read<RoomCounts>>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  watchRegistry(name: string, thing: Watchable): Dispose {
    const dispose = register(this.#registries, name, counterOf(thing));
    this.#things.add(thing);
    return dispose;
  }

  watchQueue(name: string, thing: Watchable, options: { oldestAgeMs?: () => number } = {}): Dispose {
    const readItems = counterOf(thing);
    const { oldestAgeMs } = options;
    if (oldestAgeMs !== undefined && typeof oldestAgeMs !== 'function')
      throw watchArgumentError('oldestAgeMs', oldestAgeMs);
    this.#things.add(thing);
    return register(this.#queues, name, () => {
      const items = readItems();
      if (items === null) return null;
      return { items, oldestAgeMs: oldestAgeMs === undefined ? null : checkedNumber(oldestAgeMs()) };
    });
  }

  watchRooms(name: string, map: RoomsMap): Dispose {
    if (!isMap(map)) throw watchArgumentError('rooms', map);
    this.#things.add(map);
    const ref = new WeakRef<RoomsMap>(map);
    return register(this.#rooms, name, () => {
      const rooms = ref.deref();
      return rooms === undefined ? null : countRooms(rooms);
    });
  }

  has(collection: object): boolean {
    return this.#things.has(collection);
  }

  read(): { registries: RegistryReading[]; queues: QueueReading[]; rooms: RoomsReading[] } {
    const source = 'app' as const;
    return {
      registries: this.#rows(this.#registries, (name, entries) => ({ name, entries, source })),
      queues: this.#rows(this.#queues, (name, queue) => ({ name, ...queue, source })),
      rooms: this.#rows(this.#rooms, (name, rooms) => ({ name, ...rooms, source })),
    };
  }

  stop(): void {
    for (const registered of [this.#registries, this.#queues, this.#rooms]) registered.clear();
  }

  /** A function of the application that throws has no row: a missing value is better than a wrong one. */
  #rows<T, R>(registered: ReadonlyMap<string, Read<T>>, rowOf: (name: string, value: T) => R): R[] {
    const rows: R[] = [];
    for (const [name, read] of registered) {
      const value = this.#guard.run(`watched ${name}`, read, null);
      if (value !== null) rows.push(rowOf(name, value));
    }
    return rows;
  }
}

/** A second registration of a name replaces the first, because an application may load a module again. */
function register<T>(registered: Map<string, Read<T>>, name: string, read: Read<T>): Dispose {
  if (typeof name !== 'string' || name === '') throw watchArgumentError('name', name);
  if (registered.size < MAX_REGISTERED || registered.has(name)) registered.set(name, read);
  return () => {
    if (registered.get(name) === read) registered.delete(name);
  };
}

function counterOf(thing: Watchable): Read<number> {
  if (typeof thing === 'function') return callCounter(thing);
  if (isMap(thing) || isSet(thing)) return sizeCounter(new WeakRef(thing));
  if (Array.isArray(thing)) return lengthCounter(new WeakRef<readonly unknown[]>(thing));
  throw watchArgumentError('thing', thing);
}

// Separate functions, because closures of one scope share it: one that uses `thing` would keep it alive for all of them.
const callCounter = (count: () => unknown) => (): number => checkedNumber(count());
const sizeCounter = (ref: WeakRef<{ readonly size: number }>) => (): number | null =>
  ref.deref()?.size ?? null;
const lengthCounter = (ref: WeakRef<readonly unknown[]>) => (): number | null => ref.deref()?.length ?? null;

function checkedNumber(value: unknown): number {
  // An async function returns no number. Without a handler its rejection would end the process, and the agent made the call.
  if (isPromise(value)) value.catch(() => undefined);
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new TypeError(`returned ${String(value)} where a number of at least 0 was expected`);
}

export const countRooms = (rooms: RoomsMap): RoomCounts => sumRooms(rooms, (room) => room, MAX_SUMMED_ROOMS);

/** For rooms that are objects with their members in the field `field`. A getter is not called. */
export const countRoomObjects = (rooms: ReadonlyMap<unknown, unknown>, field: string): RoomCounts => ({
  ...sumRooms(rooms, (room) => readField(room, field), MAX_SUMMED_ROOM_OBJECTS),
  areObjects: true,
});

function sumRooms<T>(
  rooms: ReadonlyMap<unknown, T>,
  membersOf: (room: T) => unknown,
  maxRooms: number,
): { rooms: number; members: number } {
  let summedRooms = 0;
  let sum = 0;
  for (const room of rooms.values()) {
    sum += memberCount(membersOf(room));
    summedRooms += 1;
    if (summedRooms === maxRooms) break;
  }
  const members = summedRooms === 0 ? 0 : Math.round((sum / summedRooms) * rooms.size);
  return { rooms: rooms.size, members };
}

const memberCount = (members: unknown): number =>
  Array.isArray(members) ? members.length : ((members as ReadonlySet<unknown> | null | undefined)?.size ?? 0);
