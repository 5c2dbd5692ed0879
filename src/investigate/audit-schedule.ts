/** When the next census of containers is due. Pure; all times are scaled uptime. */

const MINUTE_MS = 60_000;
/** Caches, pools and compiled code of a process that has just started fill in this time. */
const WARM_UP_MS = 20 * MINUTE_MS;
/** Between the first two censuses a leak of one entry per connection shows as hundreds. */
const SECOND_MS = 40 * MINUTE_MS;
const THIRD_MS = 120 * MINUTE_MS;
const DAILY_MS = 24 * 60 * MINUTE_MS;
/** Chosen: five censuses, which tell a leak from a cache, then take two hours. */
const SUSPECTED_MS = 20 * MINUTE_MS;
/** After as many that decided nothing, each next one waits twice as long: a suspicion can last as long as the process. */
const MAX_SUSPECTED = 5;
/** Chosen: an open finding is looked at again, so that its alert closes when the growth has ended. */
const FOUND_MS = 120 * MINUTE_MS;
/** A refused census is tried again when the heap or the traffic has changed. */
const RETRY_MS = 20 * MINUTE_MS;

export interface AuditHistory {
  /** WSGUARD_AUDIT: minutes between two. */
  readonly setting: 'auto' | 'off' | number;
  /** Times of the censuses that succeeded. */
  readonly doneAtMs: readonly number[];
  /** Time of the last attempt that was refused or failed since then. */
  readonly refusedAtMs: number | null;
  /** Containers that leak. */
  readonly found: number;
  /** Since when a detector or a census suspects a leak; null when none does. */
  readonly suspectedSinceMs: number | null;
}

/** Null when no census is scheduled. */
export function nextAuditMs(history: AuditHistory): number | null {
  const { setting, doneAtMs, refusedAtMs } = history;
  if (setting === 'off') return null;
  const lastMs = doneAtMs.at(-1);
  const dueMs = lastMs === undefined ? WARM_UP_MS : lastMs + intervalMs(history);
  return refusedAtMs === null ? dueMs : Math.max(dueMs, refusedAtMs + RETRY_MS);
}

function intervalMs({ setting, doneAtMs, found, suspectedSinceMs }: AuditHistory): number {
  if (typeof setting === 'number') return setting * MINUTE_MS;
  if (found > 0) return FOUND_MS;
  if (suspectedSinceMs !== null) return suspectedIntervalMs(doneAtMs, suspectedSinceMs);
  if (doneAtMs.length === 1) return SECOND_MS;
  return doneAtMs.length === 2 ? THIRD_MS : DAILY_MS;
}

function suspectedIntervalMs(doneAtMs: readonly number[], sinceMs: number): number {
  const done = doneAtMs.filter((atMs) => atMs >= sinceMs).length;
  if (done < MAX_SUSPECTED) return SUSPECTED_MS;
  return Math.min(DAILY_MS, 2 * (doneAtMs.at(-1)! - doneAtMs.at(-2)!));
}
