/** `divergence`: memory grows while the responsive connections stay flat, with too few major GCs for `heapGrowth`. */

import { formatBytes, formatDuration } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { Verdict } from '../types/index.ts';
import { found, insufficientData, noFinding, type Detector } from './detector.ts';
import { shapeOf } from './growth-shape.ts';
import type { History } from './history.ts';
import { roseSteadily } from './old-space.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';
import { isNearLimit, sinceStartOfGrowth, type PostGcTrend } from './post-gc-trend.ts';
import { trendDoubt, type TrendDoubt } from './trend-doubt.ts';

const NAME = 'divergence';
const { majorGcs, fewMajorGcs, span, riseShare, flatShare } = LEAKS.divergence.thresholds;
const { largeHeapBytes, largeHeapMajorGcs, largeHeapRise, slowSpan } = LEAKS['heap-growth'].thresholds;
/** Part of the growth between two major GCs that count. Eight of them fit. */
const MIN_SPACING = 0.1;
/** Share of the rise by which a size may be below an earlier one: V8 does not find all garbage in each major GC. */
const MAX_FALL = 0.1;

export const divergence: Detector = {
  name: NAME,
  evaluate({ history, trend: wholeTrend }) {
    const recent = wholeTrend?.points ?? [];
    const flatFrom = startOfFlat(recent.map(({ responsive }) => responsive));
    const flatTrend = wholeTrend?.from(flatFrom) ?? null;
    const trend = flatTrend === null ? null : sinceStartOfGrowth(flatTrend);
    return trend === null || trend.points.length < fewMajorGcs.value || trend.spanMs < span.value
      ? [tooFew(recent.length - flatFrom)]
      : [verdictOn(trend, history)];
  },
};

function verdictOn(trend: PostGcTrend, history: History): Verdict {
  const { points } = trend;
  const rise = trend.lastBytes - (points[0]?.bytes ?? 0);
  const minRise = minRiseOf(points, capacityOf(history));
  const evidence = [
    { name: 'rise_in_window', value: rise, unit: 'By', threshold: minRise, windowMs: trend.spanMs },
    { name: 'responsive_connections', value: points.at(-1)?.responsive ?? 0, unit: 'connections' },
  ];
  const title =
    `The post-GC heap rose ${formatBytes(rise)} in ${formatDuration(trend.spanMs)} ` +
    'while the connections stayed flat';
  if (!(rise - explainedByConnections(points) >= minRise)) return noFinding(NAME, 'ok', title, { evidence });
  if (!isSteady(trend, rise)) return noFinding(NAME, 'plateau', `${title}, but not steadily`, { evidence });
  const doubt = shapeDoubt(trend) ?? trendDoubt(trend, history);
  if (doubt !== null) {
    const { answer, because, ...rest } = doubt;
    return noFinding(NAME, answer, `${title}, ${because}`, { evidence, ...rest });
  }
  if (isLine(trend, rise, history))
    return found(NAME, { kind: 'divergence', subject: 'memory', title, evidence });
  const missing = `${majorGcs.value} major GCs at a steady number of connections`;
  const because = `${title}; a few tables that were loaded look the same`;
  return noFinding(NAME, 'inconclusive', because, { evidence, missing });
}

/** The connections stayed flat, so the heap itself must be a line in time too. */
function shapeDoubt({ points, spanMs }: PostGcTrend): TrendDoubt | null {
  const bytes = Float64Array.from(points, (point) => point.bytes);
  const timesMs = Float64Array.from(points, ({ atMs }) => atMs);
  const shape = shapeOf({ timesMs, bytes, perMs: ((bytes.at(-1) ?? 0) - (bytes[0] ?? 0)) / spanMs });
  return shape === null ? null : { answer: 'plateau', because: shape };
}

/** A share of the capacity, or in a heap of gigabytes, of the heap itself. */
const minRiseOf = (points: readonly PostGcHeap[], capacity: number): number =>
  Math.min(
    riseShare.value * capacity,
    Math.max(largeHeapBytes.value, largeHeapRise.value * (points[0]?.bytes ?? 0)),
  );

/** A small part of a heap of gigabytes needs more major GCs, and has the time for them. */
function isLine(trend: PostGcTrend, rise: number, history: History): boolean {
  const isSmall = rise < riseShare.value * capacityOf(history);
  if (isSmall && trend.spanMs < slowSpan.value) return false;
  return (
    spacedMajorGcs(trend).length >= (isSmall ? largeHeapMajorGcs.value : majorGcs.value) ||
    isNearLimit(trend, capacityOf(history)) ||
    roseSteadily(history, trend.points)
  );
}

/** The major GCs, without those that are so close to the one before that no table is loaded between them. */
function spacedMajorGcs({ points, spanMs }: PostGcTrend): PostGcHeap[] {
  const spaced: PostGcHeap[] = [];
  for (const point of points) {
    const previousMs = spaced.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
    if (point.atMs - previousMs >= MIN_SPACING * spanMs) spaced.push(point);
  }
  return spaced;
}

const capacityOf = ({ last }: History): number => last?.limits.heapCapacityBytes ?? Number.NaN;

/** The size rises from each spaced major GC to the next, and none is below an earlier one by more than the noise of two. */
function isSteady(trend: PostGcTrend, rise: number): boolean {
  let highest = 0;
  const isWithinNoise = trend.points.every(({ bytes }) => {
    highest = Math.max(highest, bytes);
    return bytes >= highest - MAX_FALL * rise;
  });
  return (
    isWithinNoise && spacedMajorGcs(trend).every(({ bytes }, i, all) => bytes > (all[i - 1]?.bytes ?? 0))
  );
}

const tooFew = (points: number): Verdict =>
  insufficientData(
    NAME,
    `${fewMajorGcs.value} major GCs over ${formatDuration(span.value)}`,
    `Too few major GCs at a steady number of connections: ${points}`,
  );

/** The most that a small rise of the connections explains: all of the heap belongs to them. */
function explainedByConnections(points: readonly PostGcHeap[]): number {
  const { responsive = 0, bytes = 0 } = points[0] ?? {};
  return bytes * Math.max(0, (points.at(-1)?.responsive ?? 0) / Math.max(responsive, 1) - 1);
}

/** Index from which on all values stay close to the last one. */
function startOfFlat(values: readonly number[]): number {
  const last = values.at(-1) ?? Number.NaN;
  const tolerance = flatShare.value * Math.max(last, 1);
  let start = values.length;
  while (start > 0 && Math.abs((values[start - 1] ?? Number.NaN) - last) <= tolerance) start -= 1;
  return start;
}
