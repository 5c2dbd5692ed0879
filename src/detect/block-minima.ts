/** A series in six blocks, each by its lowest value: a minimum shows what stays, without short peaks. */

import { COUNTS_WARM_UP_MS } from '../kinds/index.ts';
import { MINUTE_MS, type History } from './history.ts';

/** Six blocks of 30 min are 5 min each, which hold 10 rows: enough for a minimum. */
const BLOCKS = 6;

export interface BlockMinima {
  readonly minima: readonly number[];
  /** Last minimum minus the first one. */
  readonly rise: number;
  /** Share of the rise that the last half of the window brought. */
  readonly lateShare: number;
  /** Every minimum is above the one before. */
  readonly keepsRising: boolean;
  readonly spanMs: number;
  /** Pace of the rise. The lowest values of a rising series are the first ones of the blocks, so it took five blocks. */
  readonly perMs: number;
}

interface BlockWindow {
  readonly windowMs: number;
  /** Rows before this time are not used. */
  readonly fromMs?: number;
}

/** `values` has all rows of the history. Null while the window is not full. */
export function blockMinima(
  { window, nowMs, startedMs }: History,
  values: Float64Array,
  { windowMs, fromMs = startedMs + COUNTS_WARM_UP_MS }: BlockWindow,
): BlockMinima | null {
  const startMs = nowMs - windowMs;
  const times = window.times();
  if (fromMs > startMs + MINUTE_MS || times.length === 0) return null;
  const minima = new Array<number>(BLOCKS).fill(Number.POSITIVE_INFINITY);
  for (let row = window.rowAt(startMs); row < times.length; row += 1) {
    const block = Math.min(BLOCKS - 1, Math.floor((((times[row] ?? 0) - startMs) / windowMs) * BLOCKS));
    const value = values[row] ?? Number.NaN;
    if (value < (minima[block] ?? 0)) minima[block] = value;
  }
  if (!minima.every(Number.isFinite)) return null;
  const first = minima[0] ?? 0;
  const rise = (minima.at(-1) ?? 0) - first;
  const late = (minima.at(-1) ?? 0) - (minima[BLOCKS / 2 - 1] ?? 0);
  return {
    minima,
    rise,
    lateShare: rise > 0 ? late / rise : 0,
    keepsRising: minima.every((value, i) => i === 0 || value > (minima[i - 1] ?? 0)),
    spanMs: windowMs,
    perMs: rise / (((BLOCKS - 1) / BLOCKS) * windowMs),
  };
}
