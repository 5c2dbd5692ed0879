/** Tells from its first and last entries what a collection is used for, without running code of the application. */
import { isMap, isProxy, isSet } from 'node:util/types';
import {
  firstEntries,
  hasKey,
  isArray,
  isCollection,
  lastEntries,
  sizeOf,
  type Entry,
} from './collection.ts';
import { isPlainObject, type FieldReader } from './field-reader.ts';
import { hasProperty } from '../find-property.ts';

/**
 * - `registry`: connections, or objects with one, or ids of connections as keys.
 * - `rooms`: collections of connections or of their ids; `rooms.members`: objects with such a collection in this field.
 * - `empty rooms`: Sets or Maps without any member.
 * - `queue`: plain values in an array.
 * - `nested`: other collections; `entries`: anything else. Later entries can show another role.
 */
export type CollectionRole =
  'registry' | 'rooms' | `rooms.${string}` | 'empty rooms' | 'queue' | 'nested' | 'entries';

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

/** Whether further entries can show another role. */
export const isProvisionalRole = (role: CollectionRole): boolean =>
  role === 'entries' || role === 'nested' || role === 'empty rooms';

/** Null: too few entries to tell. */
export function collectionRole(collection: object, context: RoleContext): CollectionRole | null {
  if (context.fields.isExhausted || sizeOf(collection) < MIN_ENTRIES) return null;
  // The oldest entries of a leaking collection can be rooms that are empty by now, so the newest are read too.
  const first = roleOfEntries(firstEntries(collection, MIN_ENTRIES), collection, context);
  if (first === null || !isProvisionalRole(first)) return first;
  const last = lastEntries(collection, MIN_ENTRIES);
  return last.length === 0 ? first : roleOfEntries(last, collection, context);
}

function roleOfEntries(
  entries: readonly Entry[],
  collection: object,
  context: RoleContext,
): CollectionRole | null {
  const { fields, connected } = context;
  if (leadToConnections(entries, collection, fields)) return 'registry';
  const isKeyed = isKeyedByConnection(collection, connected);
  if (isKeyed !== false) return isKeyed === null ? null : 'registry';
  const values = entries.map(([, value]) => value);
  const inner = values.filter(isCollection);
  const hasNames = isMap(collection) || isPlainObject(collection);
  if (hasNames && inner.length === entries.length) {
    if (areRooms(inner, context)) return 'rooms';
    return inner.every((room) => !isArray(room) && sizeOf(room) === 0) ? 'empty rooms' : 'nested';
  }
  if (isMap(collection)) {
    const field = membersField(values, context);
    return field === null ? 'entries' : `rooms.${field}`;
  }
  return isArray(collection) && inner.length === 0 && values.every(isPlainValue) ? 'queue' : 'entries';
}

/** The record of a connection has it in one field, beside others: `{ ws, user, state }`. A map has nothing else. */
function leadToConnections(entries: readonly Entry[], collection: object, fields: FieldReader): boolean {
  const leads = ([key, value]: Entry): boolean => hasConnection(key, fields) || hasConnection(value, fields);
  return isPlainObject(collection)
    ? [...entries, ...lastEntries(collection, MIN_ENTRIES)].every(leads)
    : entries.some(leads);
}

/** The field in which these objects have connections or their ids; null: there is none, or the members are too few to tell. */
function membersField(objects: readonly unknown[], context: RoleContext): string | null {
  const collectionsByField = new Map<string, object[]>();
  for (const object of objects) {
    if (typeof object !== 'object' || object === null || isCollection(object)) continue;
    for (const [name, value] of context.fields.fieldsOf(object)) {
      if (!isCollection(value)) continue;
      collectionsByField.set(name, [...(collectionsByField.get(name) ?? []), value]);
    }
  }
  for (const [name, collections] of collectionsByField) if (areRooms(collections, context)) return name;
  return null;
}

function areRooms(rooms: readonly object[], { fields, isConnectionKey }: RoleContext): boolean {
  const roomEntries = rooms.map((room) => firstEntries(room, MIN_ENTRIES));
  if (roomEntries.flat(2).some((value) => hasConnection(value, fields))) return true;
  const members = rooms.flatMap((room, index) =>
    (roomEntries[index] ?? []).map(([key, value]) => (isMap(room) ? key : value)),
  );
  // All members, because a list of permitted users has ids too, but not only of connected ones.
  return members.length >= MIN_ENTRIES && members.every((id) => isIdLike(id) && isConnectionKey(id));
}

const isIdLike = (member: unknown): member is string =>
  typeof member === 'string' && member.length >= MIN_ID_CHARS;

/** True when half of the connected ids are keys: Socket.IO gives an id to one connection only. Null: too few connected. */
function isKeyedByConnection(collection: object, connected: readonly ConnectedIds[]): boolean | null {
  if (connected.length === 0 || isArray(collection)) return false;
  const withSamples = connected.filter(({ samples }) => samples.length >= MIN_ENTRIES);
  if (withSamples.length === 0) return null;
  return withSamples.some(
    ({ samples }) => samples.filter((id) => hasKey(collection, id)).length * 2 > samples.length,
  );
}

/** A connection, or an object with a connection in an own field. A Proxy is skipped: its traps are code of the application. */
export function hasConnection(value: unknown, fields: FieldReader): boolean {
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
export const isConnection = (value: object): boolean =>
  (hasProperty(value, 'readyState') && hasProperty(value, 'send')) ||
  hasProperty(value, 'remoteAddress') ||
  hasProperty(value, 'writeHead') ||
  (hasProperty(value, 'handshake') && hasProperty(value, 'emit'));

const isPlainValue = (value: unknown): boolean =>
  typeof value === 'string' || (typeof value === 'object' && value !== null && !Array.isArray(value));
