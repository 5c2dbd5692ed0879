/** `heapGrowth`: the post-GC heap rises, does not slow down, and will reach its capacity. */

import { formatBytes, formatChange, formatDuration, formatShare } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { Evidence, Verdict } from '../types/index.ts';
import { found, insufficientData, noFinding, type Detector, type View } from './detector.ts';
import { HOUR_MS, type History } from './history.ts';
import {
  isNearLimit,
  longTermPostGcHeaps,
  postGcTrend,
  sinceStartOfGrowth,
  type PostGcTrend,
} from './post-gc-trend.ts';
import { student995 } from './statistics.ts';
import { trendDoubt, type TrendDoubt } from './trend-doubt.ts';

const NAME = 'floor';
const { thresholds } = LEAKS['heap-growth'];
/** The growth of half of the time must be twice as large a part of the heap. */
const PARTS_OF_VERY_LONG = [1, 0.5];

export const heapGrowth: Detector = {
  name: NAME,
  evaluate(view) {
    const verdict = verdictOfWindow(view);
    return [verdict.answer === 'found' ? verdict : (longGrowth(view.history) ?? verdict)];
  },
};

function verdictOfWindow({ trend, history }: View): Verdict {
  const { majorGcs, span } = thresholds;
  const points = trend?.points.length ?? 0;
  if (trend === null || points < majorGcs.value || trend.spanMs < span.value)
    return insufficientData(
      NAME,
      `${majorGcs.value} major GCs over ${formatDuration(span.value)}`,
      `Only ${points} major GCs in the window`,
    );
  const capacity = history.last?.limits.heapCapacityBytes ?? Number.NaN;
  const evidence = evidenceOf(trend, capacity);
  const text = textOf(trend);
  if (!(capacity > 0))
    return noFinding(NAME, 'inconclusive', `${text}, but its capacity is not known`, { evidence });
  if (trend.riseBytes < minRiseOf(capacity)) return noFinding(NAME, 'ok', text, { evidence });
  const doubt = doubtOf({ trend, history }, text, capacity);
  if (doubt === null) return finding(trend, capacity);
  const { answer, because, missing } = doubt;
  return noFinding(NAME, answer, because, { evidence, ...(missing === undefined ? {} : { missing }) });
}

const textOf = ({ riseBytes, spanMs }: PostGcTrend): string =>
  `The post-GC heap ${formatChange(riseBytes)} in ${formatDuration(spanMs)}`;

function finding(trend: PostGcTrend, capacity: number): Verdict {
  const perHour = trend.perMs * HOUR_MS;
  return found(NAME, {
    kind: 'heap-growth',
    subject: 'heap',
    severity: isCritical(trend) ? 'critical' : 'warning',
    title: `${textOf(trend)}, ${formatBytes(perHour)} per hour`,
    evidence: evidenceOf(trend, capacity),
  });
}

/** Growth of hours opens an alert however far the limit is. Null when there is none. */
function longGrowth(history: History): Verdict | null {
  const { veryLongSpan, veryLongRiseShare } = thresholds;
  for (const part of PARTS_OF_VERY_LONG) {
    const rule = { spanMs: part * veryLongSpan.value, riseShare: veryLongRiseShare.value / part };
    const trend = growthOver(history, rule);
    if (trend !== null) return finding(trend, history.last?.limits.heapCapacityBytes ?? Number.NaN);
  }
  return null;
}

function growthOver(
  history: History,
  { spanMs, riseShare }: { readonly spanMs: number; readonly riseShare: number },
): PostGcTrend | null {
  const { veryLongMajorGcs, veryLongRise, slowTrend } = thresholds;
  const points = longTermPostGcHeaps(history, spanMs);
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined || points.length < veryLongMajorGcs.value) return null;
  const minRise = Math.max(veryLongRise.value, riseShare * first.bytes);
  // The cheap tests come first: most heaps end here.
  if (last.atMs - first.atMs < spanMs || last.bytes - first.bytes < minRise) return null;
  const trend = postGcTrend(points);
  if (trend === null) return null;
  const isCertain =
    trend.riseBytes >= minRise &&
    trend.t > slowTrend.value &&
    !trend.isConfounded &&
    trendDoubt(trend, history) === null;
  return isCertain ? trend : null;
}

const minRiseOf = (capacity: number): number =>
  Math.min(thresholds.riseShare.value * capacity, thresholds.largeHeapBytes.value);

