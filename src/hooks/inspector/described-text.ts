/**
 * Tells, before the inspector is asked, how much text it would send for a function. V8 renders the values of all properties:
 * that takes up to a second for 5 MB, and it calls `stack`, `name` and `message` of an Error, and `splice` and `length` of
 * other objects, which can be getters of the application (measured on Node 20 to 26).
 */
import { isNativeError, isProxy, isRegExp } from 'node:util/types';
import { descriptionOf, sourceOf } from '../../core/primordials.ts';
import { prototypeChain } from '../find-property.ts';
import { isArray } from '../discovery/collection.ts';
import { readField } from '../discovery/field-reader.ts';

const { getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
const { hasOwn } = Object;

const MAX_DESCRIBED_CHARS = 200_000;
const MAX_DESCRIBED_PROPERTIES = 100;
/** V8 takes 1 s to write a BigInt of 500 kB (measured). */
const [MIN_BIGINT, MAX_BIGINT] = [-(2n ** 256n), 2n ** 256n];

/** False where the text would be too long, or code of the application would run. */
export function isDescribable(thing: object): boolean {
  if (isProxy(thing)) return false;
  const keys = ownKeys(thing);
  if (keys.length > MAX_DESCRIBED_PROPERTIES) return false;
  let chars = charsOf(thing) + charsOf(getPrototypeOf(thing));
  for (const key of keys) {
    const { value, get, set } = getOwnPropertyDescriptor(thing, key) ?? {};
    for (const each of [key, value, get, set]) chars += charsOf(each);
  }
  return chars <= MAX_DESCRIBED_CHARS;
}

/** Characters that V8 renders for a value; Infinity where they are unknown or code of the application would run. */
function charsOf(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return value.length;
    case 'symbol':
      return descriptionOf(value)?.length ?? 0;
    case 'bigint':
      return value > MIN_BIGINT && value < MAX_BIGINT ? 0 : Infinity;
    case 'function':
    case 'object':
      return value === null ? 0 : charsOfObject(value);
    default:
      return 0;
  }
}

function charsOfObject(value: object): number {
  // JavaScript cannot tell the length of a pattern without calling a getter.
  if (isProxy(value) || isNativeError(value) || isRegExp(value)) return Infinity;
  const chain = prototypeChain(value);
  // The chain ends at a Proxy, which has a trap for `splice`, or it is very long.
  if (getPrototypeOf(chain.at(-1)!) !== null) return Infinity;
  if (!isArray(value) && chain.some((owner) => hasOwn(owner, 'splice'))) return Infinity;
  const ownChars = typeof value === 'function' ? sourceOf(value).length : 0;
  return chain.reduce((chars, owner) => chars + classNameChars(owner), ownChars);
}

/** V8 takes the name of a class from either of these. */
const classNameChars = (prototype: object): number =>
  [
    readField(readField(prototype, 'constructor'), 'name'),
    readField(prototype, Symbol.toStringTag),
  ].reduce<number>((chars, name) => (typeof name === 'string' ? chars + name.length : chars), 0);

interface RenderedObject {
  readonly value?: unknown;
  readonly description?: unknown;
}

/**
 * A bound function and a class with private static fields have values that JavaScript cannot see, so their text is only known
 * when the inspector has sent it. After one that was too long, none of them is described.
 */
export class OpaqueFunctions {
  #wasTooLong = false;

  mayDescribe(thing: object): boolean {
    return !this.#wasTooLong || !isOpaque(thing);
  }

  /** `rendered`: what the inspector has sent for the properties of a function. */
  note(rendered: readonly (RenderedObject | undefined)[]): void {
    const texts = rendered.flatMap((each) => [each?.value, each?.description]);
    const chars = texts.reduce<number>(
      (sum, text) => (typeof text === 'string' ? sum + text.length : sum),
      0,
    );
    this.#wasTooLong ||= chars > MAX_DESCRIBED_CHARS;
  }
}

const PRIVATE_STATIC_FIELD = /\bstatic\b[^;{}()]*#/;
/** Node's own functions look like bound ones. They have no scopes. */
const isOpaque = (code: object): boolean => {
  const source = sourceOf(code);
  return source === 'function () { [native code] }' || PRIVATE_STATIC_FIELD.test(source);
};
