/** The shape of a growth: does it slow down, or come in steps? A leak keeps its pace; caches, tables and warm-ups do not. */

import {
  createDesign,
  fitCoefficients,
  lastStandardError,
  median,
  onesFor,
  relativeTo,
  theilSen,
} from './statistics.ts';

/** The last third of the growth is at least this long: shorter spans are mostly noise. */
const MIN_LATE_SPAN_MS = 8 * 60_000;
/** Share of the window that the last step covers at least. */
const MIN_STEP = 0.1;
/** Growth slows down when its latest part has less than this share of the pace of the whole (example traces). */
const MIN_LATE_TO_WHOLE = 0.5;
/** The same against the first half. */
const MIN_LATE_TO_EARLY = 0.4;
/** A rise within a block of the window averages the noise of many major GCs; a dozen blocks still show three steps. */
const MAX_BLOCKS = 12;
/** Below this share of its pace a growth stands still. */
const STILL_PACE = 0.2;
/** Share of the time in which a line may stand still by noise: one of six major GCs, or two of a dozen (simulated). */
const MAX_STILL = 0.19;
/** More than this share of the rise within this share of the time is a load: a leak brings a tenth there. */
const MAX_AT_ONCE = 0.4;
const AT_ONCE_PART = 0.1;
/** A parabola has three coefficients, and one more point shows an error. */
const MIN_POINTS_OF_PARABOLA = 4;
/** Standard errors by which a growth bends downwards. A line does so in one of 40 windows. */
const BENDING_T = -2;
/** Pace at the end relative to the start. 1 - exp(-t) has it after 0.4 of its time constant (simulated). */
const MIN_END_TO_START = 0.67;
/** Lags of the Newey-West error, in major GCs. */
const LAGS = 2;

export interface Curve {
  /** Time, or what passes instead of it (the sum of connections over time, closed connections) in the unit of time. */
  readonly timesMs: Float64Array;
  readonly bytes: Float64Array;
  /** Slope of the line through all points. */
  readonly perMs: number;
}

export const SLOWS_DOWN = 'but it slows down';
export const STOOD_STILL = 'but it stood still in between';
const CAME_AT_ONCE = 'but a large part of it came at once';

/** The reason why a growth is not a line, as the end of a sentence. Null for a line. */
export function shapeOf(curve: Curve): string | null {
  if (isSlowing(curve) || isBending(curve)) return SLOWS_DOWN;
  if (standsStill(curve)) return STOOD_STILL;
  return cameAtOnce(curve) ? CAME_AT_ONCE : null;
}

/** Compares the paces of the last third and of the last step with those of the whole and of the first half. */
function isSlowing({ timesMs, bytes, perMs }: Curve): boolean {
  const n = timesMs.length;
  const endMs = timesMs.at(-1) ?? 0;
  const spanMs = endMs - (timesMs[0] ?? 0);
  const lateFromMs = endMs - Math.max(spanMs / 3, MIN_LATE_SPAN_MS);
  const lateIndex = Math.min(
    n - 3,
    timesMs.findIndex((time) => time >= lateFromMs),
  );
  const half = Math.max(3, Math.ceil(n / 2));
  const slope = (from: number, to: number): number =>
    theilSen(timesMs.subarray(from, to), bytes.subarray(from, to))?.perMs ?? perMs;
  const latePerMs = slope(Math.max(0, lateIndex), n);
  if (latePerMs <= MIN_LATE_TO_WHOLE * perMs || latePerMs <= MIN_LATE_TO_EARLY * slope(0, half)) return true;
  // Near the limit V8 runs a major GC per minute, and the sizes differ by noise alone, so a step has a minimum length.
  const stepIndex = timesMs.findLastIndex((time) => time <= endMs - spanMs * MIN_STEP);
  const stepMs = endMs - (timesMs[stepIndex] ?? endMs);
  const stepPerMs = stepMs > 0 ? ((bytes.at(-1) ?? 0) - (bytes[stepIndex] ?? 0)) / stepMs : perMs;
  return stepPerMs <= MIN_LATE_TO_WHOLE * perMs;
}

/** Whether a parabola through the points bends downwards, with certainty and by much. */
function isBending({ timesMs, bytes }: Curve): boolean {
  if (timesMs.length < MIN_POINTS_OF_PARABOLA) return false;
  const firstMs = timesMs[0] ?? 0;
  const spanMs = (timesMs.at(-1) ?? 0) - firstMs;
  const share = relativeTo(timesMs, firstMs, spanMs);
  const design = createDesign([onesFor(share), share, share.map((value) => value ** 2)]);
  if (design === null) return false;
  const coefficients = fitCoefficients(design, bytes);
  const [, start = 0, bend = 0] = coefficients;
  const t = bend / Math.max(lastStandardError(design, bytes, coefficients, LAGS), 1);
  return t < BENDING_T && start + 2 * bend < MIN_END_TO_START * start;
}

/** Whether the growth stands still, or falls, for a good part of the time. A table that is loaded is a step. */
function standsStill({ timesMs, bytes, perMs }: Curve): boolean {
  const blocks = blocksOf(timesMs, bytes);
  let stillMs = 0;
  for (let i = 1; i < blocks.length; i += 1) {
    const [timeMs = 0, value = 0] = blocks[i] ?? [];
    const [beforeMs = 0, before = 0] = blocks[i - 1] ?? [];
    if (value - before <= STILL_PACE * perMs * (timeMs - beforeMs)) stillMs += timeMs - beforeMs;
  }
  const spanMs = (blocks.at(-1)?.[0] ?? 0) - (blocks[0]?.[0] ?? 0);
  return stillMs > MAX_STILL * spanMs;
}

/** Whether much of the growth came between major GCs that are close to each other. */
function cameAtOnce({ timesMs, bytes, perMs }: Curve): boolean {
  const spanMs = (timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0);
  return timesMs.some((timeMs, from) => {
    const to = timesMs.findLastIndex((time) => time - timeMs <= AT_ONCE_PART * spanMs);
    return (bytes[to] ?? 0) - (bytes[from] ?? 0) > MAX_AT_ONCE * perMs * spanMs;
  });
}

/** The points, or the medians of blocks where there are many. */
function blocksOf(timesMs: Float64Array, bytes: Float64Array): (readonly [number, number])[] {
  const n = timesMs.length;
  const blockMs = ((timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0)) / MAX_BLOCKS;
  const blocks: (readonly [number, number])[] = [];
  for (let from = 0; from < n;) {
    let to = from + 1;
    while (to < n && (timesMs[to] ?? 0) - (timesMs[from] ?? 0) < blockMs) to += 1;
    blocks.push([median(timesMs.subarray(from, to)), median(bytes.subarray(from, to))]);
    from = to;
  }
  return blocks;
}
