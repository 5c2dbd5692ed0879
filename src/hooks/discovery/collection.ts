/** Sizes and entries of the application's collections: Maps, Sets, arrays, and plain objects that are used as maps. */
import { isMap, isProxy, isSet } from 'node:util/types';
import { isInMap, isInSet, mapSize, setSize, visitMap, visitSet } from '../../core/primordials.ts';
import { namesOf, readField } from './field-reader.ts';

/** The key is null in a Set and in an array. */
export type Entry = readonly [key: unknown, value: unknown];

/** The last entries can only be reached by iteration over all others, except in an array. */
const MAX_ITERATED_ENTRIES = 2_000;

export const isArray = (value: unknown): value is unknown[] => Array.isArray(value) && !isProxy(value);

/** A Map, Set or array. A plain object can be one too: see `isPlainObject`. */
export const isCollection = (value: unknown): value is object =>
  isMap(value) || isSet(value) || isArray(value);

/** Null for a value that is no Map, Set or array. Each check costs a call into Node, and most members are in a Set. */
export function memberCount(value: unknown): number | null {
  if (isSet(value)) return setSize(value);
  if (isMap(value)) return mapSize(value);
  return isArray(value) ? value.length : null;
}

/** 0 for a plain object that is too large to list. */
export const sizeOf = (collection: object): number => memberCount(collection) ?? namesOf(collection).length;

export function hasKey(collection: object, key: string): boolean {
  if (isMap(collection)) return isInMap(collection, key);
  if (isSet(collection)) return isInSet(collection, key);
  return !isArray(collection) && !isProxy(collection) && Object.hasOwn(collection, key);
}

export function firstEntries(collection: object, count: number): Entry[] {
  if (isMap(collection) || isSet(collection)) {
    const entries: Entry[] = [];
    visitEntries(collection, (key, value) => entries.push([key, value]) < count);
    return entries;
  }
  return entriesAt(collection, 0, count);
}

export function lastEntries(collection: object, count: number): Entry[] {
  if (isArray(collection)) return entriesAt(collection, -count, undefined);
  const size = sizeOf(collection);
  if (size > MAX_ITERATED_ENTRIES) return [];
  if (!isMap(collection) && !isSet(collection)) return entriesAt(collection, -count, undefined);
  const entries: Entry[] = [];
  let index = 0;
  visitEntries(collection, (key, value) => {
    if (index >= size - count) entries.push([key, value]);
    index += 1;
    return index < size;
  });
  return entries;
}

/** Visits the values until `visit` returns false. */
export function visitValues(collection: object, visit: (value: unknown) => boolean): void {
  if (isMap(collection) || isSet(collection)) visitEntries(collection, (_, value) => visit(value));
  else if (isArray(collection)) {
    for (let index = 0; index < collection.length; index += 1)
      if (!visit(readField(collection, String(index)))) return;
  } else {
    for (const name of namesOf(collection)) if (!visit(readField(collection, name))) return;
  }
}

function visitEntries(collection: object, visit: (key: unknown, value: unknown) => boolean): void {
  if (isMap(collection)) visitMap(collection, visit);
  else visitSet(collection, visit);
}

function entriesAt(collection: object, start: number, end: number | undefined): Entry[] {
  if (!isArray(collection))
    return namesOf(collection)
      .slice(start, end)
      .map((name) => [name, readField(collection, name)]);
  const first = start < 0 ? Math.max(0, collection.length + start) : start;
  const count = Math.min(collection.length, end ?? collection.length) - first;
  // An element can be a getter, and `slice` of a subclass runs its constructor.
  return Array.from({ length: Math.max(0, count) }, (_, index) => [
    null,
    readField(collection, String(first + index)),
  ]);
}
