/** What a collection is, told by its first entries without running code of the application. */

import { isMap, isProxy, isSet } from 'node:util/types';
import type { Fields } from './field-reader.ts';
import type { Collection } from '../registered-collections.ts';
import { isCollection } from './closure-scopes.ts';

/** The sockets that are connected to one namespace of Socket.IO: some of their ids, and whether one is among them. */
export interface Connected {
  readonly some: readonly string[];
  has(id: string): boolean;
}
/** What one look knows beside the collection itself. */
export interface Known {
  readonly fields: Fields;
  readonly connected: readonly Connected[];
  /** Whether connections are kept by this key somewhere. */
  readonly isId: (key: string) => boolean;
}
/** `rooms.members`: rooms that are objects, with their members in the field of this name. */
export type Role = 'registry' | 'rooms' | `rooms.${string}` | 'queue';

/** A collection tells what it is by its first entries once it has this many. */
const ENTRIES_TO_TELL = 3;
/** Shorter keys, and numbers, are the same as others by chance. */
const ID_CHARS = 8;
/** Of a Map the last entry is behind all others. */
const MOST_TO_PASS = 2_000;

export const sizeOf = (collection: object): number =>
  Array.isArray(collection) ? collection.length : (collection as ReadonlySet<unknown>).size;

/**
 * By the first entries: connections or what holds one; collections of such or of their ids, or objects with one; an
 * array of plain values is a queue. Null while it cannot be told.
 */
export function roleOf(collection: object, known: Known): Role | 'other' | null {
  if (sizeOf(collection) < ENTRIES_TO_TELL || known.fields.spent) return null;
  const all = collection as Collection;
  // What leaks keeps its oldest entries, and those are empty by then: the newest tell.
  return roleBy(firstEntries(all), all, known) ?? roleBy(lastEntries(all), all, known);
}

type Entry = readonly [unknown, unknown];

function roleBy(entries: readonly Entry[], collection: Collection, known: Known): Role | 'other' | null {
  if (entries.length === 0) return null;
  const { fields, connected } = known;
  const holdsConnection = (value: unknown): boolean => isHolder(value, fields);
  if (entries.some(([key, value]) => holdsConnection(key) || holdsConnection(value))) return 'registry';
  const kept = isKeptById(collection, connected);
  if (kept !== false) return kept === null ? null : 'registry';
  const values = entries.map(([, value]) => value);
  const inner = values.filter(isCollection);
  const ofConnections = areRooms(inner, known);
  if (ofConnections === true) return isMap(collection) ? 'rooms' : 'other';
  if (isMap(collection)) {
    if (inner.length === entries.length) return ofConnections === null ? null : 'other';
    const field = membersField(values, known);
    return field === null ? null : field === false ? 'other' : `rooms.${field}`;
  }
  return Array.isArray(collection) && inner.length === 0 && values.every(isPlain) ? 'queue' : 'other';
}

/** In which field such objects keep connections, or their ids; false: in none, null: it cannot be told yet. */
function membersField(objects: readonly unknown[], known: Known): string | false | null {
  const rooms = new Map<string, object[]>();
  for (const thing of objects) {
    if (typeof thing !== 'object' || thing === null || isCollection(thing)) continue;
    for (const [name, value] of known.fields.of(thing))
      if (isCollection(value)) rooms.set(name, [...(rooms.get(name) ?? []), value]);
  }
  const judged = [...rooms].map(([name, inner]) => [name, areRooms(inner, known)] as const);
  const undecided = judged.some(([, are]) => are === null) ? null : false;
  return judged.find(([, are]) => are === true)?.[0] ?? undecided;
}

/** Collections of connections or of their ids; null while their members may be ids and are too few to tell. */
function areRooms(inner: readonly object[], { fields, isId }: Known): boolean | null {
  const holds = (members: object): boolean =>
    firstEntries(members as Collection).some((entry) => entry.some((one) => isHolder(one, fields)));
  if (inner.some(holds)) return true;
  const members = membersOf(inner);
  if (!members.every(isIdLike)) return false;
  return areConnected(members, isId) ? true : null;
}

const membersOf = (rooms: readonly object[]): unknown[] =>
  rooms.flatMap((room) =>
    firstEntries(room as Collection).map(([key, value]) => (isMap(room) ? key : value)),
  );

const isIdLike = (member: unknown): member is string =>
  typeof member === 'string' && member.length >= ID_CHARS;

/** All of them: who may read a document is a list of ids too, and not of those alone who are connected. */
const areConnected = (members: readonly string[], isId: Known['isId']): boolean =>
  members.length >= ENTRIES_TO_TELL && members.every(isId);

/** Null while too few are connected to tell. An id of Socket.IO is one connection's and never comes again. */
function isKeptById(collection: object, connected: readonly Connected[]): boolean | null {
  if (connected.length === 0 || Array.isArray(collection)) return false;
  const enough = connected.filter(({ some }) => some.length >= ENTRIES_TO_TELL);
  if (enough.length === 0) return null;
  const keys = collection as ReadonlySet<string>;
  return enough.some(({ some }) => some.filter((id) => keys.has(id)).length * 2 > some.length);
}

const entriesOf = (collection: Collection): Iterable<Entry> =>
  isMap(collection) ? collection : pairs(collection as Iterable<unknown>);

function* pairs(values: Iterable<unknown>): Generator<Entry> {
  for (const value of values) yield [null, value];
}

const firstEntries = (collection: Collection): Entry[] => [...take(entriesOf(collection), ENTRIES_TO_TELL)];

/** None where it takes long to get there. */
const lastEntries = (collection: Collection): Entry[] =>
  sizeOf(collection) > MOST_TO_PASS ? [] : [...entriesOf(collection)].slice(-ENTRIES_TO_TELL);

export function* take<T>(values: Iterable<T>, most: number): Generator<T> {
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
