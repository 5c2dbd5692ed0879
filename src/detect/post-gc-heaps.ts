/** The sizes of the heap right after major GCs, as an immutable list that grows with the samples. */

import type { Sample } from '../types/index.ts';
import { validCount, zeroIfMissing, type FixedRow } from './sample-row.ts';

/** More than a day at the usual rate of 0 to 6 major GCs per hour. */
const MAX_POINTS = 200;
/** Near the limit V8 runs dozens of major GCs per minute; one point stands for them. */
const MIN_SPACING_MS = 54_000;
/** Finalizers run in a task after the major GC, so the retained connections are read this much later. */
const FINALIZERS_MS = 30_000;
/** A point is completed within this many further major GCs. */
const MAX_INCOMPLETE = 4;

export interface PostGcHeap {
  readonly atMs: number;
  /** Old space right after a major GC. */
  readonly bytes: number;
  readonly responsive: number;
  /** Exponential mean of the responsive connections over the last 10 min. */
  readonly meanResponsive: number;
  /** Sum of connections times ms since the first sample: proportional to what the open connections could leak. */
  readonly connectionMs: number;
  readonly closedTotal: number;
  readonly externalBytes: number;
  /** RSS beyond the heap and external memory. */
  readonly nativeBytes: number;
  /** Closed connections that survived this major GC (two of them, where that is known). Null until finalizers have run. */
  readonly survivors: number | null;
  /** Number of connections that had closed early enough to be among the survivors. */
  readonly closedBefore: number;
}

type Points = readonly PostGcHeap[];

/** Adds the point of a sample in which a major GC ended. */
export function withPostGcHeap(
  points: Points,
  sample: Sample,
  row: FixedRow,
  { connectionMs, meanResponsive }: Pick<PostGcHeap, 'connectionMs' | 'meanResponsive'>,
): Points {
  const { floor } = sample.gc;
  const bytes = validCount(floor?.bytes);
  if (floor === null || !(bytes > 0) || !Number.isFinite(floor.atMs)) return points;
  const point: PostGcHeap = {
    atMs: floor.atMs,
    bytes,
    responsive: row.responsive,
    meanResponsive,
    connectionMs,
    closedTotal: row.closedTotal,
    externalBytes: row.externalBytes,
    nativeBytes: nativeBytesOf(row),
    survivors: null,
    closedBefore: Number.NaN,
  };
  const beforeLast = points.at(-2);
  const replacesLast = beforeLast !== undefined && floor.atMs - beforeLast.atMs < MIN_SPACING_MS;
  return [...(replacesLast ? points.slice(0, -1) : points), point].slice(-MAX_POINTS);
}

/** Completes recent points with the closed connections that survived, once finalizers have run. */
export function withSurvivors(points: Points, nowMs: number, row: FixedRow): Points {
  let completed = points;
  for (let index = Math.max(0, points.length - MAX_INCOMPLETE); index < points.length; index += 1) {
    const point = points[index];
    if (point === undefined || point.survivors !== null || nowMs - point.atMs < FINALIZERS_MS) continue;
    const closedSince = Math.max(0, zeroIfMissing(row.closedTotal) - zeroIfMissing(point.closedTotal));
    const uncollected = Math.max(0, row.uncollected - closedSince);
    const isRetainedKnown = !Number.isNaN(row.retained);
    completed = completed.with(index, {
      ...point,
      survivors: isRetainedKnown ? row.retained : uncollected,
      // A retained connection survived two major GCs, so it closed before the previous one.
      closedBefore: isRetainedKnown ? zeroIfMissing(points[index - 1]?.closedTotal) : point.closedTotal,
    });
  }
  return completed;
}

const nativeBytesOf = ({ rssBytes, heapTotalBytes, externalBytes }: FixedRow): number =>
  rssBytes - zeroIfMissing(heapTotalBytes) - zeroIfMissing(externalBytes);
