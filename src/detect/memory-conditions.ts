/** `memoryThreshold` and `exhaustion`: conditions of memory. They open an alert and never claim a leak. */

import { formatShare, formatLimit, formatTimeToLimit } from '../core/format.ts';
import { CONDITIONS } from '../kinds/index.ts';
import type { Evidence } from '../types/index.ts';
import { found, insufficientData, noFinding, type Detector } from './detector.ts';
import { shapeOf } from './growth-shape.ts';
import { type History } from './history.ts';
import type { PostGcTrend } from './post-gc-trend.ts';
import { hasMissing, smallest } from './statistics.ts';
import type { Forecast } from './time-to-limit.ts';

const THRESHOLD = 'threshold';
const EXHAUSTION = 'exhaustion';
const threshold = CONDITIONS['memory-threshold'].thresholds;
const WINDOW_MS = CONDITIONS['memory-threshold'].window.ms;
/** The first row may be a little later than the start of the window. */
const MIN_WINDOW_SHARE = 0.9;
/** Standard errors above which the post-GC heap counts as rising; the same as for `heap-growth`. */
const RISING_T = 3;
const exhausted = CONDITIONS.exhaustion.thresholds;

interface Level {
  readonly limit: 'heap' | 'container';
  /** Lowest share of the limit that was in use in the window. */
  readonly share: number;
}

/** Empty while the window is not full. */
function levelsOf({ window, last, nowMs, postGcHeaps }: History): Level[] {
  const from = window.rowAt(nowMs - WINDOW_MS);
  const times = window.times(from);
  if (times.length < 3 || nowMs - (times[0] ?? nowMs) < MIN_WINDOW_SHARE * WINDOW_MS || last === null)
    return [];
  // A major GC would free the garbage, so the post-GC heap is the upper bound.
  const postGcBytes = postGcHeaps.at(-1)?.bytes ?? Number.POSITIVE_INFINITY;
  const heapBytes = Math.min(smallest(window.column('oldSpaceBytes', from)), postGcBytes);
  const levels: Level[] = [{ limit: 'heap', share: heapBytes / last.limits.heapCapacityBytes }];
  const containerBytes = last.limits.containerBytes;
  if (containerBytes !== null) {
    const containerUsed = window.column('containerUsedBytes', from);
    const used = hasMissing(containerUsed) ? window.column('rssBytes', from) : containerUsed;
    levels.push({ limit: 'container', share: smallest(used) / containerBytes });
  }
  return levels.filter(({ share }) => Number.isFinite(share));
}

const LIMIT_NAMES = { heap: 'the heap capacity', container: 'the container limit' } as const;

export const memoryThreshold: Detector = {
  name: THRESHOLD,
  evaluate({ history, trend }) {
    const levels = levelsOf(history);
    const worst = levels.toSorted((a, b) => b.share - a.share)[0];
    if (worst === undefined) return [insufficientData(THRESHOLD, '10 min of samples')];
    const evidence: Evidence[] = levels.map(({ limit, share }) => ({
      name: `${limit}_limit_used_share`,
      value: share,
      unit: '1',
      threshold: threshold.share.value,
      windowMs: WINDOW_MS,
    }));
    const text = `At least ${formatShare(worst.share)} of ${LIMIT_NAMES[worst.limit]} has been in use for 10 min`;
    const isRising = trend !== null && trend.t > RISING_T && trend.riseBytes > 0;
    const isOver = worst.share >= threshold.share.value;
    const isOverAndRising = worst.share >= threshold.risingShare.value && isRising && worst.limit === 'heap';
    if (!isOver && !isOverAndRising) return [noFinding(THRESHOLD, 'ok', text, { evidence })];
    return [
      found(THRESHOLD, {
        kind: 'memory-threshold',
        subject: worst.limit,
        severity: isOver ? 'critical' : 'warning',
        title: isRising ? `${text}, and the post-GC heap rises` : text,
        evidence,
      }),
    ];
  },
};

export const exhaustion: Detector = {
  name: EXHAUSTION,
  evaluate({ history, trend, forecast }) {
    if (forecast === null)
      return [
        noFinding(EXHAUSTION, 'ok', 'Memory does not grow towards a limit fast enough for an estimate'),
      ];
    const timeToLimit = forecast.time;
    const evidence: Evidence[] = [
      {
        name: 'wsguard_time_to_limit_seconds',
        value: timeToLimit.ms / 1000,
        unit: 's',
        threshold: exhausted.timeToLimit.value / 1000,
      },
    ];
    const title = `The process reaches ${formatLimit(timeToLimit.limit)} ${formatTimeToLimit(timeToLimit)}`;
    const isNarrow = timeToLimit.highMs !== null && timeToLimit.highMs < exhausted.latestTimeToLimit.value;
    const isNear = usedShare(history, timeToLimit.limit) >= exhausted.usedShare.value;
    if (timeToLimit.ms >= exhausted.timeToLimit.value || !isNarrow || !isNear)
      return [noFinding(EXHAUSTION, 'ok', title, { evidence })];
    const doubt = doubtOf(forecast, trend);
    if (doubt !== null) return [noFinding(EXHAUSTION, 'inconclusive', `${title}, ${doubt}`, { evidence })];
    return [
      found(EXHAUSTION, {
        kind: 'exhaustion',
        subject: timeToLimit.limit,
        severity: 'critical',
        title,
        evidence,
      }),
    ];
  },
};

/** The reason why the growth may stop before the limit. */
function doubtOf({ time, grownMs, ageMs }: Forecast, trend: PostGcTrend | null): string | null {
  if (ageMs > exhausted.latestGc.value) return 'but the last major GC was long ago';
  if (grownMs < exhausted.duration.value * time.ms) return 'but memory has not grown for long';
  return time.limit === 'heap' && trend !== null ? shapeOf(trend.curve) : null;
}

function usedShare({ last, postGcHeaps }: History, limit: 'heap' | 'container'): number {
  if (last === null) return 0;
  if (limit === 'heap') return (postGcHeaps.at(-1)?.bytes ?? 0) / last.limits.heapCapacityBytes;
  return (last.limits.containerUsedBytes ?? last.memory.rssBytes) / (last.limits.containerBytes ?? Infinity);
}
