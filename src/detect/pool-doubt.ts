/** `poolDoubt`: why steady growth of Buffers, or of RSS beyond the heap and Buffers, may still be harmless. */

import { formatDuration } from '../core/format.ts';
import { GROWTH_OUTSIDE_HEAP, type Threshold } from '../kinds/index.ts';
import { blockMinima, type BlockMinima } from './block-minima.ts';
import { MINUTE_MS, type CountHistory, type History } from './history.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';
import { postGcTrend, recentPostGcHeaps, sinceStartOfGrowth } from './post-gc-trend.ts';
import { withoutMissing } from './statistics.ts';
import { poolTrendDoubt, shapeDoubt } from './trend-doubt.ts';

/** Connections that rise by less do not explain memory. */
const MIN_CONNECTION_RISE = 0.1;
/** Part of the window between two major GCs that is enough to compare them. */
const MIN_GC_SPAN = 0.25;
/** Pace from major GC to major GC, relative to the pace of the block minima. */
const MIN_RETAINED_PACE = 0.5;
/** The lowest value of the first minutes of a growth is its start: garbage may add to the others. */
const START_MS = 12 * MINUTE_MS;
/** Mean pace since the start, relative to the present one. */
const MIN_MEAN_PACE = 0.6;

/** A pool of memory: in the rows of a window, and after major GCs. */
export interface Pool {
  readonly valuesOf: (window: CountHistory['window']) => Float64Array;
  readonly bytesOf: (point: PostGcHeap) => number;
  /** A snapshot in the process changes it, so that earlier values are not compared. */
  readonly isRebased: boolean;
}

export interface PoolGrowth {
  readonly rule: Readonly<Record<keyof typeof GROWTH_OUTSIDE_HEAP, Threshold>>;
  readonly valuesOf: Pool['valuesOf'];
  readonly nowBytes: number;
  readonly perMs: number;
  /** The time in which the growth was measured. */
  readonly spanMs: number;
  /** Earlier values are not compared. */
  readonly fromMs: number;
}

export interface Doubt {
  /** The end of a sentence. */
  readonly because: string;
  readonly missing?: string;
}

/** Null for growth that is a leak. */
export function poolDoubt(history: History, blocks: BlockMinima, pool: Pool): Doubt | null {
  if (!survivesMajorGcs(history, blocks, pool))
    return {
      because: 'but the next major GC may free it',
      missing: 'two major GCs a quarter of the window apart, the second one in the window',
    };
  if (connectionsRose(history, blocks.spanMs)) return { because: 'but the connections rose too' };
  if (blocks.rise < postGcRise(history, blocks.spanMs)) return { because: 'but the post-GC heap rose more' };
  return doubtOfDuration(history, blocks, pool) ?? doubtOfShape(history, blocks, pool);
}

/** The container limit, or twice V8's `heap_size_limit` where there is no container limit. */
export const memoryLimitOf = ({ last }: History): number =>
  last?.limits.containerBytes ?? 2 * (last?.memory.heapLimitBytes ?? Number.NaN);

/**
 * Unreachable Buffers stay until the next major GC, and these are rare. Memory counts as retained only when it rises from
 * major GC to major GC, at half the pace or more.
 */
function survivesMajorGcs(
  { postGcHeaps, nowMs }: History,
  { perMs, spanMs }: BlockMinima,
  { bytesOf }: Pool,
): boolean {
  const last = postGcHeaps.at(-1);
  if (last === undefined || last.atMs < nowMs - spanMs) return false;
  const earlier = postGcHeaps.findLast(({ atMs }) => atMs <= last.atMs - spanMs * MIN_GC_SPAN);
  if (earlier === undefined) return false;
  const pace = (bytesOf(last) - bytesOf(earlier)) / (last.atMs - earlier.atMs);
  return pace >= MIN_RETAINED_PACE * perMs;
}

/** Each connection has buffers and maybe a compression context, so rising connections may explain all of the growth. */
function connectionsRose(history: History, windowMs: number): boolean {
  const blocks = blockMinima(history, history.window.column('responsive'), {
    windowMs,
    fromMs: history.startedMs,
  });
  return (
    blocks !== null &&
    blocks.lateShare > 0 &&
    blocks.rise > MIN_CONNECTION_RISE * Math.max(blocks.minima[0] ?? 0, 1)
  );
}

