/** Discovers the application's own registries, rooms and queues through the variables that its handlers close over. */
import type { EventEmitter } from 'node:events';
import { isMap } from 'node:util/types';
import { isAllowed } from '../../core/process.ts';
import type { QueueReading, RegistryReading, RoomsReading } from '../../types/index.ts';
import type { Connection } from '../connections/connection.ts';
import { countRoomObjects, countRooms, type RoomCounts, type RoomsMap } from '../registered-collections.ts';
import type { UniqueNames } from '../unique-names.ts';
import { collectionsInScopes, isCollection, type NamedCollection } from './closure-scopes.ts';
import {
  collectionRole,
  sizeOf,
  take,
  type CollectionRole,
  type ConnectedIds,
  type RoleContext,
} from './collection-role.ts';
import { ConsumerDetector } from './consumer-detector.ts';
import { FieldReader } from './field-reader.ts';
import type { Namespace } from './library-servers.ts';

interface Candidate {
  readonly name: string;
  readonly ref: WeakRef<object>;
  /** Null while the collection has too few entries to tell. */
  role: CollectionRole | 'other' | null;
  readonly initialSize: number;
  /** A constant is an array too. A queue is an array whose size has changed. */
  hasChanged: boolean;
  readonly consumer: ConsumerDetector;
}

/** The events of an emitter on which the application has its handlers. */
export interface HandlerEvents {
  readonly emitter: EventEmitter;
  readonly events: readonly string[];
}

export interface DiscoveryReading {
  readonly registries: RegistryReading[];
  readonly queues: QueueReading[];
  readonly rooms: RoomsReading[];
}

/** A search runs when this many connections have opened, because applications add handlers and load modules late. */
const SEARCH_AT_OPENED = [2, 20, 200, 2_000];
const MAX_CANDIDATES = 200;
const MAX_HANDLERS_PER_EMITTER = 6;
const EXAMPLES_PER_TRANSPORT = 2;
const SAMPLE_IDS_PER_NAMESPACE = 10;

export class CollectionDiscovery {
  readonly #names: UniqueNames;
  readonly #candidates: Candidate[] = [];
  /** Candidates, and the collections of library servers, which are read elsewhere. */
  readonly #seen = new WeakSet<object>();
  readonly #fields = new FieldReader();
  #unavailable: string | null = isAllowed('inspector') ? null : unavailableBecause('ERR_ACCESS_DENIED');
  #searches = 0;
  #search: Iterator<void, void> | null = null;

  constructor(names: UniqueNames) {
    this.#names = names;
  }

  /** Why nothing can be discovered: the permission model denies the inspector, or this build of Node has none. */
  get unavailable(): string | null {
    return this.#unavailable;
  }

