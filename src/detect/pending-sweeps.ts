/** Sessions that keep their closed connection until a sweep removes them. */
import { formatCount, formatDuration } from '../core/format.ts';
import type { View } from './detector.ts';
import { MINUTE_MS } from './history.ts';

/** Half an hour of a usual session, and the period of the sweep. */
export const SWEEP_DELAY_MS = 35 * MINUTE_MS;
/** With half of the closed connections in such a registry, a sweep may release them. */
const MIN_SHARE = 0.5;

/** Why these closed connections may still be released by a sweep; null when none would wait for so long. */
export function reasonToWaitForSweep({ history, counts }: View, retained: number): string | null {
  // More than closed in that time: some have outlived every sweep.
  if (!(retained <= counts.closedWithin(SWEEP_DELAY_MS))) return null;
  for (const series of history.series) {
    if (series.type !== 'sessions') continue;
    const entries = history.window.column(series.column).findLast((count) => !Number.isNaN(count)) ?? 0;
    const kept = entries - counts.connectionsNow;
    if (kept < MIN_SHARE * retained) continue;
    return (
      `the registry '${series.name}' keeps ${formatCount(kept)} closed ones with the time of their last event, ` +
      `and a sweep may remove them within ${formatDuration(SWEEP_DELAY_MS)}`
    );
  }
  return null;
}
