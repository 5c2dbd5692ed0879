import type { EventEmitter } from 'node:events';
import { isMap, isProxy, isSet } from 'node:util/types';
import { isAllowed } from '../permission.ts';
import type { QueueReading, RegistryReading, RoomsReading } from '../types.ts';
import type { Connection } from './connection.ts';
import { Fields } from './fields.ts';
import type { Found } from './found.ts';
import type { Names } from './names.ts';
import { readRooms, type Collection, type RoomsMap } from './registries.ts';
import { collectionsAround, isCollection, type Variable } from './scopes.ts';

/** Of some sockets that are connected to one namespace of Socket.IO. */
type Ids = readonly string[];
type Role = 'registry' | 'rooms' | 'queue';
interface Candidate {
  readonly name: string;
  readonly ref: WeakRef<object>;
  /** Null until it holds something to judge by. */
  role: Role | 'other' | null;
  readonly sizeAtFirst: number;
  /** Constants are arrays too: a queue is one that was seen to change. */
  moved: boolean;
}
/** Where the application's handlers are. */
export interface Handlers {
  readonly emitter: EventEmitter;
  readonly events: readonly string[];
}
export interface DiscoveryReading {
  readonly registries: RegistryReading[];
  readonly queues: QueueReading[];
  readonly rooms: RoomsReading[];
}

/** Looks again as connections come: handlers are added late, and modules are loaded late. */
const LOOK_AT_OPENED = [2, 20, 200, 2_000];
const MAX_CANDIDATES = 200;
const LISTENERS_EACH = 6;
const OF_EACH_KIND = 2;
/** A collection tells what it is by its first entries once it has this many. */
const ENTRIES_TO_TELL = 3;
const IDS_TO_TELL = 10;

/** The application's own registries, rooms and queues, found through what its handlers close over. */
export class Discovery {
  readonly #names: Names;
  readonly #candidates: Candidate[] = [];
  readonly #known = new WeakSet<object>();
  readonly #fields = new Fields();
  /** Why nothing can be found this way: the permission model may refuse the inspector, a build may lack it. */
  blind: string | null = isAllowed('inspector') ? null : 'ERR_ACCESS_DENIED';
  #looks = 0;
  #looking: Iterator<void, void> | null = null;

  constructor(names: Names) {
    this.#names = names;
  }

