/** The trend of old space right after major collections, with what the connections explain taken out. */

import type { Sample } from '../types/index.ts';
import { HOUR_MS, MINUTE_MS, type FloorPoint, type History } from './history.ts';
import {
  coefficients,
  design,
  deviation,
  lastError,
  mean,
  residualSquares,
  theilSen,
  type Design,
} from './stats.ts';

const WARM_UP_MS = 2 * MINUTE_MS;
const WINDOW_MS = 60 * MINUTE_MS;
/** Servers with rare majors (0 to 6 an hour are usual) are judged over the last dozen, however long that took. */
const MIN_WINDOW_FLOORS = 12;
const LATE_SPAN_MS = 8 * MINUTE_MS;
const CONNECTIONS_VARY = 0.03;
const MIN_FLOORS_WITH_CONNECTIONS = 6;
const LAGS = 2;
const MIN_STEP = 0.1;
/** Of the rise, what still counts as standing at the lowest. */
const AT_LOWEST = 0.1;

export interface FloorTrend {
  readonly floors: readonly FloorPoint[];
  readonly spanMs: number;
  readonly lastBytes: number;
  /** The line through all of them. */
  readonly perMs: number;
  readonly t: number;
  readonly riseBytes: number;
  readonly earlyPerMs: number;
  readonly latePerMs: number;
  /** From the floor before the last to the last. */
  readonly lastStepPerMs: number;
  /** The last floor that stood at the lowest, connections taken out: what rises began there. */
  readonly beganAt: number;
  readonly connectionsVary: boolean;
  /** Connections rose too, and the floors are too few or too much in step to tell one from the other. */
  readonly isConfounded: boolean;
}

/** The floors that count: after warm-up, of the last hour or the last dozen. */
export function recentFloors({ floors, nowMs, startedMs }: History): FloorPoint[] {
  const warm = floors.filter(({ atMs }) => atMs >= startedMs + WARM_UP_MS);
  const from = Math.min(nowMs - WINDOW_MS, warm.at(-MIN_WINDOW_FLOORS)?.atMs ?? 0);
  return warm.filter(({ atMs }) => atMs >= from);
}

/** Null below three floors: two points are a line through anything. */
export function floorTrend(floors: readonly FloorPoint[]): FloorTrend | null {
  const n = floors.length;
  const times = Float64Array.from(floors, ({ atMs }) => atMs);
  const firstMs = times[0] ?? 0;
  const spanMs = (times.at(-1) ?? 0) - firstMs;
  if (n < 3 || !(spanMs > 0)) return null;
  const bytes = Float64Array.from(floors, (floor) => floor.bytes);
  const load = loadOf(floors);
  const fit = bestFit(floors, bytes, load);
  if (fit === null) return null;
  const { using, fitted, passed } = fit;
  const riseBytes = fitted.at(-1) ?? 0;
  const withLoad = fitted.length > 2;
  const perStep = withLoad ? Math.max(0, fitted[1] ?? 0) : 0;
  const own = bytes.map((value, i) => value - perStep * (load.scaled[i] ?? 0));
  const perMs = riseBytes / spanMs;
  return {
    floors,
    spanMs,
    lastBytes: bytes.at(-1) ?? 0,
    perMs,
    riseBytes,
    t: riseBytes / Math.max(lastError(using, bytes, fitted, LAGS), 1),
    connectionsVary: load.varies,
    isConfounded: load.rose && !withLoad,
    beganAt: lastLowest(own, passed),
    ...pace(
      passed.map((share) => share * spanMs),
      own,
      perMs,
    ),
  };
}

/** A line that began late is judged from its beginning: the flat hour before it makes it neither longer nor slower. */
export const sinceItBegan = (trend: FloorTrend): FloorTrend | null =>
  trend.beganAt === 0 ? trend : floorTrend(trend.floors.slice(trend.beganAt));

/** Where it last stood at its lowest. A line from the start leaves that within the first tenth, noise in a fifth: not late. */
function lastLowest(own: Float64Array, passed: Float64Array): number {
  const lowest = own.reduce((low, value) => Math.min(low, value));
  const level = lowest + AT_LOWEST * ((own.at(-1) ?? 0) - lowest);
  const from = own.findLastIndex((value) => value <= level);
  return (passed[from] ?? 0) > 2 * AT_LOWEST ? from : 0;
}

