/** Reads from the source text of functions and classes what their scopes do not show. */
import { sourceOf } from '../../core/primordials.ts';

/**
 * `cache.size > 500`, `this.items.length >= this.max`; not `clients.size > 0`. A name begins after another character and has a
 * bound, because a search from each letter of a long word (an image in base64) takes seconds.
 */
const COMPARED_SIZE = /(?<![\w$#])([\w$#]{1,100})\s*\.\s*(?:size|length)\s*>=?\s*(?![01]\b)[\w$]/g;
/** `#clients = new Map();` and `#clients;`. A field of the class itself, a method and an accessor are none. */
const PRIVATE_FIELD = /(?<!static\s{1,10})(?<![\w$.])#[A-Za-z_$][\w$]{0,99}(?=\s{0,10}(?:[=;}]|$))/gm;
const PRIVATE_ACCESSOR = /\b[gs]et\s{0,10}#[\w$]{1,100}/g;
/** Reading a longer text takes more than a millisecond. */
const MAX_SOURCE_CHARS = 50_000;
const MAX_NAMES = 100;

/** The names of the collections whose size the source text of a function or class compares with a maximum. */
export function comparedNames(code: object): string[] {
  const source = textOf(code);
  const names = new Set<string>();
  for (const [, name = ''] of source.matchAll(COMPARED_SIZE)) if (names.size < MAX_NAMES) names.add(name);
  return [...names];
}

export interface PrivateNames {
  readonly fields: readonly string[];
  readonly accessors: readonly string[];
}

/**
 * The names that look like private fields of the instances of a class, among them those in comments and texts, and its private
 * accessors. Null where the source is too long to read all of it.
 */
export function privateNames(constructor: object): PrivateNames | null {
  const text = sourceOf(constructor);
  if (text.length > MAX_SOURCE_CHARS) return null;
  const namesIn = (pattern: RegExp): string[] => [
    ...new Set([...text.matchAll(pattern)].map(([match]) => match.slice(match.indexOf('#')))),
  ];
  return { fields: namesIn(PRIVATE_FIELD), accessors: namesIn(PRIVATE_ACCESSOR) };
}

/** `(ws) => this.onConnection(ws)`: V8 shows the captured `this` to nobody. */
export const usesCapturedThis = (closure: object): boolean => {
  const source = textOf(closure);
  return ARROW_FUNCTION.test(source) && /\bthis\b/.test(source);
};

/** `ws` adds arrow functions of its own to each connection. They are written inside the method `completeUpgrade`. */
export const isWrittenInside = (closure: object, method: object): boolean =>
  textOf(method).includes(textOf(closure));

const ARROW_FUNCTION = /^(?:async\s*)?(?:\([^{]*?\)|[\w$]+)\s*=>/;

const textOf = (code: object): string => sourceOf(code).slice(0, MAX_SOURCE_CHARS);
