/** Tells from its first entries what a collection is used for, without running code of the application. */
import { isMap, isProxy, isSet } from 'node:util/types';
import type { Collection } from '../registered-collections.ts';
import { isCollection } from './closure-scopes.ts';
import type { FieldReader } from './field-reader.ts';

/** `rooms.members`: rooms that are objects, with their members in the field of this name. */
export type CollectionRole = 'registry' | 'rooms' | `rooms.${string}` | 'queue';

/** The connected sockets of one namespace of Socket.IO, by their ids. */
export interface ConnectedIds {
  readonly samples: readonly string[];
  has(id: string): boolean;
}

export interface RoleContext {
  readonly fields: FieldReader;
  readonly connected: readonly ConnectedIds[];
  /** True when some registry has a connection under this key. */
  readonly isConnectionKey: (key: string) => boolean;
}

/** A smaller collection, or a smaller sample of ids, gives no answer. */
const MIN_ENTRIES = 3;
/** Shorter keys, and numbers, can be equal to ids by chance. */
const MIN_ID_CHARS = 8;
/** The last entries of a Map or Set can only be reached by iteration over all others. */
const MAX_ITERATED_ENTRIES = 2_000;

export const sizeOf = (collection: object): number =>
  Array.isArray(collection) ? collection.length : (collection as ReadonlySet<unknown>).size;

/**
 * A registry has connections, or objects with one, or ids of connections as keys. Rooms are collections of connections or
 * of their ids, or objects with such a collection. A queue is an array of plain values. Null: too few entries to tell.
 */
export function collectionRole(collection: object, context: RoleContext): CollectionRole | 'other' | null {
  if (sizeOf(collection) < MIN_ENTRIES || context.fields.isExhausted) return null;
  const entries = collection as Collection;
  // The oldest entries of a leaking collection can be rooms that are empty by now, so the newest are read too.
  return (
    roleOfEntries(firstEntries(entries), entries, context) ??
    roleOfEntries(lastEntries(entries), entries, context)
  );
}

type Entry = readonly [unknown, unknown];

function roleOfEntries(
  entries: readonly Entry[],
  collection: Collection,
  context: RoleContext,
): CollectionRole | 'other' | null {
  if (entries.length === 0) return null;
  const { fields, connected } = context;
  if (entries.some(([key, value]) => hasConnection(key, fields) || hasConnection(value, fields)))
    return 'registry';
  const isKeyed = isKeyedByConnection(collection, connected);
  if (isKeyed !== false) return isKeyed === null ? null : 'registry';
  const values = entries.map(([, value]) => value);
  const inner = values.filter(isCollection);
  const innerAreRooms = areRooms(inner, context);
  if (innerAreRooms === true) return isMap(collection) ? 'rooms' : 'other';
  if (isMap(collection)) {
    if (inner.length === entries.length) return innerAreRooms === null ? null : 'other';
    const field = membersField(values, context);
    return field === null ? null : field === false ? 'other' : `rooms.${field}`;
  }
  return Array.isArray(collection) && inner.length === 0 && values.every(isPlainValue) ? 'queue' : 'other';
}

/** The field in which these objects have connections or their ids; false: there is none, null: too few to tell. */
function membersField(objects: readonly unknown[], context: RoleContext): string | false | null {
  const collectionsByField = new Map<string, object[]>();
  for (const object of objects) {
    if (typeof object !== 'object' || object === null || isCollection(object)) continue;
    for (const [name, value] of context.fields.fieldsOf(object)) {
      if (!isCollection(value)) continue;
      collectionsByField.set(name, [...(collectionsByField.get(name) ?? []), value]);
    }
  }
  let isUndecided = false;
  for (const [name, collections] of collectionsByField) {
    const answer = areRooms(collections, context);
    if (answer === true) return name;
    isUndecided ||= answer === null;
  }
  return isUndecided ? null : false;
}

/** Null: the members can be ids of connections, but are too few to tell. */
function areRooms(rooms: readonly object[], { fields, isConnectionKey }: RoleContext): boolean | null {
  const roomEntries = rooms.map((room) => firstEntries(room as Collection));
  if (roomEntries.flat(2).some((value) => hasConnection(value, fields))) return true;
  const members = rooms.flatMap((room, index) =>
    (roomEntries[index] ?? []).map(([key, value]) => (isMap(room) ? key : value)),
  );
  if (!members.every(isIdLike)) return false;
  // All members, because a list of permitted users has ids too, but not only of connected ones.
  return members.length >= MIN_ENTRIES && members.every(isConnectionKey) ? true : null;
}

const isIdLike = (member: unknown): member is string =>
  typeof member === 'string' && member.length >= MIN_ID_CHARS;

/** True when half of the connected ids are keys: Socket.IO gives an id to one connection only. Null: too few connected. */
function isKeyedByConnection(collection: object, connected: readonly ConnectedIds[]): boolean | null {
  if (connected.length === 0 || Array.isArray(collection)) return false;
  const withSamples = connected.filter(({ samples }) => samples.length >= MIN_ENTRIES);
  if (withSamples.length === 0) return null;
  const keys = collection as ReadonlySet<string>;
  return withSamples.some(({ samples }) => samples.filter((id) => keys.has(id)).length * 2 > samples.length);
}

const entriesOf = (collection: Collection): Iterable<Entry> =>
  isMap(collection) ? collection : withoutKeys(collection as Iterable<unknown>);

function* withoutKeys(values: Iterable<unknown>): Generator<Entry> {
  for (const value of values) yield [null, value];
}

const firstEntries = (collection: Collection): Entry[] => [...take(entriesOf(collection), MIN_ENTRIES)];

const lastEntries = (collection: Collection): Entry[] =>
  sizeOf(collection) > MAX_ITERATED_ENTRIES ? [] : [...entriesOf(collection)].slice(-MIN_ENTRIES);

export function* take<T>(values: Iterable<T>, count: number): Generator<T> {
  let left = count;
  for (const value of values) {
    yield value;
    left -= 1;
    if (left === 0) return;
  }
}

/** A connection, or an object with a connection in an own field. A Proxy is skipped: its traps are code of the application. */
function hasConnection(value: unknown, fields: FieldReader): boolean {
  if (typeof value !== 'object' || value === null || isProxy(value)) return false;
  if (isConnection(value)) return true;
  if (isCollection(value) || isMap(value) || isSet(value)) return false;
  return fields
    .fieldsOf(value)
    .some(
      ([, field]) => typeof field === 'object' && field !== null && !isProxy(field) && isConnection(field),
    );
}

/** A WebSocket, a socket, a response or a Socket.IO socket. */
const isConnection = (value: object): boolean =>
  ('readyState' in value && 'send' in value) ||
  'remoteAddress' in value ||
  'writeHead' in value ||
  ('handshake' in value && 'emit' in value);

const isPlainValue = (value: unknown): boolean =>
  typeof value === 'string' || (typeof value === 'object' && value !== null && !Array.isArray(value));
