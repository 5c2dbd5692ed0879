/** `divergence`: memory grows while the responsive connections stay flat, with too few major GCs for `heapGrowth`. */

import { formatBytes, formatDuration } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import { found, insufficientData, noFinding, type Detector } from './detector.ts';
import { isSlowing, postGcTrend } from './post-gc-trend.ts';

const NAME = 'divergence';
const { majorGcs, span, riseShare, flatShare } = LEAKS.divergence.thresholds;

export const divergence: Detector = {
  name: NAME,
  evaluate({ history, trend: wholeTrend }) {
    const recent = wholeTrend?.points ?? [];
    const flatFrom = startOfFlat(recent.map(({ responsive }) => responsive));
    const points = recent.slice(flatFrom);
    const trend = flatFrom === 0 ? wholeTrend : postGcTrend(points);
    const capacity = history.last?.limits.heapCapacityBytes ?? Number.NaN;
    if (trend === null || points.length < majorGcs.value || trend.spanMs < span.value)
      return [
        insufficientData(
          NAME,
          `${majorGcs.value} major GCs over ${formatDuration(span.value)}`,
          `Too few major GCs at a steady number of connections: ${points.length}`,
        ),
      ];
    const rise = trend.lastBytes - (points[0]?.bytes ?? 0);
    const minRise = riseShare.value * capacity;
    const evidence = [
      { name: 'rise_in_window', value: rise, unit: 'By', threshold: minRise, windowMs: trend.spanMs },
      { name: 'responsive_connections', value: points.at(-1)?.responsive ?? 0, unit: 'connections' },
    ];
    const title =
      `The post-GC heap rose ${formatBytes(rise)} in ${formatDuration(trend.spanMs)} ` +
      'while the connections stayed flat';
    const isSteady = points.every((point, i) => i === 0 || point.bytes > (points[i - 1]?.bytes ?? 0));
    if (!(rise >= minRise)) return [noFinding(NAME, 'ok', title, { evidence })];
    if (!isSteady || isSlowing(trend))
      return [noFinding(NAME, 'plateau', `${title}, but not steadily`, { evidence })];
    return [found(NAME, { kind: 'divergence', subject: 'memory', title, evidence })];
  },
};

/** Index from which on all values stay close to the last one. */
function startOfFlat(values: readonly number[]): number {
  const last = values.at(-1) ?? Number.NaN;
  const tolerance = flatShare.value * Math.max(last, 1);
  let start = values.length;
  while (start > 0 && Math.abs((values[start - 1] ?? Number.NaN) - last) <= tolerance) start -= 1;
  return start;
}
