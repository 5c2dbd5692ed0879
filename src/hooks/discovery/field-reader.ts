/** Reads the own fields of the application's objects without running its code and at a bounded cost. */
import { isProxy } from 'node:util/types';

export type Field = readonly [name: string, value: unknown];

const MAX_FIELDS = 50;
/** An object with more names is used as a map and does not count as a holder of collections. */
const MAX_NAMES = 1_000;
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
    if (this.isExhausted || isProxy(value) || ArrayBuffer.isView(value) || this.#largeObjects.has(value))
      return [];
    const names = Object.keys(value);
    if (names.length > MAX_NAMES) {
      this.#largeObjects.add(value);
      this.#namesLeft -= names.length;
      return [];
    }
    return names.slice(0, MAX_FIELDS).map((name) => [name, readField(value, name)]);
  }
}

/** The value of an own field; undefined for a getter, a Proxy, and an export of a module that is still loading. */
export function readField(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || isProxy(value)) return undefined;
  try {
    return Object.getOwnPropertyDescriptor(value, name)?.value;
  } catch {
    return undefined;
  }
}
