/**
 * Decides when a snapshot is requested although no alert is open: memory is near a limit and reaches it within minutes. A
 * growth that is only minutes old opens no alert, and afterwards the process is gone. Pure.
 */
import { CONDITIONS } from '../kinds/index.ts';
import type { Sample } from '../types/index.ts';

const MINUTE_MS = 60_000;
/** Above 85 % the memory that is left is too little for a capture in most containers. */
const MIN_SHARE = CONDITIONS.exhaustion.thresholds.usedShare.value;
const MAX_LEFT_MS = 10 * MINUTE_MS;
const WINDOW_MS = 5 * MINUTE_MS;
/** Chosen: garbage of minor GCs is not in the lowest value of 75 s. A longer time would say too late what fills the memory. */
const COMPARED_READINGS = 6;
/** Chosen: the garbage of a healthy server may look the same, and the directory has a quota a day. */
const PAUSE_MS = 24 * 60 * MINUTE_MS;
/** Chosen: after a refusal the answer can be another one soon, and the time is short. */
const REFUSED_PAUSE_MS = MINUTE_MS;

interface Reading {
  /** Scaled uptime. */
  readonly atMs: number;
  /** Use of the heap capacity and of the container limit, 0 to 1; 0 without a limit. */
  readonly shares: readonly [heap: number, container: number];
}

export interface NearLimit {
  readonly readings: readonly Reading[];
  /** No snapshot is requested before. */
  readonly notBeforeMs: number;
}

export const NOTHING_NEAR: NearLimit = { readings: [], notBeforeMs: 0 };

export function addReading(
  { readings, notBeforeMs }: NearLimit,
  { uptimeMs, memory, limits }: Sample,
  timeScale: number,
): NearLimit {
  const { heapCapacityBytes, containerBytes, containerUsedBytes } = limits;
  const atMs = uptimeMs * timeScale;
  const container = containerBytes === null ? 0 : (containerUsedBytes ?? memory.rssBytes) / containerBytes;
  const reading: Reading = { atMs, shares: [memory.oldSpaceBytes / heapCapacityBytes, container] };
  return { readings: [...readings.filter((one) => one.atMs > atMs - WINDOW_MS), reading], notBeforeMs };
}

export function isSnapshotDue({ readings, notBeforeMs }: NearLimit): boolean {
  const last = readings.at(-1);
  if (last === undefined || last.atMs < notBeforeMs || readings.length < 2 * COMPARED_READINGS) return false;
  return last.shares.some((_, limit) => isNear(readings, limit));
}

/** Compares the lowest values at the start and at the end of the window. */
function isNear(readings: readonly Reading[], limit: number): boolean {
  const lowest = (some: readonly Reading[]): number =>
    Math.min(...some.map(({ shares }) => shares[limit] ?? 0));
  const before = lowest(readings.slice(0, COMPARED_READINGS));
  const now = lowest(readings.slice(-COMPARED_READINGS));
  const spanMs = (readings.at(-COMPARED_READINGS)?.atMs ?? 0) - (readings[0]?.atMs ?? 0);
  return now >= MIN_SHARE && now > before && ((1 - now) / (now - before)) * spanMs < MAX_LEFT_MS;
}

/** After a snapshot that was requested now. */
export const afterRequest = (state: NearLimit, isWritten: boolean): NearLimit => ({
  ...state,
  notBeforeMs: (state.readings.at(-1)?.atMs ?? 0) + (isWritten ? PAUSE_MS : REFUSED_PAUSE_MS),
});
