/** The trend of old space right after major collections, with what the connections explain taken out. */

import type { Sample } from '../types.ts';
import { HOUR_MS, MINUTE_MS, type FloorPoint, type History } from './history.ts';
import { coefficients, design, deviation, lastError, mean, theilSen } from './stats.ts';

const WARM_UP_MS = 2 * MINUTE_MS;
const WINDOW_MS = 60 * MINUTE_MS;
/** Servers with rare majors (0 to 6 an hour are usual) are judged over the last dozen, however long that took. */
const MIN_WINDOW_FLOORS = 12;
const LATE_SPAN_MS = 8 * MINUTE_MS;
const CONNECTIONS_VARY = 0.03;
const MIN_FLOORS_WITH_CONNECTIONS = 6;
const LAGS = 2;
const MIN_STEP = 0.1;

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
  const one = times.map(() => 1);
  const tau = times.map((time) => (time - firstMs) / spanMs);
  const load = loadOf(floors);
  const withLoad = load.varies && n >= MIN_FLOORS_WITH_CONNECTIONS ? design([one, load.scaled, tau]) : null;
  const using = withLoad ?? design([one, tau]);
  if (using === null) return null;
  const fitted = coefficients(using, bytes);
  const riseBytes = fitted.at(-1) ?? 0;
  const perStep = withLoad === null ? 0 : Math.max(0, fitted[1] ?? 0);
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
    isConfounded: load.rose && withLoad === null,
    ...pace(times, own, perMs),
  };
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
