/** How long until the limit that kills: heap by the floor's slope, container by what its memory rises with. */

import type { TimeToLimit } from '../types/index.ts';
import { MINUTE_MS, type History } from './history.ts';
import { theilSen, type Slope } from './stats.ts';

/** From there on a process collects more than it serves: the time to this is said, death comes a little later. */
export const TROUBLE = 0.85;
const MIN_FLOORS = 4;
const MIN_SPAN_MS = 15 * MINUTE_MS;
const SPAN_OF_UPTIME = 0.25;
const RSS_WINDOW_MS = 30 * MINUTE_MS;
const MIN_ROWS = 8;
/** Slower than this (of capacity a minute) the answer would be days, and wrong. */
const MIN_SLOPE_PER_MS = 0.0005 / MINUTE_MS;
const EXTERNAL_SHARE = 0.3;
const REST_SHARE = 0.5;

export function timeToLimit(history: History): TimeToLimit | null {
  const heap = heapTime(history);
  const container = containerTime(history);
  if (heap === null || container === null) return heap ?? container;
  return heap.ms <= container.ms ? heap : container;
}

function until(leftBytes: number, slope: Slope, limit: TimeToLimit['limit']): TimeToLimit {
  const at = (perMs: number): number | null => (perMs > 0 ? Math.max(0, leftBytes / perMs) : null);
  const ms = at(slope.perMs) ?? 0;
  const high = at(slope.lowPerMs);
  return {
    ms,
    lowMs: Math.min(ms, at(slope.highPerMs) ?? ms),
    highMs: high === null ? null : Math.max(ms, high),
    limit,
  };
}

const aged = (time: TimeToLimit, ageMs: number): TimeToLimit => ({
  ...time,
  ms: Math.max(0, time.ms - ageMs),
  lowMs: Math.max(0, time.lowMs - ageMs),
  highMs: time.highMs === null ? null : Math.max(0, time.highMs - ageMs),
});

function heapTime({ floors, nowMs, last }: History): TimeToLimit | null {
  const newest = floors.at(-1);
  if (newest === undefined || last === null) return null;
  const capacity = last.limits.heapCapacityBytes;
  if (!(capacity > 0)) return null;
  const fromMs = nowMs - Math.max(MIN_SPAN_MS, SPAN_OF_UPTIME * last.uptimeMs);
  let used = floors.filter(({ atMs }) => atMs >= fromMs);
  if (used.length < MIN_FLOORS) used = floors.slice(-MIN_FLOORS);
  const slope = theilSen(
    used.map(({ atMs }) => atMs),
    used.map(({ bytes }) => bytes),
    MIN_SLOPE_PER_MS * capacity,
  );
  if (slope === null) return null;
  return aged(until(TROUBLE * capacity - newest.bytes, slope, 'heap'), nowMs - newest.atMs);
}

function containerTime({ window, nowMs, last, rebasedMs }: History): TimeToLimit | null {
  const limit = last?.limits.containerBytes ?? null;
  if (limit === null || !(limit > 0)) return null;
  const from = window.rowAt(Math.max(nowMs - RSS_WINDOW_MS, rebasedMs));
  const times = window.times(from);
  const own = window.column('containerUsedBytes', from);
  const used = own.some(Number.isNaN) ? window.column('rssBytes', from) : own;
  if (times.length < MIN_ROWS || used.some(Number.isNaN)) return null;
  const heap = window.column('heapTotalBytes', from);
  const rest = used.map((value, row) => value - (heap[row] ?? 0));
  const rise = risen(used);
  const half = rest.subarray(0, Math.floor(rest.length / 2) + 1);
  const byBuffers = risen(window.column('externalBytes', from)) > EXTERNAL_SHARE * rise;
  const byRest = risen(rest) > REST_SHARE * rise && risen(half) > 0 && risen(rest) > risen(half);
  if (!byBuffers && !byRest) return null;
  const slope = theilSen(times, used, MIN_SLOPE_PER_MS * limit);
  return slope === null ? null : until(limit - (used.at(-1) ?? 0), slope, 'container');
}

const risen = (values: Float64Array): number => (values.at(-1) ?? 0) - (values[0] ?? 0);
