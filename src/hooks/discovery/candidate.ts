/** One discovered collection: what it is used for, and its row in a sample. */
import type { QueueReading, RegistryReading, RoomsReading } from '../../types/index.ts';
import { countRoomObjects, type RoomCounter, type RoomCounts } from '../registered-collections.ts';
import { isArray, isCollection, memberCount, sizeOf, visitValues } from './collection.ts';
import { isProvisionalRole, type CollectionRole } from './collection-role.ts';
import { ConsumerDetector, OldestEntryObserver } from './consumer-detector.ts';
import { awaitsExpiry, haveLastEventTime } from './expiry.ts';
import { isPlainObject, isTooLargeToList, readField } from './field-reader.ts';
import type { ReachedCollection } from './reference-walk.ts';

export interface DiscoveryReading {
  readonly registries: RegistryReading[];
  readonly queues: QueueReading[];
  readonly rooms: RoomsReading[];
}

export const emptyReading = (): DiscoveryReading => ({ registries: [], queues: [], rooms: [] });

/** A collection of unknown purpose is shown when it has grown by as much: most never change. */
const MIN_GROWTH = 10;
/** Sizes of further inner collections are extrapolated. */
const MAX_SUMMED = 1_000;
/** `deref` keeps an object alive while V8 marks, so the record of a closed connection must not stay a candidate: 10 min. */
const MAX_UNCHANGED_READINGS = 40;

export interface RowContext {
  readonly wallMs: number;
  readonly rooms: RoomCounter;
  /** Names of collections whose size the application compares with a maximum. */
  readonly comparedNames: ReadonlySet<string>;
}

export class Candidate {
  readonly name: string;
  /** Null while the collection has too few entries to tell. */
  role: CollectionRole | null = null;
  readonly #limit: number | null;
  readonly #owner: WeakRef<object> | null;
  readonly #field: string;
  readonly #initialSize: number;
  readonly #consumer = new ConsumerDetector();
  readonly #oldest = new OldestEntryObserver();
  #ref: WeakRef<object>;
  /** The smallest size since the collection has its present role. */
  #lowest: { readonly role: CollectionRole; readonly entries: number } | null = null;
  /** A constant is an array too. A queue is an array whose size has changed. */
  #hasChanged = false;
  #hasGrown = false;
  #unchangedReadings = 0;
  #hasLastEventTime = false;
  #isTooLarge = false;
  #listedNames = 0;

  constructor(name: string, { collection, owner, field, limit }: ReachedCollection) {
    this.name = name;
    this.#ref = new WeakRef(collection);
    this.#owner = owner === null ? null : new WeakRef(owner);
    this.#field = field;
    this.#limit = limit;
    this.#initialSize = sizeOf(collection);
    this.#isTooLarge = isTooLargeToList(collection);
  }

  /** A plain object whose fields never change is a record, and no map. */
  get isRecord(): boolean {
    return this.#unchangedReadings >= MAX_UNCHANGED_READINGS;
  }

  /** A plain object has become too large to count. */
  get isTooLarge(): boolean {
    return this.#isTooLarge;
  }

  stopCounting(): void {
    this.#isTooLarge = true;
  }

  /** Names that its last row took to count; 0 for a Map, a Set or an array, which know their size. */
  get listedNames(): number {
    return this.#listedNames;
  }

  /** Another collection has taken its place. */
  follow(collection: object): void {
    this.#ref = new WeakRef(collection);
  }

  /** The collection, or the one that has taken its place: `this.clients = this.clients.filter(...)`. */
  collection(): object | undefined {
    const owner = this.#owner?.deref();
    const current = owner === undefined ? undefined : readField(owner, this.#field);
    const previous = this.#ref.deref();
    if (current === previous || !(isCollection(current) || isPlainObject(current))) return previous;
    this.#ref = new WeakRef(current);
    return current;
  }

  /** Adds the row of the collection, if it has one. Returns whether the row is one of a collection of unknown purpose. */
  addRow(reading: DiscoveryReading, collection: object, context: RowContext): boolean {
    const entries = sizeOf(collection);
    this.#listedNames = isPlainObject(collection) ? entries : 0;
    this.#isTooLarge = isTooLargeToList(collection);
    if (this.#isTooLarge) return false;
    this.#hasChanged ||= entries !== this.#initialSize;
    const isUnknown = this.role === null || isProvisionalRole(this.role);
    if (isUnknown && entries > 0 && !this.#hasChanged && isPlainObject(collection))
      this.#unchangedReadings += 1;
    const { name, role } = this;
    const source = 'found' as const;
    if (role === 'registry') this.#addRegistry(reading, collection, entries);
    else if (role === 'queue') this.#addQueue(reading, collection, entries);
    else if (role !== null && !isProvisionalRole(role))
      reading.rooms.push({ name, ...roomCounts(collection, role, context.rooms), source });
    else if (role !== null) return this.#addProvisionalRow(reading, collection, { role, ...context });
    return false;
  }

  #addRegistry(reading: DiscoveryReading, collection: object, entries: number): void {
    const { name } = this;
    this.#hasLastEventTime ||= haveLastEventTime(collection);
    const times = this.#hasLastEventTime ? { hasLastEventTime: true } : {};
    const workedOff = this.#oldest.update(collection) ? { isWorkedOff: true } : {};
    reading.registries.push({ name, entries, ...times, ...workedOff, source: 'found' });
  }

  #addQueue(reading: DiscoveryReading, collection: object, items: number): void {
    if (!this.#hasChanged || !isArray(collection)) return;
    const isTaken = this.#consumer.update(collection);
    reading.queues.push({ name: this.name, items, oldestAgeMs: null, isTaken, source: 'found' });
  }

  #addProvisionalRow(
    reading: DiscoveryReading,
    collection: object,
    { role, wallMs, rooms, comparedNames }: RowContext & { readonly role: CollectionRole },
  ): boolean {
    const entries = role === 'nested' ? nestedSize(collection) : sizeOf(collection);
    const previous = this.#lowest?.role === role ? this.#lowest.entries : entries;
    this.#lowest = { role, entries: Math.min(previous, entries) };
    this.#hasGrown ||= entries - previous >= MIN_GROWTH;
    const isWorkedOff = role === 'entries' && this.#oldest.update(collection);
    if (!this.#hasGrown) return false;
    const { name } = this;
    if (role === 'empty rooms') {
      reading.rooms.push({ name, ...rooms.count(collection), source: 'found' });
      return true;
    }
    const isBounded =
      (this.#limit !== null && entries <= this.#limit) ||
      comparedNames.has(this.#field) ||
      awaitsExpiry(collection, wallMs);
    reading.registries.push({
      name,
      entries,
      areConnections: false,
      ...(isBounded ? { isBounded } : {}),
      ...(isWorkedOff ? { isWorkedOff } : {}),
      source: 'found',
    });
    return true;
  }
}

const roomCounts = (rooms: object, role: string, counter: RoomCounter): RoomCounts =>
  role === 'rooms' ? counter.count(rooms) : countRoomObjects(rooms, role.slice('rooms.'.length));

/** The entries of a collection of collections, and those of the inner ones. */
function nestedSize(collection: object): number {
  const size = sizeOf(collection);
  let [summed, sum] = [0, 0];
  visitValues(collection, (inner) => {
    sum += memberCount(inner) ?? 0;
    summed += 1;
    return summed < MAX_SUMMED;
  });
  return summed === 0 ? size : size + Math.round((sum / summed) * size);
}
