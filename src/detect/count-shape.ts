/** Shapes of a count that are no leak: a step, a plateau, and a whole number for each open connection. */

/** The window in sixths, each by its median. */
export const SIXTHS = 6;
/** The rise is measured between the middles of the first and of the last sixth. */
export const SHARE_OF_RISE = (SIXTHS - 1) / SIXTHS;
/** A count that varies around a level falls as far as it rises; a leak does not fall. */
export const MAX_FALL = 0.25;
/** A leak keeps its pace: each part of the window must bring half of what a straight line would (example traces). */
const MIN_PACE = 0.5;
/** A collection that has filled adds nothing in the last sixth. A straight line adds a fifth of the rise there. */
const MIN_LATE = MIN_PACE / 5;
/** A step, or a collection that fills within a third of the window, adds little outside it. A straight line adds three fifths. */
const MIN_OUTSIDE = (MIN_PACE * 3) / 5;

/** Whether the levels of the sixths have stopped rising, or rose within a third of the window. */
export function isStepOrPlateau(levels: readonly number[]): boolean {
  const rise = (levels.at(-1) ?? 0) - (levels[0] ?? 0);
  const late = (levels.at(-1) ?? 0) - (levels.at(-2) ?? 0);
  let inThird = Number.NEGATIVE_INFINITY;
  for (let i = 2; i < levels.length; i += 1)
    inThird = Math.max(inThird, (levels[i] ?? 0) - (levels[i - 2] ?? 0));
  return late < MIN_LATE * rise || rise - inThird < MIN_OUTSIDE * rise;
}

/** Rows in which a count is exactly this many for each open connection. A sample may read one a moment before the other. */
const MIN_EXACT_ROWS = 0.8;
/** Entries that belong to no connection, such as the listeners of a library. */
export const MAX_OTHER_ENTRIES = 20;

/** Whether the count is a whole number for each open connection, and a few others. What closed connections leave varies. */
export function isMultiple(values: Float64Array, connections: Float64Array): boolean {
  const last = values.length - 1;
  const perConnection = Math.round((values[last] ?? 0) / (connections[last] ?? Number.NaN));
  if (!(perConnection > 1)) return false;
  // Most counts end here, before the sort: too many of their rows are beyond the entries that belong to no connection.
  let possible = 0;
  for (let row = 0; row <= last; row += 1) {
    const other = (values[row] ?? 0) - perConnection * (connections[row] ?? 0);
    if (other >= -1 && other <= MAX_OTHER_ENTRIES + 1) possible += 1;
  }
  if (possible < MIN_EXACT_ROWS * values.length) return false;
  const others = values.map((value, row) => value - perConnection * (connections[row] ?? 0));
  const middle = others.toSorted()[Math.floor(last / 2)] ?? 0;
  const exact = others.filter((count) => Math.abs(count - middle) < 0.5).length;
  return middle >= 0 && middle <= MAX_OTHER_ENTRIES && exact >= MIN_EXACT_ROWS * others.length;
}
