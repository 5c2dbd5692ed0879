/** `followsLateSessions`: whether sessions that outlive their connection explain the growth of the post-GC heap. */

import { isExplainedBy } from './heap-model.ts';
import { MINUTE_MS, type History } from './history.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';
import type { PostGcTrend } from './post-gc-trend.ts';

/** Times to live of sessions in common use, with a sweep: up to an hour, as for collections. */
const LIFETIMES_MS = [5, 10, 20, 30, 45, 65].map((minutes) => minutes * MINUTE_MS);
/** The pace of fewer closed connections varies by chance. */
const MIN_CLOSED = 20;
/** Share of the rise. */
const MIN_EXPLAINED = 0.5;
/** At an even pace of closed connections sessions and a leak are one line, and chance decides which fits better. */
const MAX_RESIDUALS = 0.9;
/** A fit with three coefficients needs twice as many points. */
const MIN_POINTS = 6;

/** The parts of a history with which the shape of a growth after major GCs is compared. */
export type GcHistory = Pick<History, 'postGcHeaps' | 'coarse' | 'startedMs'>;

/** The doubt, as a `TrendDoubt`. */
export const LATE_SESSIONS = {
  answer: 'inconclusive',
  because: 'but in step with the connections that closed in the last hour, whose sessions may end later',
  missing: 'growth while no more connections close than before',
} as const;

/**
 * While more connections close from hour to hour, more of their sessions wait for the end of their time to live. The heap then
 * follows the connections that closed in the last minutes, and does so better than a leak would.
 */
export const followsLateSessions = (trend: PostGcTrend, history: GcHistory): boolean =>
  LIFETIMES_MS.some((lifetimeMs) =>
    trend.points.length >= MIN_POINTS
      ? isExplainedBy(
          sessionsOf(trend.points, history, lifetimeMs),
          trend.points,
          MAX_RESIDUALS * trend.residuals,
        )
      : mayBeSessions(trend.points, history, lifetimeMs),
  );

/**
 * Whether such sessions could have half of the growth. Each needs at most the bytes that the heap gained for one of them since
 * its lowest size. In the first minutes of the process their number says nothing.
 */
function mayBeSessions(points: readonly PostGcHeap[], history: GcHistory, lifetimeMs: number): boolean {
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined || first.atMs - lifetimeMs < history.startedMs) return false;
  const lowest = history.postGcHeaps.reduce<PostGcHeap | null>(
    (low, point) => (point.atMs < first.atMs && point.bytes < (low ?? first).bytes ? point : low),
    null,
  );
  const sessionsAt = (point: PostGcHeap): number => sessionsOf([point], history, lifetimeMs)[0] ?? 0;
  const gained = sessionsAt(first) - (lowest === null ? 0 : sessionsAt(lowest));
  const perSession = (first.bytes - (lowest?.bytes ?? 0)) / gained;
  const explained = gained >= MIN_CLOSED ? perSession * (sessionsAt(last) - sessionsAt(first)) : 0;
  return explained >= MIN_EXPLAINED * (last.bytes - first.bytes);
}

/** For each major GC, the connections that had closed at most this long ago. */
const sessionsOf = (points: readonly PostGcHeap[], history: GcHistory, lifetimeMs: number): Float64Array =>
  Float64Array.from(points, ({ atMs, closedTotal }) => closedTotal - closedAt(history, atMs - lifetimeMs));

/** Between two of the coarse points, in proportion. None closed before the first. */
function closedAt({ coarse }: GcHistory, atMs: number): number {
  const index = coarse.findIndex((point) => point.atMs > atMs);
  const next = coarse[index];
  const before = coarse[index - 1];
  if (next === undefined) return coarse.at(-1)?.closedTotal ?? Number.NaN;
  if (before === undefined) return next.closedTotal;
  const share = (atMs - before.atMs) / (next.atMs - before.atMs);
  return before.closedTotal + share * (next.closedTotal - before.closedTotal);
}
