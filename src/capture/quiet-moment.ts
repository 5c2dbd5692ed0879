/**
 * Decides for how long a capture waits for a quiet moment, and when one has come. It is told how busy the event loop was in
 * each second. Pure.
 */

/** Chosen: a major GC stops a server as long. Most forks are shorter, so most captures do not wait. */
const NOTICEABLE_PAUSE_MS = 50;
/** Chosen: a stop then meets a message in one of ten cases. */
const QUIET_LOAD = 0.1;
/** Chosen: the lowest load of these seconds shows how quiet it can be expected to become. */
const COMPARED_SECONDS = 20;
/** Chosen: two readings of the same load differ by so much. */
const TOLERANCE = 1.1;
/** Chosen: short against the 15 min between two snapshots, and against the 10 min to a memory limit that order a capture. */
const MAX_QUIET_WAIT_MS = 60_000;

/** 0 for a pause that no client notices. */
export const maxQuietWaitMs = (pauseMs: number): number =>
  pauseMs < NOTICEABLE_PAUSE_MS ? 0 : MAX_QUIET_WAIT_MS;

/**
 * `loads` has one number for each second since the wait began: the share of it in which the event loop worked. A server that is
 * never idle has its quiet moment when a second is as quiet as the quietest of the first 20.
 */
export function isQuietMoment(loads: readonly number[]): boolean {
  const last = loads.at(-1);
  if (last === undefined) return false;
  if (last <= QUIET_LOAD) return true;
  if (loads.length <= COMPARED_SECONDS) return false;
  return last <= Math.min(...loads.slice(0, COMPARED_SECONDS)) * TOLERANCE;
}