interface Fit {
  readonly using: Design;
  readonly fitted: readonly number[];
  /** At each floor, the share of the whole that had passed: of the time, or of the exposure. */
  readonly passed: Float64Array;
}

/**
 * Memory by connections and time. While connections climb, what each of them leaves behind grows with their sum over
 * time: that bends, where what they need is straight. Of the two, the one that leaves less unexplained.
 */
function bestFit(floors: readonly FloorPoint[], bytes: Float64Array, load: Load): Fit | null {
  const one = bytes.map(() => 1);
  const fit = (given: readonly Float64Array[], passed: Float64Array): Fit | null => {
    const using = design([...given, passed]);
    return using === null ? null : { using, fitted: coefficients(using, bytes), passed };
  };
  const tau = share(floors, ({ atMs }) => atMs);
  if (!load.varies || floors.length < MIN_FLOORS_WITH_CONNECTIONS) return fit([one], tau);
  const known = [one, load.scaled];
  const byTime = fit(known, tau);
  const byExposure = load.rose
    ? fit(
        known,
        share(floors, ({ exposure }) => exposure),
      )
    : null;
  if (byTime === null || byExposure === null) return byTime ?? byExposure ?? fit([one], tau);
  const left = ({ using, fitted }: Fit): number => residualSquares(using, bytes, fitted);
  return left(byExposure) < left(byTime) ? byExposure : byTime;
}

function share(floors: readonly FloorPoint[], of: (floor: FloorPoint) => number): Float64Array {
  const values = Float64Array.from(floors, of);
  const first = values[0] ?? 0;
  const whole = (values.at(-1) ?? 0) - first || 1;
  return values.map((value) => (value - first) / whole);
}

interface Load {
  readonly varies: boolean;
  readonly rose: boolean;
  /** In standard deviations from the mean. */
  readonly scaled: Float64Array;
}

function loadOf(floors: readonly FloorPoint[]): Load {
  const counts = Float64Array.from(floors, ({ answering }) => answering);
  const spread = counts.some(Number.isNaN) ? 0 : deviation(counts);
  const middle = mean(counts);
  const varies = spread > CONNECTIONS_VARY * middle && spread > 0;
  const rose = varies && (counts.at(-1) ?? 0) > (1 + CONNECTIONS_VARY) * (counts[0] ?? 0);
  return { varies, rose, scaled: counts.map((count) => (count - middle) / (spread || 1)) };
}

/** Does it slow down? The first half, the last third (8 min and 3 floors at least) and the last step. */
function pace(
  times: Float64Array,
  own: Float64Array,
  perMs: number,
): Pick<FloorTrend, 'earlyPerMs' | 'latePerMs' | 'lastStepPerMs'> {
  const n = times.length;
  const endMs = times.at(-1) ?? 0;
  const spanMs = endMs - (times[0] ?? 0);
  const lateFromMs = endMs - Math.max(spanMs / 3, LATE_SPAN_MS);
  const late = Math.min(
    n - 3,
    times.findIndex((time) => time >= lateFromMs),
  );
  const half = Math.max(3, Math.ceil(n / 2));
  const slope = (from: number, to: number): number =>
    theilSen(times.subarray(from, to), own.subarray(from, to))?.perMs ?? perMs;
  // Near the limit floors come each minute and differ by noise alone, so a step is a part of the window at least.
  const from = times.findLastIndex((time) => time <= endMs - spanMs * MIN_STEP);
  const stepMs = endMs - (times[from] ?? endMs);
  return {
    earlyPerMs: slope(0, half),
    latePerMs: slope(Math.max(0, late), n),
    lastStepPerMs: stepMs > 0 ? ((own.at(-1) ?? 0) - (own[from] ?? 0)) / stepMs : perMs,
  };
}

/** Of the floor where there are collections enough, else of old space. */
export function growthPerHour(samples: readonly Sample[]): number {
  const floors = samples.flatMap(({ gc }) => (gc.floor === null ? [] : [gc.floor]));
  const points =
    floors.length >= 3 ? floors : samples.map(({ atMs, memory }) => ({ atMs, bytes: memory.oldSpaceBytes }));
  const slope = theilSen(
    points.map(({ atMs }) => atMs),
    points.map(({ bytes }) => bytes),
  );
  return (slope?.perMs ?? 0) * HOUR_MS;
}
