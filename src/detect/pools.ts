/** How fast each pool of memory grows, for the metric: no verdict, only the slope that the verdicts are about. */

import type { FloorTrend } from './post-gc-heap.ts';
import { HOUR_MS, MINUTE_MS, type History } from './history.ts';
import { median } from './stats.ts';

const WINDOW_MS = 30 * MINUTE_MS;
/** Less says more about the minute than about the trend. */
const MIN_SPAN_MS = 10 * MINUTE_MS;
const MIN_ROWS = 6;
const COLUMNS = { external: 'externalBytes', rss: 'rssBytes' } as const;

/** Bytes per (scaled) hour by pool; a pool that cannot be told yet is absent. `heap` is the floor's trend. */
export function growthByPool(history: History, trend: FloorTrend | null): Record<string, number> {
  const growth: Record<string, number> = {};
  if (trend !== null) growth['heap'] = trend.perMs * HOUR_MS;
  for (const [pool, column] of Object.entries(COLUMNS)) {
    const perMs = slopeOfThirds(history, column);
    if (perMs !== null) growth[pool] = perMs * HOUR_MS;
  }
  return growth;
}

/** From the median of the first third to that of the last: cheap, and a spike moves it little. */
function slopeOfThirds(history: History, column: string): number | null {
  const { window, nowMs, rebasedMs } = history;
  const fromRow = window.rowAt(Math.max(nowMs - WINDOW_MS, rebasedMs));
  const times = window.times(fromRow);
  const values = window.column(column, fromRow);
  const third = Math.floor(times.length / 3);
  const spanMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
  if (times.length < MIN_ROWS || spanMs < MIN_SPAN_MS || values.some(Number.isNaN)) return null;
  const riseBytes = median(values.slice(-third)) - median(values.slice(0, third));
  return riseBytes / (median(times.slice(-third)) - median(times.slice(0, third)));
}
