/** Finds a number beside a collection that looks like its maximum size: a cache grows up to it and is healthy. */
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
