/** Why the growth of a count is uncertain, and what would make it certain. */

import { formatDuration } from '../core/format.ts';
import { LEAKED_PER_CLOSED } from '../kinds/index.ts';

/** The reason for an inconclusive answer, and the data that would decide. */
export interface Uncertainty {
  readonly because: string;
  readonly missing: string;
}

export const FALLS: Uncertainty = {
  because: 'the count also falls, as one does that varies around a level',
  missing: 'an hour without such a fall',
};
export const shortGrowth = (minSpanMs: number): Uncertainty => ({
  because: `items that are collected for up to ${formatDuration(minSpanMs)} and processed at once grow the same way`,
  missing: `growth for ${formatDuration(minSpanMs)}`,
});
export const STRAIGHT_LINE: Uncertainty = {
  because: 'the connections rise in a straight line, so connections and time explain the count equally well',
  missing: 'a change in the number of connections',
};
export const UNCERTAIN: Uncertainty = {
  because: 'the rise is not certain',
  missing: 'more connections that open and close',
};
export const FEW_PER_CLOSED: Uncertainty = {
  because: `fewer than ${LEAKED_PER_CLOSED.value} entries per closed connection stay`,
  missing: 'a higher share of leaked entries',
};
export const EXPLAINED_BY_OPENED: Uncertainty = {
  because:
    'the open connections may have all entries: connections without entries close, and others replace them',
  missing: 'more entries than opened connections add',
};
export const lateCleanup = (maxDelayMs: number): Uncertainty => ({
  because: `the entries of connections that closed in the last ${formatDuration(maxDelayMs)} may still be removed`,
  missing: `more connections that closed more than ${formatDuration(maxDelayMs)} ago`,
});
