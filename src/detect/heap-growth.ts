/** Heap growth: the floor of old space rises, does not slow down, and will meet its capacity. */

import type { Evidence } from '../types/index.ts';
import { found, quiet, type Detector } from './detector.ts';
import { sinceItBegan, type FloorTrend } from './post-gc-heap.ts';
import { HOUR_MS, MINUTE_MS } from './history.ts';
import { formatBytes, formatChange, formatDuration, formatShare } from '../core/format.ts';
import { student995 } from './stats.ts';

const NAME = 'floor';
const MIN_FLOORS = 5;
const MIN_SPAN_MS = 20 * MINUTE_MS;
const MIN_T = 3;
/** Of capacity, what the floor must have risen by. */
const MIN_RISE = 0.05;
/** The pace of the last third and of the last step against the whole and the first half. */
const LATE_TO_WHOLE = 0.5;
const LATE_TO_EARLY = 0.4;
const SOON_MS = 4 * HOUR_MS;
/** A cache that fills in a line is a leak until it stops: so full, or so long, before memory alone alarms. */
const FULL = 0.55;
const LONG_MS = 50 * MINUTE_MS;
/** Where the limit is farther away it takes more floors and more certainty. */
const SLOW = { floors: 12, t: 6, withinMs: 48 * HOUR_MS } as const;
/** In a heap of gigabytes the limit is days away; a floor that grew by half of itself, collection by collection, is told. */
const OWN = { floors: 8, rise: 0.5, bytes: 12 * 1024 ** 2 } as const;
const WARNING_BYTES_PER_HOUR = 50 * 1024 ** 2;
const CRITICAL_BYTES_PER_HOUR = 100 * 1024 ** 2;

export const floor: Detector = {
  name: NAME,
  look({ trend, history }) {
    const seen = trend?.floors.length ?? 0;
    if (trend === null || seen < MIN_FLOORS || trend.spanMs < MIN_SPAN_MS)
      return [
        quiet(NAME, 'warming-up', `${seen} major collections in the window`, {
          missing: `${MIN_FLOORS} major collections over ${MIN_SPAN_MS / MINUTE_MS} min`,
        }),
      ];
    const capacity = history.last?.limits.heapCapacityBytes ?? Number.NaN;
    const evidence = evidenceOf(trend, capacity);
    const said = `the post-GC floor ${formatChange(trend.riseBytes)} in ${formatDuration(trend.spanMs)}`;
    if (!(capacity > 0)) return [quiet(NAME, 'inconclusive', `${said}; capacity unknown`, { evidence })];
    if (trend.riseBytes < Math.min(MIN_RISE * capacity, OWN.bytes))
      return [quiet(NAME, 'ok', said, { evidence })];
    const doubt = doubtOf(trend, said, capacity);
    if (doubt !== null) return [quiet(NAME, doubt.answer, doubt.because, { evidence })];
    return [
      found(NAME, {
        kind: 'heap-growth',
        subject: 'heap',
        severity: trend.perMs * HOUR_MS >= CRITICAL_BYTES_PER_HOUR ? 'critical' : 'warning',
        title: `${said}, ${formatBytes(trend.perMs * HOUR_MS)} an hour`,
        evidence,
      }),
    ];
  },
};

interface Doubt {
  readonly answer: 'plateau' | 'inconclusive';
  readonly because: string;
}

/** All of it must be true of the line from its own beginning as well. */
function doubtOf(trend: FloorTrend, said: string, capacity: number): Doubt | null {
  const line = sinceItBegan(trend);
  if (isSlowing(line ?? trend)) return { answer: 'plateau', because: `${said} and slows down` };
  if (trend.isConfounded || line?.isConfounded === true)
    return { answer: 'inconclusive', because: `${said}, in step with the connections` };
  const isSure = line !== null && holds(trend, capacity) && holds(line, capacity);
  return isSure ? null : { answer: 'inconclusive', because: waiting(trend, said, capacity) };
}

export const isSlowing = ({ perMs, earlyPerMs, latePerMs, lastStepPerMs }: FloorTrend): boolean =>
  latePerMs <= LATE_TO_WHOLE * perMs ||
  latePerMs <= LATE_TO_EARLY * earlyPerMs ||
  lastStepPerMs <= LATE_TO_WHOLE * perMs;

function holds(trend: FloorTrend, capacity: number): boolean {
  const leftMs = (capacity - trend.lastBytes) / trend.perMs;
  const n = trend.floors.length;
  const normal =
    n >= MIN_FLOORS &&
    trend.spanMs >= MIN_SPAN_MS &&
    trend.t > Math.max(student995(n - (trend.connectionsVary ? 3 : 2)), MIN_T) &&
    trend.riseBytes > MIN_RISE * capacity &&
    leftMs < SOON_MS &&
    (trend.lastBytes > FULL * capacity || trend.spanMs >= LONG_MS);
  const isLong = trend.spanMs >= LONG_MS && n >= OWN.floors && trend.t > SLOW.t;
  const slow = n >= SLOW.floors && trend.riseBytes > MIN_RISE * capacity && leftMs < SLOW.withinMs;
  return normal || (isLong && (slow || growsByItself(trend)));
}

const growsByItself = ({ riseBytes, floors }: FloorTrend): boolean =>
  riseBytes > Math.max(OWN.bytes, OWN.rise * (floors[0]?.bytes ?? 0));

function waiting(trend: FloorTrend, said: string, capacity: number): string {
  const share = formatShare(trend.lastBytes / capacity);
  return `${said} to ${share} of capacity; memory alone needs ${formatShare(FULL)} or ${formatDuration(LONG_MS)}`;
}

function evidenceOf(trend: FloorTrend, capacity: number): Evidence[] {
  return [
    { name: 'wsguard_heap_floor_bytes', value: trend.lastBytes, unit: 'By', threshold: FULL * capacity },
    {
      name: 'risen_in_window',
      value: trend.riseBytes,
      unit: 'By',
      threshold: MIN_RISE * capacity,
      windowMs: trend.spanMs,
    },
    {
      name: 'wsguard_memory_growth_bytes_per_hour',
      value: trend.perMs * HOUR_MS,
      unit: 'By/h',
      threshold: WARNING_BYTES_PER_HOUR,
    },
    { name: 'standard_errors', value: trend.t, unit: '1', threshold: MIN_T },
    { name: 'major_collections', value: trend.floors.length, unit: 'collections', threshold: MIN_FLOORS },
  ];
}
