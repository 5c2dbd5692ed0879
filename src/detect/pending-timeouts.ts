/** Pending timers that fire once: they may end the sessions of closed connections. */

import type { View } from './detector.ts';
import { seriesColumn } from './sample-row.ts';

/** With a pending timer for half of the entries that stay, timers may remove them. */
export const MIN_TIMEOUT_SHARE = 0.5;
const COLUMN = seriesColumn('resource', 'timeout', null);

/** Their rise in the window beyond what the open connections explain. 0 where they are not counted. */
export const timeoutsRise = ({ counts }: Pick<View, 'counts'>): number =>
  counts.growthOf(COLUMN, { minRise: 1, perConnection: true })?.rise ?? 0;

/**
 * Whether so many timers are pending that they may end the sessions of these closed connections. Each open connection may
 * have a timer of its own.
 */
export function mayWaitForTimeouts({ history, counts }: View, closed: number): boolean {
  const pending = history.window.column(COLUMN).findLast((count) => !Number.isNaN(count)) ?? 0;
  return closed > 0 && pending - counts.connectionsNow >= MIN_TIMEOUT_SHARE * closed;
}