  isDue(openedTotal: number): boolean {
    return openedTotal >= (SEARCH_AT_OPENED[this.#searches] ?? Infinity);
  }

  /** One slice of a search; true when the search is complete. */
  searchSlice(
    openedTotal: number,
    servers: readonly HandlerEvents[],
    connections: readonly object[],
  ): boolean {
    while (this.isDue(openedTotal)) this.#searches += 1;
    const search = (this.#search ??= this.#searchSteps(servers, connections));
    let isDone = true;
    try {
      isDone = search.next().done === true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      this.#unavailable = unavailableBecause(code);
    } finally {
      if (isDone) this.#search = null;
    }
    return isDone;
  }

  /**
   * A collection that the handlers of a server reach is shared. One that the handlers of a single connection reach can be
   * private to it; one that those of two connections reach is shared. Each step reads the handlers of one emitter, because
   * the inspector takes 0.2 ms per handler.
   */
  *#searchSteps(servers: readonly HandlerEvents[], connections: readonly object[]): Generator<void, void> {
    this.#fields.startPass();
    for (const { emitter } of servers) this.#excludeFieldsOf(emitter);
    for (const { emitter, events } of servers) {
      for (const variable of collectionsInScopes(handlersOf(emitter, events), this.#fields))
        this.#addCandidate(variable);
      yield;
    }
    const firstSeenBy = new Map<object, number>();
    for (const [index, connection] of connections.entries()) {
      for (const handlers of handlersOfConnection(connection)) {
        for (const variable of collectionsInScopes(handlers, this.#fields)) {
          const first = firstSeenBy.get(variable.collection);
          if (first === undefined) firstSeenBy.set(variable.collection, index);
          else if (first !== index) this.#addCandidate(variable);
        }
        yield;
      }
    }
  }

  /** `isRegistered`: the application registered the collection itself, so it is not reported twice. */
  read(isRegistered: (collection: object) => boolean, connected: readonly ConnectedIds[]): DiscoveryReading {
    const reading: DiscoveryReading = { registries: [], queues: [], rooms: [] };
    this.#fields.startPass();
    const isConnectionKey = this.#connectionKeys(connected);
    for (const candidate of this.#candidates) {
      const collection = candidate.ref.deref();
      if (collection === undefined || isRegistered(collection)) continue;
      candidate.role ??= collectionRole(collection, { fields: this.#fields, connected, isConnectionKey });
      addRow(reading, candidate, collection);
    }
    return reading;
  }

  stop(): void {
    this.#search = null;
    this.#candidates.length = 0;
  }

  /** The keys under which a registry, of the application or of Socket.IO, has connections. Rooms can have them as members. */
  #connectionKeys(connected: readonly ConnectedIds[]): RoleContext['isConnectionKey'] {
    const registries = this.#candidates.flatMap(({ role, ref }) => {
      const collection = role === 'registry' ? ref.deref() : undefined;
      return isMap(collection) ? [collection] : [];
    });
    return (key) => [...connected, ...registries].some((keys) => keys.has(key));
  }

  /** The collections of a server itself (its `clients`) are read by `library-servers.ts`. */
  #excludeFieldsOf(server: EventEmitter): void {
    for (const [, value] of this.#fields.fieldsOf(server)) if (isCollection(value)) this.#seen.add(value);
  }

  #addCandidate({ name, collection }: NamedCollection): void {
    if (this.#seen.has(collection) || this.#candidates.length >= MAX_CANDIDATES) return;
    this.#seen.add(collection);
    this.#candidates.push({
      name: this.#names.nameOf(collection, name),
      ref: new WeakRef(collection),
      role: null,
      initialSize: sizeOf(collection),
      hasChanged: false,
      consumer: new ConsumerDetector(),
    });
  }
}

function addRow(reading: DiscoveryReading, candidate: Candidate, collection: object): void {
  const { name, role, consumer } = candidate;
  const source = 'found' as const;
  const entries = sizeOf(collection);
  candidate.hasChanged ||= entries !== candidate.initialSize;
  if (role === 'registry') reading.registries.push({ name, entries, source });
  else if (role === 'queue' && candidate.hasChanged) {
    const isTaken = consumer.update(collection as unknown[]);
    reading.queues.push({ name, items: entries, oldestAgeMs: null, isTaken, source });
  } else if (role?.startsWith('rooms'))
    reading.rooms.push({ name, ...roomCounts(collection as RoomsMap, role), source });
}

const roomCounts = (rooms: RoomsMap, role: string): RoomCounts =>
  role === 'rooms' ? countRooms(rooms) : countRoomObjects(rooms, role.slice('rooms.'.length));

const unavailableBecause = (code: string): string => `the inspector is not available (${code})`;

/** Example connections for a search: the first two of each transport and of each namespace of Socket.IO. */
export function exampleConnections(
  open: ReadonlyMap<unknown, Connection | null>,
  namespaces: readonly Namespace[],
): object[] {
  const examples = new Map<string, object[]>();
  for (const connection of open.values()) {
    if (connection === null) continue;
    const sameTransport = examples.get(connection.transport) ?? [];
    if (sameTransport.length < EXAMPLES_PER_TRANSPORT)
      examples.set(connection.transport, [...sameTransport, connection.appObject]);
  }
  // A namespace has sockets of its own, with the application's handlers on them.
  const ofNamespaces = namespaces.flatMap(({ sockets }) => [
    ...take(sockets.values(), EXAMPLES_PER_TRANSPORT),
  ]);
  return [...[...examples.values()].flat(), ...ofNamespaces];
}

export const connectedIds = (namespaces: readonly Namespace[]): ConnectedIds[] =>
  namespaces.map(({ sockets }) => ({
    samples: [...take(sockets.keys(), SAMPLE_IDS_PER_NAMESPACE)],
    has: (id) => sockets.has(id),
  }));

const handlersOf = (emitter: EventEmitter, events: readonly (string | symbol)[]): object[] =>
  events.flatMap((event) => emitter.listeners(event)).slice(0, MAX_HANDLERS_PER_EMITTER);

/** The handlers on the connection, and on the request that it came from (an event stream has its handlers there). */
function handlersOfConnection(connection: object): object[][] {
  const { req } = connection as { readonly req?: unknown };
  return [connection, req].flatMap((emitter) => {
    const events = (emitter as EventEmitter | undefined)?.eventNames?.() ?? [];
    return events.length === 0 ? [] : [handlersOf(emitter as EventEmitter, events)];
  });
}
