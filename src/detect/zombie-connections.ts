/** `zombieConnections`: connections that do not reply to pings, and whose number grows. */

import { formatCount } from '../core/format.ts';
import { LEAKS } from '../kinds/index.ts';
import type { ConnectionsReading, Evidence, Sample, Verdict } from '../types/index.ts';
import { SIXTHS } from './count-shape.ts';
import { halfHeartbeatText, noGrowth } from './count-text.ts';
import { found, insufficientData, noFinding, type Detector, type View } from './detector.ts';
import { MINUTE_MS, type History } from './history.ts';
import { slowLoss, type Loss } from './lost-peers.ts';
import { coversAllConnections, unprobedConnections } from './sample-row.ts';
import { median, withoutMissing } from './statistics.ts';

const NAME = 'unanswering';
const { thresholds } = LEAKS['zombie-connections'];
const BUSY_WINDOW_MS = 5 * MINUTE_MS;

export const zombieConnections: Detector = {
  name: NAME,
  evaluate(view) {
    const { counts, history } = view;
    if (counts.missing !== null) return [insufficientData(NAME, counts.missing)];
    const connections = history.last?.connections;
    if (counts.connectionsNow <= (connections?.unaskable ?? 0))
      return [
        noFinding(NAME, 'inconclusive', 'No open connection can be probed', {
          missing: 'connections that can be probed',
        }),
      ];
    if (connections !== undefined && !coversAllConnections(connections)) return [onSample(connections)];
    const minRise = Math.max(counts.minRise(thresholds), thresholds.openShare.value * counts.connectionsNow);
    const growth = counts.growthOf('unresponsive', { minRise, perConnection: false });
    if (growth === null) {
      const because = 'Too few samples have ping results';
      return [noFinding(NAME, 'inconclusive', because, { missing: 'samples with ping results' })];
    }
    const loss = growth.answer === 'found' ? null : slowLoss(history.longTerm, minRise);
    const rise = { ...(loss ?? growth), now: growth.now, minRise };
    const evidence = evidenceOf(view, rise);
    const title = titleOf(view, growth.now);
    if (growth.answer !== 'found' && loss === null) {
      const minText = `${formatCount(Math.ceil(minRise))} connections`;
      return [noGrowth(NAME, growth, title, { evidence, minText })];
    }
    const doubt = doubtOf(view, rise, loss);
    if (doubt !== null) return [noFinding(NAME, 'inconclusive', `${title}, ${doubt}`, { evidence })];
    return [found(NAME, { kind: 'zombie-connections', subject: 'websocket', title, evidence })];
  },
};

interface Rise {
  /** Without the peers that are asleep. */
  readonly now: number;
  readonly rise: number;
  readonly windowMs: number;
  readonly minRise: number;
}

function evidenceOf({ history, counts }: View, { now, rise, windowMs, minRise }: Rise): Evidence[] {
  const asleep = history.last?.connections.asleep ?? 0;
  return [
    {
      name: 'wsguard_connections_unanswering',
      value: now + asleep,
      unit: 'connections',
      threshold: Math.round(minRise),
      windowMs,
    },
    ...(asleep > 0 ? [{ name: 'asleep_as_before', value: asleep, unit: 'connections' } as const] : []),
    { name: 'rise_in_window', value: rise, unit: 'connections', windowMs },
    { name: 'ws_connections_active', value: counts.connectionsNow, unit: 'connections' },
  ];
}

function titleOf({ history, counts }: View, now: number): string {
  const { asleep = 0, suspicionProbes } = history.last?.connections ?? {};
  const [all, open] = [now + asleep, counts.connectionsNow].map((count) => formatCount(count));
  const longer = asleep > 0 ? `, ${formatCount(now)} for longer than ever before` : '';
  return `${all} of ${open} connections do not reply to pings${longer}${halfHeartbeatText(suspicionProbes)}`;
}

/** A peer that has frozen never replies again. The share is one of the peers that do not reply now. */
const MIN_AWAKE_SHARE = 0.5;

/** Says what else explains the rise; null for zombies. */
function doubtOf(view: View, { now, minRise }: Rise, loss: Loss | null): string | null {
  const { history, counts } = view;
  const doubt =
    loss === null
      ? (wakingDoubt(view, now) ?? levelDoubt(history, { rows: history, fromRow: counts.fromRow, minRise }))
      : levelDoubt(history, { ...loss, minRise });
  if (doubt !== null) return doubt;
  return isBusy(view) ? 'but the event loop of the server is too slow to read replies in time' : null;
}