function postGcRise({ postGcHeaps, nowMs }: History, windowMs: number): number {
  const inWindow = postGcHeaps.filter(({ atMs }) => atMs >= nowMs - windowMs);
  return inWindow.length < 2 ? 0 : (inWindow.at(-1)?.bytes ?? 0) - (inWindow[0]?.bytes ?? 0);
}

/**
 * Whether growth of memory has lasted for long enough: a cache that fills, malloc in the first hours of a process, or queues up
 * to their limits grow for a while like a leak. The farther the limit of the process is, the longer it must have lasted. Returns
 * the missing duration, or null.
 */
export function missingDurationMs(history: History, growth: PoolGrowth): number | null {
  const { rule, nowBytes, perMs, spanMs } = growth;
  const nearMs = nearDurationMs(history, rule, perMs);
  const durationMs = nearMs < rule.longDuration.value ? nearMs : rule.longDuration.value;
  if (durationMs <= spanMs) return null;
  const rise = nowBytes - lowestAtStart(history, growth, durationMs);
  return rise >= MIN_MEAN_PACE * perMs * durationMs ? null : durationMs;
}

function doubtOfDuration(history: History, { minima, perMs, spanMs }: BlockMinima, pool: Pool): Doubt | null {
  const missingMs = missingDurationMs(history, {
    rule: GROWTH_OUTSIDE_HEAP,
    valuesOf: pool.valuesOf,
    nowBytes: minima.at(-1) ?? 0,
    perMs,
    spanMs,
    fromMs: fromMsOf(history, pool),
  });
  if (missingMs === null) return null;
  return {
    because: 'but a cache that is filling does so too',
    missing: `growth for ${formatDuration(missingMs)}`,
  };
}

/** The lowest value at the start of a growth of this duration. NaN when the samples do not reach back so far. */
function lowestAtStart(
  { longTerm, nowMs }: History,
  { valuesOf, fromMs }: PoolGrowth,
  durationMs: number,
): number {
  const startMs = nowMs - durationMs;
  if (longTerm === null || startMs < fromMs || !((longTerm.window.times()[0] ?? Infinity) <= startMs))
    return Number.NaN;
  const [from, to] = [longTerm.window.rowAt(startMs), longTerm.window.rowAt(startMs + START_MS)];
  const values = withoutMissing(valuesOf(longTerm.window).subarray(from, to + 1));
  return values.length === 0 ? Number.NaN : values.reduce((low, value) => Math.min(low, value));
}

/** The duration that is enough near the limit: a share of the time until this pace reaches it. */
const nearDurationMs = (
  history: History,
  { shareOfTimeToLimit }: PoolGrowth['rule'],
  perMs: number,
): number => (shareOfTimeToLimit.value * (memoryLimitOf(history) - usedBytesOf(history))) / perMs;

const usedBytesOf = ({ last }: History): number =>
  last?.limits.containerUsedBytes ?? last?.memory.rssBytes ?? 0;

const fromMsOf = ({ rebasedMs }: History, { isRebased }: Pool): number => (isRebased ? rebasedMs : 0);

/**
 * The pool grows in a line when its sizes after major GCs do. Fewer than three of them have no shape. Near the limit there is no
 * time for other explanations.
 */
function doubtOfShape(history: History, { perMs, spanMs }: BlockMinima, pool: Pool): Doubt | null {
  const { coarse, startedMs, nowMs } = history;
  const fromMs = fromMsOf(history, pool);
  const postGcHeaps = history.postGcHeaps
    .filter(({ atMs }) => atMs >= fromMs)
    .map((point) => ({ ...point, bytes: pool.bytesOf(point) }));
  const trend = postGcTrend(recentPostGcHeaps({ postGcHeaps, nowMs, startedMs }));
  const sinceStart = trend === null ? null : sinceStartOfGrowth(trend);
  if (sinceStart === null) return null;
  const isNear = nearDurationMs(history, GROWTH_OUTSIDE_HEAP, perMs) <= spanMs;
  return isNear ? shapeDoubt(sinceStart) : poolTrendDoubt(sinceStart, { postGcHeaps, coarse, startedMs });
}
