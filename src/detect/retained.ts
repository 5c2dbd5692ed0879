/** Connections that are closed and still alive after two major collections. */

import type { Verdict } from '../types/index.ts';
import type { Counts } from './growth.ts';
import { minRise, stillWarming } from './registries.ts';
import { found, quiet, type Detector } from './detector.ts';
import { HOUR_MS, MINUTE_MS, type FloorPoint, type History } from './history.ts';
import { formatCount, formatDuration, formatShare } from '../core/format.ts';

const NAME = 'retained';
const WINDOW_MS = 60 * MINUTE_MS;
const MIN_COLLECTIONS = 4;
const MIN_SPAN_MS = 8 * MINUTE_MS;
/** Of the steps from collection to collection, how many must not fall. */
const MIN_NOT_FALLING = 0.7;
/** Of the rise, what each half of them must bring. */
const MIN_HALF = 0.125;
/** All that ever closed, and many times what is open: no pool and no history of the last sessions is that. */
const ALL = { share: 0.9, perOpen: 2, atLeast: 100 } as const;

/** What is held no longer grows while nothing closes: it waits for the next connections to be judged. */
const IDLE_MS = 15 * MINUTE_MS;

type Settled = FloorPoint & { readonly survivors: number };

export const retained: Detector = {
  name: NAME,
  look({ history, counts }) {
    // What holds them may be counted: it is told first, or with it.
    if (counts.missing !== null) return [stillWarming(NAME, counts)];
    // A history from Prometheus has no count of survivors: NaN.
    const settled = history.floors.filter((floor): floor is Settled => Number.isFinite(floor.survivors));
    // Where majors are rare a window of time holds none; then the last few collections are the window.
    const from = Math.min(history.nowMs - WINDOW_MS, settled.at(-MIN_COLLECTIONS)?.atMs ?? 0);
    const inWindow = settled.filter(({ atMs }) => atMs >= from);
    const [first, last] = [inWindow[0], inWindow.at(-1)];
    const spanMs = (last?.atMs ?? 0) - (first?.atMs ?? 0);
    if (first === undefined || last === undefined || spanMs < MIN_SPAN_MS) return [tooEarly(inWindow.length)];
    const verdict = judge(inWindow, { first, last, counts });
    const idleMs = history.nowMs - lastCloseMs(history);
    if (verdict.answer !== 'found' || idleMs < IDLE_MS) return [verdict];
    const said = `${formatCount(last.survivors)} closed connections are still held, but none has closed for ${formatDuration(idleMs)}`;
    return [quiet(NAME, 'plateau', said, { evidence: verdict.evidence })];
  },
};

/** When the count of closed connections last moved, as far as the window tells. */
function lastCloseMs({ window, startedMs }: History): number {
  const closed = window.column('closedTotal');
  const times = window.times();
  const row = closed.findLastIndex((total, i) => i > 0 && total !== (closed[i - 1] ?? total));
  return times[row] ?? startedMs;
}

interface Ends {
  readonly first: Settled;
  readonly last: Settled;
  readonly counts: Counts;
}

function judge(inWindow: readonly Settled[], { first, last, counts }: Ends): Verdict {
  const windowMs = last.atMs - first.atMs;
  const rise = last.survivors - first.survivors;
  // Of those that closed early enough to be among the survivors: the newest ones may still be let go.
  const closed = last.closedBefore - first.closedBefore;
  const least = minRise(counts);
  const isAll = heldAll(first, last, Math.max(counts.meanConnections, counts.connectionsNow));
  const evidence = [
    { name: 'wsguard_connections_retained', value: last.survivors, unit: 'connections' },
    { name: 'risen_in_window', value: rise, unit: 'connections', threshold: least, windowMs },
    { name: 'rise_per_hour', value: (rise / windowMs) * HOUR_MS, unit: 'connections/h' },
    { name: 'major_collections', value: inWindow.length, unit: 'collections', threshold: MIN_COLLECTIONS },
  ];
  const said = `${formatCount(last.survivors)} closed connections outlived major collections`;
  if (!isAll) {
    if (inWindow.length < MIN_COLLECTIONS) return tooEarly(inWindow.length);
    if (rise < least) return quiet(NAME, 'ok', said, { evidence });
    const held = inWindow.map(({ survivors }) => survivors);
    if (!keepsRising(held, rise))
      return quiet(NAME, 'inconclusive', `${said}, not steadily more`, { evidence });
  }
  const title = said + sayShareOfClosed(isAll ? last.survivors / last.closedBefore : rise / closed);
  return found(NAME, { kind: 'retained-after-close', subject: 'closed connections', title, evidence });
}

const sayShareOfClosed = (share: number): string =>
  Number.isFinite(share) && share > 0 ? `, ${formatShare(Math.min(1, share))} of those that close` : '';

const tooEarly = (collections: number): Verdict =>
  quiet(NAME, 'warming-up', `${collections} major collections seen so far`, {
    missing: `${MIN_COLLECTIONS} major collections over ${MIN_SPAN_MS / MINUTE_MS} min`,
  });

const heldAll = (first: Settled, last: Settled, open: number): boolean =>
  first.survivors >= ALL.share * first.closedBefore &&
  last.survivors >= ALL.share * last.closedBefore &&
  last.survivors >= Math.max(ALL.perOpen * open, ALL.atLeast);

function keepsRising(held: readonly number[], rise: number): boolean {
  const steps = held.slice(1).map((value, i) => value - (held[i] ?? 0));
  const notFalling = steps.filter((step) => step >= 0).length / steps.length;
  const middle = held[Math.floor((held.length - 1) / 2)] ?? 0;
  const firstHalf = middle - (held[0] ?? 0);
  const lowestLately = Math.min(...held.slice(-2));
  return (
    notFalling >= MIN_NOT_FALLING &&
    firstHalf >= MIN_HALF * rise &&
    rise - firstHalf >= MIN_HALF * rise &&
    lowestLately > (held[0] ?? 0) + rise / 2
  );
}