/** Says why the peers may wake up; null where they do not. */
function wakingDoubt({ history, counts }: View, now: number): string | null {
  const awake = repliedAgain(history, counts.fromRow);
  return awake >= MIN_AWAKE_SHARE * now
    ? `but ${formatCount(awake)} or more replied again in the meantime, so they may sleep`
    : null;
}

/** Says why the rise is nothing new; null where it is. */
function levelDoubt(
  history: History,
  { rows: { window }, fromRow, minRise }: Pick<Loss, 'rows' | 'fromRow'> & Pick<Rise, 'minRise'>,
): string | null {
  const unresponsive = levels(window.column('unresponsive', fromRow));
  const responsive = levels(window.column('responsive', fromRow));
  // A part of the peers sleeps, and more do where there are more.
  const asBefore = unresponsive.first * Math.max(1, responsive.last / Math.max(1, responsive.first));
  if (unresponsive.last - asBefore < minRise)
    return 'but their share of all connections is the same as before';
  return unresponsive.last - highestBefore(history, window.times()[fromRow] ?? 0) < minRise
    ? 'but as many did not reply earlier, and those then replied again or were disconnected'
    : null;
}

/**
 * Peers that replied again in the window. Where the samples do not count them, their least number: the number of unresponsive ones
 * falls from one row to the next by more than the connections that closed.
 */
function repliedAgain({ window }: History, fromRow: number): number {
  const awoken = window.column('awokenTotal', fromRow);
  const counted = (awoken.at(-1) ?? Number.NaN) - (awoken[0] ?? Number.NaN);
  if (!Number.isNaN(counted)) return counted;
  const unresponsive = window.column('unresponsive', fromRow);
  const closedTotal = window.column('closedTotal', fromRow);
  let sum = 0;
  for (let row = 1; row < unresponsive.length; row += 1) {
    const fewer = (unresponsive[row - 1] ?? 0) - (unresponsive[row] ?? 0);
    const closed = (closedTotal[row] ?? 0) - (closedTotal[row - 1] ?? 0);
    // A comparison with a missing value is false.
    if (fewer > closed) sum += fewer - closed;
  }
  return sum;
}

/** The medians of the first and the last sixth. */
function levels(values: Float64Array): { readonly first: number; readonly last: number } {
  const part = Math.max(1, Math.floor(values.length / SIXTHS));
  return { first: level(values.subarray(0, part)), last: level(values.subarray(-part)) };
}

function level(values: Float64Array): number {
  const valid = withoutMissing(values);
  return valid.length === 0 ? 0 : median(valid);
}

/** The highest number in the hours before that time. */
function highestBefore({ longTerm }: History, beforeMs: number): number {
  if (longTerm === null) return 0;
  const rows = longTerm.window.rowAt(beforeMs);
  return withoutMissing(longTerm.window.column('unresponsive').subarray(0, rows)).reduce(
    (high, value) => Math.max(high, value),
    0,
  );
}

/** Only a sample of the connections was pinged, so their number says nothing about growth. */
function onSample(connections: ConnectionsReading): Verdict {
  const { probed, unanswering } = connections.suspicionProbes ?? { probed: 0, unanswering: 0 };
  const unprobed = formatCount(unprobedConnections(connections));
  const because =
    probed === 0
      ? `${unprobed} silent connections are pinged only when something else looks like a leak`
      : `${formatCount(unanswering)} of a sample of ${formatCount(probed)} silent connections do not reply to pings`;
  return noFinding(NAME, 'inconclusive', because, { missing: `pings of ${unprobed} more connections` });
}

/** Whether so many of a sample do not reply that all connections must be pinged to know their number. */
export function sampleNeedsAll({ connections }: Sample): boolean {
  const probes = connections.suspicionProbes;
  if (probes === undefined || coversAllConnections(connections)) return false;
  const { probed, unanswering } = probes;
  return (
    unanswering >= thresholds.rise.value && unanswering >= thresholds.openShare.value * Math.max(1, probed)
  );
}

function isBusy({ history: { window, nowMs } }: View): boolean {
  const delays = withoutMissing(window.column('loopP99Ms', window.rowAt(nowMs - BUSY_WINDOW_MS)));
  return delays.length > 0 && median(delays) > thresholds.busyLoop.value;
}
