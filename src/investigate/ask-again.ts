/**
 * Decides when a refused snapshot is requested again. A refusal costs the application thread little, so a request may be
 * repeated; a request without a change would be refused again. Pure.
 */
import type { Sample } from '../types/index.ts';

/** The state of the process when a snapshot was requested. */
export interface Surroundings {
  readonly atMs: number;
  readonly heapBytes: number;
  /** Free memory of the container; null without a limit. */
  readonly availableBytes: number | null;
  readonly isQuiet: boolean;
}

/** Connections opened and closed and messages sent, in each of the last samples. */
export interface Traffic {
  /** Since the start of the process; null before the first sample. */
  readonly total: number | null;
  readonly recent: readonly number[];
}

export const NO_TRAFFIC: Traffic = { total: null, recent: [] };

/** One hour at the default interval of 15 s. */
const MAX_SAMPLES = 240;
/** Chosen: with fewer samples the busiest one says nothing. */
const MIN_SAMPLES = 20;
/** Chosen: a quarter of the busiest sample of the hour. */
const QUIET_SHARE = 0.25;
/** Chosen: waits for at least one window of detection between two requests. */
const MIN_PAUSE_MS = 10 * 60_000;
/** Chosen: quotas, claims and learned costs change without a sign in the samples. */
const MAX_PAUSE_MS = 3_600_000;
/** Chosen: the memory that is needed follows the heap, and a smaller change is noise of the garbage collection. */
const MIN_CHANGE_SHARE = 0.1;

export function addTraffic({ total, recent }: Traffic, { connections }: Sample): Traffic {
  const { openedTotal, closedTotal, messagesSentTotal } = connections;
  const counts = [...Object.values(openedTotal), ...Object.values(closedTotal), messagesSentTotal];
  const next = counts.reduce((sum, count) => sum + count, 0);
  if (total === null) return { total: next, recent };
  return { total: next, recent: [...recent.slice(1 - MAX_SAMPLES), Math.max(0, next - total)] };
}

/** The traffic of the last sample is low against the hour before. */
function isQuiet({ recent }: Traffic): boolean {
  return recent.length >= MIN_SAMPLES && (recent.at(-1) ?? 0) <= Math.max(...recent) * QUIET_SHARE;
}

export function surroundingsOf({ memory, limits }: Sample, traffic: Traffic, nowMs: number): Surroundings {
  const { containerBytes, containerUsedBytes } = limits;
  return {
    atMs: nowMs,
    heapBytes: memory.heapUsedBytes,
    availableBytes:
      containerBytes === null || containerUsedBytes === null ? null : containerBytes - containerUsedBytes,
    isQuiet: isQuiet(traffic),
  };
}

/** `refused`: when the snapshot was last refused. */
export function isWorthAsking(refused: Surroundings, now: Surroundings, timeScale: number): boolean {
  const pauseMs = (now.atMs - refused.atMs) * timeScale;
  if (pauseMs < MIN_PAUSE_MS) return false;
  const needsLess = now.heapBytes <= refused.heapBytes * (1 - MIN_CHANGE_SHARE);
  const hasMore =
    now.availableBytes !== null &&
    refused.availableBytes !== null &&
    now.availableBytes >= refused.availableBytes * (1 + MIN_CHANGE_SHARE);
  return pauseMs >= MAX_PAUSE_MS || needsLess || hasMore || (now.isQuiet && !refused.isQuiet);
}

/** Entries that wait for another answer, by the id of their alert. */
export type RefusedEntries<T> = ReadonlyMap<
  string,
  { readonly entry: T; readonly surroundings: Surroundings }
>;

/** The entries after an answer for some of them. `surroundings` is null when the snapshot was not refused. */
export function afterAnswer<T>(
  refused: RefusedEntries<T>,
  answered: ReadonlyMap<string, T>,
  surroundings: Surroundings | null,
): RefusedEntries<T> {
  const next = new Map(refused);
  for (const [id, entry] of answered) {
    if (surroundings === null) next.delete(id);
    else next.set(id, { entry, surroundings });
  }
  return next;
}
