/**
 * `slowLoss`: peers that are lost one by one. Half an hour, in which few are lost, does not tell them from peers that sleep or wait
 * for a timeout. The number of those that have been silent for longer than any timeout does. Recordings lack it.
 */

import { SIXTHS } from './count-shape.ts';
import { HOUR_MS, MINUTE_MS, type CountHistory } from './history.ts';
import { median, withoutMissing } from './statistics.ts';

/** Chosen: as for the leaks of few connections. */
const SPAN_MS = 2 * HOUR_MS;
/** A row of the counts of hours comes every 3 min. */
const MAX_LATE_MS = 6 * MINUTE_MS;
/** Silences that ended in the span, by a reply or a close, as a share of those that last. */
const MAX_ENDED = 0.5;

export interface Loss {
  readonly rise: number;
  readonly windowMs: number;
  readonly rows: CountHistory;
  /** The first row of the span. */
  readonly fromRow: number;
}

/** Null where the number of lost peers did not rise in each sixth of the time, or many of their silences ended. */
export function slowLoss(rows: CountHistory | null, minRise: number): Loss | null {
  if (rows === null) return null;
  const { window, nowMs } = rows;
  const fromRow = window.rowAt(nowMs - SPAN_MS);
  const times = window.times(fromRow);
  const startMs = times[0] ?? nowMs;
  if (startMs > nowMs - SPAN_MS + MAX_LATE_MS) return null;
  const values = window.column('lost', fromRow);
  const sixths = Array.from({ length: SIXTHS }, (_, n) => {
    const at = (part: number): number => Math.floor((part * values.length) / SIXTHS);
    const valid = withoutMissing(values.subarray(at(n), at(n + 1)));
    return valid.length === 0 ? Number.NaN : median(valid);
  });
  const isSteady = sixths.every((level, n) => n === 0 || level > (sixths[n - 1] ?? Number.NaN));
  const now = sixths.at(-1) ?? 0;
  const rise = now - (sixths[0] ?? 0);
  const ended = gainOf(window.column('lostEndedTotal', fromRow));
  if (!isSteady || rise < minRise || !(ended < MAX_ENDED * now)) return null;
  return { rise, windowMs: nowMs - startMs, rows, fromRow };
}

const gainOf = (totals: Float64Array): number => (totals.at(-1) ?? Number.NaN) - (totals[0] ?? Number.NaN);
