import { isMap, isPromise, isSet } from 'node:util/types';
import type { Guard } from '../core/guard.ts';
import { own } from './discovery/field-reader.ts';
import type { Dispose, QueueReading, RegistryReading, RoomsReading } from '../types/index.ts';

export type Collection = ReadonlyMap<unknown, unknown> | ReadonlySet<unknown> | readonly unknown[];
export type Watchable = Collection | (() => number);
export type RoomsMap = ReadonlyMap<unknown, Collection>;

/** Reads the number now; null when what was watched is gone. */
type Read<T> = () => T | null;

const MAX_WATCHED = 1_000;
/** Members of more rooms than this are extrapolated: 5,000 set sizes take about 0.1 ms. */
const MAX_ROOMS_SUMMED = 5_000;
/** A field takes longer to read than a variable. */
const MAX_OBJECTS_SUMMED = 1_000;

/** What the application showed us; collections are held weakly, functions until their Dispose. */
export class RegisteredCollections {
  readonly #guard: Guard;
  readonly #shown = new WeakSet<object>();
  readonly #registries = new Map<string, Read<number>>();
  readonly #queues = new Map<string, Read<Omit<QueueReading, 'name' | 'source'>>>();
  readonly #rooms = new Map<string, Read<Omit<RoomsReading, 'name' | 'source'>>>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  watchRegistry(name: string, thing: Watchable): Dispose {
    const dispose = enlist(this.#registries, name, counter(thing));
    this.#shown.add(thing);
    return dispose;
  }

  watchQueue(name: string, thing: Watchable, options: { oldestAgeMs?: () => number } = {}): Dispose {
    const items = counter(thing);
    const { oldestAgeMs } = options;
    if (oldestAgeMs !== undefined && typeof oldestAgeMs !== 'function')
      throw misuse('oldestAgeMs', oldestAgeMs);
    this.#shown.add(thing);
    return enlist(this.#queues, name, () => {
      const count = items();
      return count === null
        ? null
        : { items: count, oldestAgeMs: oldestAgeMs === undefined ? null : natural(oldestAgeMs()) };
    });
  }

  watchRooms(name: string, map: RoomsMap): Dispose {
    if (!isMap(map)) throw misuse('rooms', map);
    this.#shown.add(map);
    const ref = new WeakRef<RoomsMap>(map);
    return enlist(this.#rooms, name, () => {
      const rooms = ref.deref();
      return rooms === undefined ? null : readRooms(rooms);
    });
  }

  has(collection: object): boolean {
    return this.#shown.has(collection);
  }

  read(): { registries: RegistryReading[]; queues: QueueReading[]; rooms: RoomsReading[] } {
    const source = 'app' as const;
    return {
      registries: this.#all(this.#registries, (name, entries) => ({ name, entries, source })),
      queues: this.#all(this.#queues, (name, queue) => ({ name, ...queue, source })),
      rooms: this.#all(this.#rooms, (name, rooms) => ({ name, ...rooms, source })),
    };
  }

  stop(): void {
    for (const watched of [this.#registries, this.#queues, this.#rooms]) watched.clear();
  }

  /** A callback of the application that throws gives no row: absent beats false. */
  #all<T, R>(watched: ReadonlyMap<string, Read<T>>, row: (name: string, value: T) => R): R[] {
    const rows: R[] = [];
    for (const [name, read] of watched) {
      const value = this.#guard.run(`watched ${name}`, read, null);
      if (value !== null) rows.push(row(name, value));
    }
    return rows;
  }
}

/** The same name again replaces the former: a module may be loaded anew. */
function enlist<T>(watched: Map<string, Read<T>>, name: string, read: Read<T>): Dispose {
  if (typeof name !== 'string' || name === '') throw misuse('name', name);
  if (watched.size < MAX_WATCHED || watched.has(name)) watched.set(name, read);
  return () => {
    if (watched.get(name) === read) watched.delete(name);
  };
}

function counter(thing: Watchable): Read<number> {
  if (typeof thing === 'function') return calling(thing);
  if (isMap(thing) || isSet(thing)) return sizeOf(new WeakRef(thing));
  if (Array.isArray(thing)) return lengthOf(new WeakRef<readonly unknown[]>(thing));
  throw misuse('thing', thing);
}

// Functions of their own: closures made in one scope share it, and one that named `thing` would hold it for all.
const calling = (count: () => unknown) => (): number => natural(count());
const sizeOf = (ref: WeakRef<{ readonly size: number }>) => (): number | null => ref.deref()?.size ?? null;
const lengthOf = (ref: WeakRef<readonly unknown[]>) => (): number | null => ref.deref()?.length ?? null;

function natural(value: unknown): number {
  // A count that comes later is none; its rejection, unheard, would end the process, and we called.
  if (isPromise(value)) value.catch(() => undefined);
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw new TypeError(`gave ${String(value)} where a number of at least 0 was expected`);
}

export const readRooms = (rooms: RoomsMap): Omit<RoomsReading, 'name' | 'source'> =>
  sumRooms(rooms, (room) => room, MAX_ROOMS_SUMMED);

/** Rooms that are objects, with their members in this field. A getter is not run. */
export const readRoomObjects = (
  rooms: ReadonlyMap<unknown, unknown>,
  field: string,
): Omit<RoomsReading, 'name' | 'source'> => ({
  ...sumRooms(rooms, (room) => own(room, field), MAX_OBJECTS_SUMMED),
  areObjects: true,
});

function sumRooms<T>(
  rooms: ReadonlyMap<unknown, T>,
  membersOf: (room: T) => unknown,
  most: number,
): { rooms: number; members: number } {
  let seen = 0;
  let members = 0;
  for (const room of rooms.values()) {
    const its = membersOf(room);
    members += Array.isArray(its)
      ? its.length
      : ((its as ReadonlySet<unknown> | null | undefined)?.size ?? 0);
    seen += 1;
    if (seen === most) break;
  }
  return { rooms: rooms.size, members: seen === 0 ? 0 : Math.round((members / seen) * rooms.size) };
}

const EXPECTED: Readonly<Record<string, string>> = {
  name: 'a string that is not empty',
  thing: 'a Map, a Set, an Array or a function that gives a number',
  rooms: 'a Map of rooms',
  oldestAgeMs: 'a function that gives milliseconds',
  emitter: 'an EventEmitter',
  connection: 'a socket or a stream',
};

/** The one thing that is thrown into the application: wrong use, at the call. */
export function misuse(what: string, given: unknown): TypeError {
  const error = new TypeError(`wsguard: expected ${EXPECTED[what] ?? what}, got ${typeof given}`);
  return Object.assign(error, { code: 'WSGUARD_WATCH_ARGUMENT' });
}
