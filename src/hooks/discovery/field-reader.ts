import { isProxy } from 'node:util/types';

export type Field = readonly [name: string, value: unknown];

const MOST = 50;
/** An object with more names is a map in all but its class, and no holder of collections. */
const LARGE = 1_000;
/** Listing names takes up to a microsecond each (by `getOwnPropertyNames` twice that), and there is no way to ask how many there are. */
const NAMES_PER_LOOK = 20_000;

/**
 * The own fields of the application's objects, read without running its code, at a bounded price: an object of
 * a million keys is listed once in the life of the process, a Buffer, each of whose bytes is a field, never.
 */
export class Fields {
  readonly #large = new WeakSet<object>();
  #left = NAMES_PER_LOOK;

  /** Before each look. */
  renew(): void {
    this.#left = NAMES_PER_LOOK;
  }

  /** Large objects have used up what one look may cost: the rest is for the next one. */
  get spent(): boolean {
    return this.#left <= 0;
  }

  of(value: object): Field[] {
    if (this.spent || isProxy(value) || ArrayBuffer.isView(value) || this.#large.has(value)) return [];
    const names = Object.keys(value);
    if (names.length > LARGE) {
      this.#large.add(value);
      this.#left -= names.length;
      return [];
    }
    return names.slice(0, MOST).map((name) => [name, own(value, name)]);
  }
}

/** A getter has no value here. A module's export that is not there yet throws. */
export function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || isProxy(value)) return undefined;
  try {
    return Object.getOwnPropertyDescriptor(value, name)?.value;
  } catch {
    return undefined;
  }
}
