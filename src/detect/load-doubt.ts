/**
 * `loadDoubt`: Buffers of messages under way, of a window of frames or of the last visitors are as many as the load brings. While
 * the load rises in a line they grow like a leak. A leak grows on while the load is level, and more than a rising load does.
 */

import { SIXTHS } from './count-shape.ts';
import { MINUTE_MS, type CountHistory, type History } from './history.ts';
import type { Doubt } from './pool-doubt.ts';
import type { FixedColumn } from './sample-row.ts';
import { hasMissing, median } from './statistics.ts';

/** Totals whose pace is a load, and the unit of that pace in a sentence. */
const LOADS = [
  ['messagesTotal', 'messages a second'],
  ['receivedBytesTotal', 'bytes a second from the peers'],
  ['openedTotal', 'opened connections a second'],
] as const satisfies readonly (readonly [FixedColumn, string])[];
/** Part of the rise that the load must explain. */
const MIN_EXPLAINED = 0.75;
/** Fewer in a sixth of the time are a pace by chance. */
const MIN_UNITS = 30;
/** The rules of Buffers look at half an hour first. */
const WINDOW_MS = 30 * MINUTE_MS;

/** Null where no load explains the growth of Buffers, in the last half hour and in the hours that the samples reach back. */
export function loadDoubt(history: History): Doubt | null {
  const spans: Span[] = [{ counts: history, fromMs: history.nowMs - WINDOW_MS }];
  if (history.longTerm !== null) spans.push({ counts: history.longTerm, fromMs: history.startedMs });
  const load = LOADS.find(([column]) => spans.every((span) => explains(span, column)));
  return load === undefined
    ? null
    : { because: `but the ${load[1]} rose as much`, missing: 'load that stays level or falls' };
}

interface Span {
  readonly counts: CountHistory;
  readonly fromMs: number;
}

/**
 * A pool that follows the load is a constant, which is not negative, and a number of bytes for each unit of the load. So it grows
 * by no larger share than the load.
 */
function explains({ counts: { window }, fromMs }: Span, column: FixedColumn): boolean {
  const fromRow = window.rowAt(fromMs);
  const times = window.times(fromRow);
  const totals = window.column(column, fromRow);
  const bytes = window.column('externalBytes', fromRow);
  const part = Math.floor(times.length / SIXTHS);
  if (part < 2 || hasMissing(totals) || hasMissing(bytes)) return false;
  const gainIn = (values: Float64Array, from: number): number =>
    (values[from + part - 1] ?? 0) - (values[from] ?? 0);
  const late = times.length - part;
  const unitsBefore = gainIn(totals, 0);
  if (unitsBefore < MIN_UNITS) return false;
  const growth = (gainIn(totals, late) * gainIn(times, 0)) / (unitsBefore * gainIn(times, late)) - 1;
  const before = median(bytes.subarray(0, part));
  return before * growth >= MIN_EXPLAINED * (median(bytes.subarray(late)) - before);
}