  isDue(openedTotal: number): boolean {
    return openedTotal >= (LOOK_AT_OPENED[this.#looks] ?? Infinity);
  }

  /** One slice of a look; true when it is complete. */
  lookSlice(openedTotal: number, servers: readonly Handlers[], connections: readonly object[]): boolean {
    while (this.isDue(openedTotal)) this.#looks += 1;
    const looking = (this.#looking ??= this.#look(servers, connections));
    let done = true;
    try {
      done = looking.next().done === true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      this.blind = code;
    } finally {
      if (done) this.#looking = null;
    }
    return done;
  }

  /**
   * What the handlers of a server reach is shared. What those of one connection reach may be its own; what those of two
   * reach is shared. A step an emitter: the inspector takes 0.2 ms for each handler.
   */
  *#look(servers: readonly Handlers[], connections: readonly object[]): Generator<void, void> {
    this.#fields.renew();
    for (const { emitter } of servers) this.#leaveOut(emitter);
    for (const { emitter, events } of servers) {
      for (const variable of collectionsAround(handlersOf(emitter, events), this.#fields))
        this.#add(variable);
      yield;
    }
    const seenFrom = new Map<object, number>();
    for (const [index, holder] of connections.entries()) {
      for (const handlers of handlersOfConnection(holder)) {
        for (const variable of collectionsAround(handlers, this.#fields)) {
          const before = seenFrom.get(variable.collection);
          if (before === undefined) seenFrom.set(variable.collection, index);
          else if (before !== index) this.#add(variable);
        }
        yield;
      }
    }
  }

  /** `isShown`: what the application registered itself is not found a second time. */
  read(isShown: (collection: object) => boolean, connected: readonly Ids[]): DiscoveryReading {
    const reading: DiscoveryReading = { registries: [], queues: [], rooms: [] };
    const source = 'found' as const;
    this.#fields.renew();
    for (const candidate of this.#candidates) {
      const collection = candidate.ref.deref();
      if (collection === undefined || isShown(collection)) continue;
      candidate.role ??= roleOf(collection, this.#fields, connected);
      const { name, role } = candidate;
      const entries = sizeOf(collection);
      candidate.moved ||= entries !== candidate.sizeAtFirst;
      if (role === 'registry') reading.registries.push({ name, entries, source });
      else if (role === 'queue' && candidate.moved)
        reading.queues.push({ name, items: entries, oldestAgeMs: null, source });
      else if (role === 'rooms') reading.rooms.push({ name, ...readRooms(collection as RoomsMap), source });
    }
    return reading;
  }

  stop(): void {
    this.#looking = null;
    this.#candidates.length = 0;
  }

  /** Its own `clients` are read where servers are read. */
  #leaveOut(server: EventEmitter): void {
    for (const [, value] of this.#fields.of(server)) if (isCollection(value)) this.#known.add(value);
  }

  #add({ name, collection }: Variable): void {
    if (this.#known.has(collection) || this.#candidates.length >= MAX_CANDIDATES) return;
    this.#known.add(collection);
    const ref = new WeakRef(collection);
    const sizeAtFirst = sizeOf(collection);
    const its = this.#names.of(collection, name);
    this.#candidates.push({ name: its, ref, role: null, sizeAtFirst, moved: false });
  }
}

/** The first two of each transport, and of each namespace of Socket.IO, whose own sockets carry the handlers. */
export function examples(open: ReadonlyMap<unknown, Connection | null>, found: Found): object[] {
  const of = new Map<string, object[]>();
  for (const connection of open.values()) {
    if (connection === null) continue;
    const holders = of.get(connection.transport) ?? [];
    if (holders.length < OF_EACH_KIND) of.set(connection.transport, [...holders, connection.holder]);
  }
  for (const { sockets } of found.namespaces as unknown as { sockets: ReadonlyMap<string, object> }[]) {
    of.set(`namespace ${of.size}`, [...take(sockets.values(), OF_EACH_KIND)]);
  }
  return [...of.values()].flat();
}

export const idsOf = ({ namespaces }: Found): Ids[] =>
  (namespaces as unknown as { sockets: ReadonlyMap<string, object> }[]).map(({ sockets }) => [
    ...take(sockets.keys(), IDS_TO_TELL),
  ]);

const handlersOf = (emitter: EventEmitter, events: readonly (string | symbol)[]): object[] =>
  events.flatMap((event) => emitter.listeners(event)).slice(0, LISTENERS_EACH);

function handlersOfConnection(holder: object): object[][] {
  const { req } = holder as { readonly req?: unknown };
  return [holder, req].flatMap((emitter) => {
    const names = (emitter as EventEmitter | undefined)?.eventNames?.() ?? [];
    return names.length === 0 ? [] : [handlersOf(emitter as EventEmitter, names)];
  });
}

const sizeOf = (collection: object): number =>
  Array.isArray(collection) ? collection.length : (collection as ReadonlySet<unknown>).size;

/** By the first entries: connections or what holds one; collections of such; an array of plain values is a queue. */
function roleOf(collection: object, fields: Fields, connected: readonly Ids[]): Role | 'other' | null {
  if (sizeOf(collection) < ENTRIES_TO_TELL || fields.spent) return null;
  const holdsConnection = (value: unknown): boolean => isHolder(value, fields);
  const entries = firstEntries(collection as Collection);
  if (entries.some(([key, value]) => holdsConnection(key) || holdsConnection(value))) return 'registry';
  const kept = isKeptById(collection, connected);
  if (kept !== false) return kept === null ? null : 'registry';
  const inner = entries.map(([, value]) => value).filter(isCollection);
  if (
    inner.some((members) =>
      firstEntries(members as Collection)
        .flat()
        .some(holdsConnection),
    )
  ) {
    return isMap(collection) ? 'rooms' : 'other';
  }
  if (!Array.isArray(collection) || inner.length > 0) return 'other';
  return entries.every(([, value]) => isPlain(value)) ? 'queue' : 'other';
}

/** Null while too few are connected to tell. An id of Socket.IO is one connection's and never comes again. */
function isKeptById(collection: object, connected: readonly Ids[]): boolean | null {
  if (connected.length === 0 || Array.isArray(collection)) return false;
  const enough = connected.filter((ids) => ids.length >= ENTRIES_TO_TELL);
  if (enough.length === 0) return null;
  const keys = collection as ReadonlySet<string>;
  return enough.some((ids) => ids.filter((id) => keys.has(id)).length * 2 > ids.length);
}

function firstEntries(collection: Collection): (readonly [unknown, unknown])[] {
  const first: (readonly [unknown, unknown])[] = [];
  const each = isMap(collection)
    ? collection
    : [...take(collection as Iterable<unknown>, ENTRIES_TO_TELL)].map((value) => [null, value]);
  for (const [key, value] of each as Iterable<readonly [unknown, unknown]>) {
    first.push([key, value]);
    if (first.length === ENTRIES_TO_TELL) break;
  }
  return first;
}
function* take<T>(values: Iterable<T>, most: number): Generator<T> {
  let left = most;
  for (const value of values) {
    yield value;
    left -= 1;
    if (left === 0) return;
  }
}

/** A WebSocket, a socket, a response, a Socket.IO socket; or an object with one in a field of its own. */
function isHolder(value: unknown, fields: Fields): boolean {
  // A Proxy answers by code of the application.
  if (typeof value !== 'object' || value === null || isProxy(value)) return false;
  if (isConnection(value)) return true;
  if (isCollection(value) || isMap(value) || isSet(value)) return false;
  return fields
    .of(value)
    .some(([, own]) => typeof own === 'object' && own !== null && !isProxy(own) && isConnection(own));
}

const isConnection = (value: object): boolean =>
  ('readyState' in value && 'send' in value) ||
  'remoteAddress' in value ||
  'writeHead' in value ||
  ('handshake' in value && 'emit' in value);

const isPlain = (value: unknown): boolean =>
  typeof value === 'string' || (typeof value === 'object' && value !== null && !Array.isArray(value));
