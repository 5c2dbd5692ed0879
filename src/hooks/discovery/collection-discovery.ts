import type { EventEmitter } from 'node:events';
import { isMap } from 'node:util/types';
import { isAllowed } from '../../core/process.ts';
import type { QueueReading, RegistryReading, RoomsReading } from '../../types/index.ts';
import type { Connection } from '../connections/connection.ts';
import { Fields } from './field-reader.ts';
import type { Found } from './library-servers.ts';
import { Front } from './consumer-detector.ts';
import type { Names } from '../unique-names.ts';
import { readRoomObjects, readRooms, type RoomsMap } from '../registered-collections.ts';
import { roleOf, sizeOf, take, type Connected, type Known, type Role } from './collection-role.ts';
import { collectionsAround, isCollection, type Variable } from './closure-scopes.ts';

interface Candidate {
  readonly name: string;
  readonly ref: WeakRef<object>;
  /** Null until it holds something to judge by. */
  role: Role | 'other' | null;
  readonly sizeAtFirst: number;
  /** Constants are arrays too: a queue is one that was seen to change. */
  moved: boolean;
  readonly front: Front;
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
  read(isShown: (collection: object) => boolean, connected: readonly Connected[]): DiscoveryReading {
    const reading: DiscoveryReading = { registries: [], queues: [], rooms: [] };
    const source = 'found' as const;
    this.#fields.renew();
    const known = { fields: this.#fields, connected, isId: this.#isIdAmong(connected) };
    for (const candidate of this.#candidates) {
      const collection = candidate.ref.deref();
      if (collection === undefined || isShown(collection)) continue;
      candidate.role ??= roleOf(collection, known);
      const { name, role } = candidate;
      const entries = sizeOf(collection);
      candidate.moved ||= entries !== candidate.sizeAtFirst;
      if (role === 'registry') reading.registries.push({ name, entries, source });
      else if (role === 'queue' && candidate.moved) {
        const isTaken = candidate.front.isTaken(collection as unknown[]);
        reading.queues.push({ name, items: entries, oldestAgeMs: null, isTaken, source });
      } else if (role?.startsWith('rooms'))
        reading.rooms.push({ name, ...roomsIn(collection as RoomsMap, role), source });
    }
    return reading;
  }

  /** Rooms hold the keys by which a registry, the application's own or Socket.IO's, keeps connections. */
  #isIdAmong(connected: readonly Connected[]): Known['isId'] {
    const byKey = this.#candidates.flatMap(({ role, ref }) => {
      const collection = role === 'registry' ? ref.deref() : undefined;
      return isMap(collection) ? [collection] : [];
    });
    return (key) => [...connected, ...byKey].some((ids) => ids.has(key));
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
    this.#candidates.push({ name: its, ref, role: null, sizeAtFirst, moved: false, front: new Front() });
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

export const connectedTo = ({ namespaces }: Found): Connected[] =>
  (namespaces as unknown as { sockets: ReadonlyMap<string, object> }[]).map(({ sockets }) => ({
    some: [...take(sockets.keys(), IDS_TO_TELL)],
    has: (id) => sockets.has(id),
  }));

const roomsIn = (rooms: RoomsMap, role: string): Omit<RoomsReading, 'name' | 'source'> =>
  role === 'rooms' ? readRooms(rooms) : readRoomObjects(rooms, role.slice('rooms.'.length));

const handlersOf = (emitter: EventEmitter, events: readonly (string | symbol)[]): object[] =>
  events.flatMap((event) => emitter.listeners(event)).slice(0, LISTENERS_EACH);

function handlersOfConnection(holder: object): object[][] {
  const { req } = holder as { readonly req?: unknown };
  return [holder, req].flatMap((emitter) => {
    const names = (emitter as EventEmitter | undefined)?.eventNames?.() ?? [];
    return names.length === 0 ? [] : [handlersOf(emitter as EventEmitter, names)];
  });
}
