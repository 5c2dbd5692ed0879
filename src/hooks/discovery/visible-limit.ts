/**
 * Finds signs of a maximum size of a collection: a number beside it, or code that compares its size. A cache grows up to its
 * maximum and is healthy.
 */
import { sourceOf } from '../../core/primordials.ts';
import type { Field } from './field-reader.ts';

const LIMIT_NAME = /max|limit|capacity|bound|size/i;
/** Limits of other things: of one message, of the connections, of a time. */
const OTHER_LIMIT_NAME =
  /byte|payload|message|body|length|frame|buffer|chunk|conn|client|socket|peer|listener|ms$|time|age|delay|sec|retr|attempt|rate|port/i;
/** A smaller number is the size of a page or a batch; a larger one protects nothing. */
const LIMIT_RANGE = { min: 10, max: 100_000 } as const;

/** The largest such number among the fields of an object or the variables of a scope; null when there is none. */
export function visibleLimit(fields: readonly Field[]): number | null {
  const limits = fields.flatMap(([name, value]) =>
    typeof value === 'number' &&
    value >= LIMIT_RANGE.min &&
    value <= LIMIT_RANGE.max &&
    LIMIT_NAME.test(name) &&
    !OTHER_LIMIT_NAME.test(name)
      ? [value]
      : [],
  );
  return limits.length === 0 ? null : Math.max(...limits);
}

/** `cache.size > 500`, `this.items.length >= this.max`; not `clients.size > 0`. */
const COMPARED_SIZE = /([\w$]+)\s*\.\s*(?:size|length)\s*>=?\s*(?![01]\b)[\w$]/g;
/** Reading a longer text takes more than a millisecond. */
const MAX_SOURCE_CHARS = 50_000;
const MAX_NAMES = 100;

/** The names of the collections whose size the source text of a function or class compares with a maximum. */
export function comparedNames(code: object): string[] {
  const source = sourceOf(code).slice(0, MAX_SOURCE_CHARS);
  const names = new Set<string>();
  for (const [, name = ''] of source.matchAll(COMPARED_SIZE)) if (names.size < MAX_NAMES) names.add(name);
  return [...names];
}
