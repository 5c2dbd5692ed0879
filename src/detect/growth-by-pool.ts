/** `growthByPool` gives the growth rate of each memory pool for the metric `wsguard_memory_growth_bytes_per_hour`. */

import { HOUR_MS, MINUTE_MS, type History } from './history.ts';
import type { PostGcTrend } from './post-gc-trend.ts';
import type { FixedColumn } from './sample-row.ts';
import { hasMissing, median } from './statistics.ts';

const WINDOW_MS = 30 * MINUTE_MS;
/** The slope of a shorter span is mostly noise. */
const MIN_SPAN_MS = 10 * MINUTE_MS;
/** Two rows for each third. */
const MIN_ROWS = 6;
const COLUMNS = { external: 'externalBytes', rss: 'rssBytes' } as const satisfies Record<string, FixedColumn>;

/** Bytes per (scaled) hour by pool, without the pools for which there is insufficient data. `heap` is the post-GC heap. */
export function growthByPool(history: History, trend: PostGcTrend | null): Record<string, number> {
  const growth: Record<string, number> = {};
  if (trend !== null) growth['heap'] = trend.perMs * HOUR_MS;
  for (const [pool, column] of Object.entries(COLUMNS)) {
    const perMs = slopeOfThirds(history, column);
    if (perMs !== null) growth[pool] = perMs * HOUR_MS;
  }
  return growth;
}

/** From the median of the first third to the median of the last third: cheap, and a spike changes it little. */
function slopeOfThirds({ window, nowMs, rebasedMs }: History, column: FixedColumn): number | null {
  const fromRow = window.rowAt(Math.max(nowMs - WINDOW_MS, rebasedMs));
  const times = window.times(fromRow);
  const values = window.column(column, fromRow);
  const third = Math.floor(times.length / 3);
  const spanMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
  if (times.length < MIN_ROWS || spanMs < MIN_SPAN_MS || hasMissing(values)) return null;
  const riseBytes = median(values.subarray(-third)) - median(values.subarray(0, third));
  return riseBytes / (median(times.subarray(-third)) - median(times.subarray(0, third)));
}
