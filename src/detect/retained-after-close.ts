/** `retainedAfterClose`: connections that are closed and still in memory after two major GCs. */

import { formatCount, formatDuration, formatShare } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { Verdict } from '../types/index.ts';
import type { CountWindow } from './count-growth.ts';
import { found, insufficientData, noFinding, type Detector, type View } from './detector.ts';
import { HOUR_MS, MINUTE_MS, type History } from './history.ts';
import { reasonToWaitForLimit } from './kept-connections.ts';
import { reasonToWaitForSweep } from './pending-sweeps.ts';
import { reasonToWaitForWork } from './pending-work.ts';
import { mayWaitForTimeouts } from './pending-timeouts.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';

const NAME = 'retained';
const { thresholds, window: detectionWindow } = LEAKS['retained-after-close'];
const MIN_SPAN_MS = 8 * MINUTE_MS;
/** Each half of the major GCs must bring an eighth of the rise, so that a single step is not a finding (example traces). */
const MIN_HALF = 0.125;
/** Without a close for this long the retained connections cannot grow: they wait for the next ones. */
const MAX_IDLE_MS = 15 * MINUTE_MS;

/** A major GC whose finalizers have run. */
type Reading = PostGcHeap & { readonly survivors: number };

export const retainedAfterClose: Detector = {
  name: NAME,
  evaluate(view) {
    const { history, counts } = view;
    // A counted kind may be the cause, so it is reported first or together with this one.
    if (counts.missing !== null) return [insufficientData(NAME, counts.missing)];
    // A history from Prometheus has no number of survivors: it is NaN there.
    const readings = history.postGcHeaps.filter((point): point is Reading =>
      Number.isFinite(point.survivors),
    );
    const fromMs = Math.min(
      history.nowMs - detectionWindow.ms,
      readings.at(-thresholds.majorGcs.value)?.atMs ?? 0,
    );
    const inWindow = readings.filter(({ atMs }) => atMs >= fromMs);
    const [first, last] = [inWindow[0], inWindow.at(-1)];
    const spanMs = (last?.atMs ?? 0) - (first?.atMs ?? 0);
    if (first === undefined || last === undefined || spanMs < MIN_SPAN_MS) return [tooFew(inWindow.length)];
    const verdict = verdictOn(inWindow, { first, last, counts });
    if (verdict.answer !== 'found') return [verdict];
    const { evidence } = verdict;
    const wait = reasonToWait(view, first, last);
    if (wait !== null) {
      const because = `${formatCount(last.survivors)} closed connections are still in memory; ${wait}`;
      return [noFinding(NAME, 'inconclusive', because, { evidence, missing: 'more time' })];
    }
    const idleMs = history.nowMs - lastCloseMs(history);
    if (idleMs < MAX_IDLE_MS) return [verdict];
    const because =
      `${formatCount(last.survivors)} closed connections are still in memory, ` +
      `but no connection has closed for ${formatDuration(idleMs)}`;
    return [noFinding(NAME, 'plateau', because, { evidence })];
  },
};

/** Why the application may still release these connections; null when nothing shows that it will. */
function reasonToWait(view: View, first: Reading, { survivors: retained }: Reading): string | null {
  if (mayWaitForTimeouts(view, retained))
    return 'as many timers that fire once are pending and may release them';
  return (
    reasonToWaitForSweep(view, retained) ??
    reasonToWaitForLimit(view, retained) ??
    reasonToWaitForWork(view, { sinceMs: first.atMs, rise: retained - first.survivors })
  );
}

/** Time of the last close in the window, or the start of the counts. */
function lastCloseMs({ window, startedMs }: History): number {
  const closed = window.column('closedTotal');
  const row = closed.findLastIndex((total, i) => i > 0 && total !== (closed[i - 1] ?? total));
  return window.times()[row] ?? startedMs;
}

interface Ends {
  readonly first: Reading;
  readonly last: Reading;
  readonly counts: CountWindow;
}

function verdictOn(readings: readonly Reading[], { first, last, counts }: Ends): Verdict {
  const windowMs = last.atMs - first.atMs;
  const rise = last.survivors - first.survivors;
  const minRise = counts.minRise(thresholds);
  const isEverythingRetained = retainsEverything(
    first,
    last,
    Math.max(counts.meanConnections, counts.connectionsNow),
  );
  const evidence = [
    { name: 'wsguard_connections_retained', value: last.survivors, unit: 'connections' },
    { name: 'rise_in_window', value: rise, unit: 'connections', threshold: minRise, windowMs },
    { name: 'rise_per_hour', value: (rise / windowMs) * HOUR_MS, unit: 'connections/h' },
    {
      name: 'major_gcs_in_window',
      value: readings.length,
      unit: 'major GCs',
      threshold: thresholds.majorGcs.value,
    },
  ];
  const text = `${last.survivors === 1 ? '1 closed connection is' : `${formatCount(last.survivors)} closed connections are`} still in memory after major GCs`;
  if (!isEverythingRetained) {
    if (readings.length < thresholds.majorGcs.value) return tooFew(readings.length);
    if (rise < minRise) {
      const reason = `the rise is below ${formatCount(Math.ceil(minRise))} in ${formatDuration(windowMs)}`;
      return noFinding(NAME, 'ok', last.survivors === 0 ? text : `${text}; ${reason}`, { evidence });
    }
    const survivors = readings.map((reading) => reading.survivors);
    if (!keepsRising(survivors, rise))
      return noFinding(NAME, 'inconclusive', `${text}, but their number does not grow steadily`, {
        evidence,
      });
  }
  // Only connections that closed early enough count: the latest ones may still be released.
  const share = isEverythingRetained
    ? last.survivors / last.closedBefore
    : rise / (last.closedBefore - first.closedBefore);
  const title = text + shareText(share);
  return found(NAME, { kind: 'retained-after-close', subject: 'closed connections', title, evidence });
}

const shareText = (share: number): string =>
  Number.isFinite(share) && share > 0 ? `, ${formatShare(Math.min(1, share))} of those that closed` : '';

const tooFew = (majorGcs: number): Verdict =>
  insufficientData(
    NAME,
    `${thresholds.majorGcs.value} major GCs over ${formatDuration(MIN_SPAN_MS)}`,
    `Only ${majorGcs} major GCs so far`,
  );

const retainsEverything = (first: Reading, last: Reading, open: number): boolean =>
  first.survivors >= thresholds.allRetained.value * first.closedBefore &&
  last.survivors >= thresholds.allRetained.value * last.closedBefore &&
  last.survivors >= Math.max(thresholds.allPerOpen.value * open, thresholds.allRetainedCount.value);

function keepsRising(survivors: readonly number[], rise: number): boolean {
  const start = survivors[0] ?? 0;
  const steps = survivors.slice(1).map((value, i) => value - (survivors[i] ?? 0));
  const notFalling = steps.filter((step) => step >= 0).length / steps.length;
  const middle = survivors[Math.floor((survivors.length - 1) / 2)] ?? 0;
  const firstHalf = middle - start;
  return (
    notFalling >= thresholds.notFalling.value &&
    firstHalf >= MIN_HALF * rise &&
    rise - firstHalf >= MIN_HALF * rise &&
    Math.min(...survivors.slice(-2)) > start + rise / 2
  );
}
