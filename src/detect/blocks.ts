/** A series as six blocks, each by its lowest value: what stays, not what passes through. */

import { MINUTE_MS, type History } from './history.ts';
import { WARM_UP_MS } from './growth.ts';

const BLOCKS = 6;

export interface Blocks {
  readonly minima: readonly number[];
  readonly rise: number;
  /** Of the rise, the share that the last half brought. */
  readonly lateShare: number;
  readonly keepsRising: boolean;
  readonly spanMs: number;
}

interface BlockWindow {
  readonly windowMs: number;
  readonly fromMs?: number;
}

/** Null while the window is not full. */
export function blocksOf(
  { window, nowMs, startedMs }: History,
  valueAt: (row: number) => number,
  { windowMs, fromMs = startedMs + WARM_UP_MS }: BlockWindow,
): Blocks | null {
  const startMs = nowMs - windowMs;
  const times = window.times();
  if (fromMs > startMs + MINUTE_MS || times.length === 0) return null;
  const minima = new Array<number>(BLOCKS).fill(Number.POSITIVE_INFINITY);
  for (let row = window.rowAt(startMs); row < times.length; row += 1) {
    const block = Math.min(BLOCKS - 1, Math.floor((((times[row] ?? 0) - startMs) / windowMs) * BLOCKS));
    const value = valueAt(row);
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
  };
}