/** The tests must hold for the whole window, and for the part of it since the growth started. */
function doubtOf(
  { trend, history }: { readonly trend: PostGcTrend; readonly history: History },
  text: string,
  capacity: number,
): TrendDoubt | null {
  const sinceStart = sinceStartOfGrowth(trend);
  const doubt = trendDoubt(sinceStart ?? trend, history);
  if (doubt !== null) return { ...doubt, because: `${text}, ${doubt.because}` };
  if (trend.isConfounded || sinceStart?.isConfounded === true)
    return {
      answer: 'inconclusive',
      because: `${text}, but the connections rose too`,
      missing: 'connections that fall, or stay level, while the heap rises',
    };
  const isCertain = sinceStart !== null && passes(trend, history) && passes(sinceStart, history);
  return isCertain ? null : { answer: 'inconclusive', because: notYet(trend, text, capacity) };
}

const passes = (trend: PostGcTrend, history: History): boolean => {
  const capacity = history.last?.limits.heapCapacityBytes ?? Number.NaN;
  const timeToCapacityMs = (capacity - trend.lastBytes) / trend.perMs;
  return isFast(trend, capacity, timeToCapacityMs) || isSlow(trend, capacity, timeToCapacityMs);
};

const risesEnough = ({ riseBytes }: PostGcTrend, capacity: number): boolean =>
  riseBytes > thresholds.riseShare.value * capacity;

function isFast(trend: PostGcTrend, capacity: number, timeToCapacityMs: number): boolean {
  const n = trend.points.length;
  const coefficients = trend.connectionsVary ? 3 : 2;
  return (
    n >= thresholds.majorGcs.value &&
    trend.spanMs >= thresholds.span.value &&
    trend.t > Math.max(student995(n - coefficients), thresholds.trend.value) &&
    risesEnough(trend, capacity) &&
    timeToCapacityMs < thresholds.timeToCapacity.value &&
    (trend.spanMs >= thresholds.longSpan.value ||
      (trend.lastBytes > thresholds.fullShare.value * capacity && isNearLimit(trend, capacity)))
  );
}

function isSlow(trend: PostGcTrend, capacity: number, timeToCapacityMs: number): boolean {
  const reachesLimit =
    trend.points.length >= thresholds.slowMajorGcs.value &&
    risesEnough(trend, capacity) &&
    timeToCapacityMs < thresholds.slowTimeToCapacity.value;
  return (
    trend.spanMs >= thresholds.slowSpan.value &&
    hasEnoughMajorGcs(trend) &&
    trend.t > thresholds.slowTrend.value &&
    (reachesLimit || growsInLargeHeap(trend))
  );
}

/**
 * A large heap has one major GC per half an hour: few are enough when the growth has lasted twice as long, and the connections
 * need no coefficient of their own.
 */
const hasEnoughMajorGcs = ({ points, spanMs, connectionsVary }: PostGcTrend): boolean =>
  points.length >= thresholds.largeHeapMajorGcs.value ||
  (points.length >= thresholds.majorGcs.value && spanMs >= 2 * thresholds.slowSpan.value && !connectionsVary);

/** In a heap of gigabytes the limit is days away, so growth is compared with the heap itself. */
const growsInLargeHeap = ({ riseBytes, points }: PostGcTrend): boolean =>
  riseBytes >
  Math.max(thresholds.largeHeapBytes.value, thresholds.largeHeapRise.value * (points[0]?.bytes ?? 0));

function notYet({ lastBytes }: PostGcTrend, text: string, capacity: number): string {
  const { fullShare, longSpan } = thresholds;
  return (
    `${text} to ${formatShare(lastBytes / capacity)} of its capacity. A cache that is filling looks the same, so growth ` +
    `counts as a leak only above ${formatShare(fullShare.value)} or after ${formatDuration(longSpan.value)}`
  );
}

const isCritical = ({ perMs }: PostGcTrend): boolean => perMs * HOUR_MS >= thresholds.criticalGrowth.value;

const evidenceOf = (trend: PostGcTrend, capacity: number): Evidence[] => [
  {
    name: 'wsguard_heap_floor_bytes',
    value: trend.lastBytes,
    unit: 'By',
    threshold: thresholds.fullShare.value * capacity,
  },
  {
    name: 'rise_in_window',
    value: trend.riseBytes,
    unit: 'By',
    threshold: thresholds.riseShare.value * capacity,
    windowMs: trend.spanMs,
  },
  {
    name: 'wsguard_memory_growth_bytes_per_hour',
    value: trend.perMs * HOUR_MS,
    unit: 'By/h',
    threshold: (isCritical(trend) ? thresholds.criticalGrowth : thresholds.growth).value,
  },
  { name: 'trend_standard_errors', value: trend.t, unit: '1', threshold: thresholds.trend.value },
  {
    name: 'major_gcs_in_window',
    value: trend.points.length,
    unit: 'major GCs',
    threshold: thresholds.majorGcs.value,
  },
];
