/** Reads the own fields of the application's objects without running its code and at a bounded cost. */
import { isProxy } from 'node:util/types';
import { prototypeChain } from '../find-property.ts';

export type Field = readonly [name: string, value: unknown];

const { getOwnPropertyDescriptor, getPrototypeOf, keys } = Object;

const MAX_FIELDS = 50;
/** An object with more names is used as a map and does not count as a holder of collections. Each walk reads 80 objects. */
const MAX_NAMES = 200;
/** A longer name is no identifier: the object is used as a map, with texts as keys. Names of paths are searched and kept. */
const MAX_NAME_CHARS = 200;
/** Listing takes up to 1 us a name (`getOwnPropertyNames` 2 us), and JavaScript cannot count names without listing them. */
const NAMES_PER_PASS = 20_000;

/** Lists an object of a million keys only once in the life of the process, and never a Buffer: each byte is a field. */
export class FieldReader {
  readonly #largeObjects = new WeakSet<object>();
  #namesLeft = NAMES_PER_PASS;

  /** Call it before each pass over objects. */
  startPass(): void {
    this.#namesLeft = NAMES_PER_PASS;
  }

  /** True when large objects have used up this pass: the next pass reads the rest. */
  get isExhausted(): boolean {
    return this.#namesLeft <= 0;
  }

  fieldsOf(value: object): Field[] {
    if (this.isExhausted || isProxy(value) || ArrayBuffer.isView(value)) return [];
    if (this.#largeObjects.has(value) || neverListed.has(value)) return [];
    const names = listNames(value);
    if (names.length > MAX_LISTED_NAMES) neverListed.add(value);
    if (names.length > MAX_NAMES) {
      this.#largeObjects.add(value);
      this.#namesLeft -= names.length;
      return [];
    }
    if (names.some(({ length }) => length > MAX_NAME_CHARS)) return [];
    return names.slice(0, MAX_FIELDS).map((name) => [name, readField(value, name)]);
  }
}

/** The own enumerable names; none for a Proxy, and for a module that is still loading. Takes up to 1 us a name. */
export function listNames(value: object): string[] {
  try {
    return isProxy(value) ? [] : keys(value);
  } catch {
    return [];
  }
}

/** Listing more names stops the process for more than a millisecond. */
const MAX_LISTED_NAMES = 5_000;
/** Objects that have had more names. */
const neverListed = new WeakSet<object>();

/** The own enumerable names. An object with more than 5,000 is listed once in the life of the process, and has none here. */
export function namesOf(value: object): string[] {
  if (neverListed.has(value)) return [];
  const names = listNames(value);
  if (names.length <= MAX_LISTED_NAMES) return names;
  neverListed.add(value);
  return [];
}

/** True when an object has had more than 5,000 names in an earlier `namesOf`. */
export const isTooLargeToList = (value: object): boolean => neverListed.has(value);

/** The value of an own field; undefined for a getter, a Proxy, and an export of a module that is still loading. */
export function readField(value: unknown, name: PropertyKey): unknown {
  if (!isObject(value) || isProxy(value)) return undefined;
  try {
    return getOwnPropertyDescriptor(value, name)?.value;
  } catch {
    return undefined;
  }
}

/** The name of the class of an object; null for a plain object and for an object without a named class. */
export function classNameOf(value: object): string | null {
  for (const owner of prototypeChain(value)) {
    const name = readField(readField(owner, 'constructor'), 'name');
    if (typeof name === 'string' && name !== '') return name === 'Object' ? null : name;
  }
  return null;
}

/** An object literal, or an object without a prototype, also of another realm. */
export function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || isProxy(value)) return false;
  const prototype = getPrototypeOf(value) as object | null;
  return prototype === null || (!isProxy(prototype) && getPrototypeOf(prototype) === null);
}

/** Also true for a function, which can have fields. */
export const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';
