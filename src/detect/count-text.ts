/** Evidence and title of a count that grows. */

import { formatCount, formatDuration, formatValue } from '../core/format.ts';
import type { Evidence, SuspicionProbes, Verdict } from '../types/index.ts';
import { isCausedByClosing } from './connection-changes.ts';
import type { CountWindow, Growth } from './count-growth.ts';
import { noFinding } from './detector.ts';

/** The two rates are stated when they are certain to a twentieth of an entry. */
export const MAX_RATES_ERROR = 0.05;

interface EvidenceDetails {
  readonly minRise: number;
  /** The noun that is counted. */
  readonly unit: string;
}

export function growthEvidence(
  metric: string,
  { now, rise, windowMs, perHour, perClosed, changes }: Growth,
  { minRise, unit }: EvidenceDetails,
): Evidence[] {
  const evidence: Evidence[] = [
    { name: metric, value: now, unit },
    { name: 'rise_in_window', value: rise, unit, threshold: minRise, windowMs },
    { name: 'rise_per_hour', value: perHour, unit: `${unit}/h` },
  ];
  if (perClosed !== null) evidence.push({ name: 'leaked_per_closed_connection', value: perClosed, unit });
  if (changes === null) return evidence;
  evidence.push({ name: 'leaked_in_window', value: changes.leaked, unit, windowMs });
  if (changes.ratesError <= MAX_RATES_ERROR)
    evidence.push(
      { name: 'added_per_opened', value: changes.addedPerOpened, unit },
      { name: 'removed_per_closed', value: changes.removedPerClosed, unit },
    );
  return evidence;
}

/** Outside this range few of the closed connections leak, or each leaks many entries: a rate per hour says more. */
const USUAL_PER_CLOSED = { min: 0.05, max: 20 } as const;

/**
 * Completes a title: `for 240 connections, 0.90 leaked per closed connection`, or `, 92,000 more per hour`. `noun` names
 * the entries once more where the title does not make clear what a connection adds.
 */
export function withLeakRate(
  text: string,
  { perClosed, perHour, changes }: Growth,
  counts: CountWindow,
  noun = '',
): string {
  const connections =
    counts.connectionsNow > 0 ? ` for ${formatValue(counts.connectionsNow, 'connections')}` : '';
  const isUsual =
    perClosed !== null && perClosed >= USUAL_PER_CLOSED.min && perClosed <= USUAL_PER_CLOSED.max;
  if (!isUsual) return `${text}${connections}, ${formatCount(perHour)} more per hour`;
  const entries = noun === '' ? '' : ` ${noun}`;
  return changes !== null && changes.ratesError <= MAX_RATES_ERROR && isCausedByClosing(changes)
    ? `${text}${connections}: each opened connection adds ${rateText(changes.addedPerOpened)}${entries}, each closed one ${closedText(changes.removedPerClosed)}`
    : `${text}${connections}, ${rateText(perClosed)} leaked per closed connection`;
}

/** Two decimals, and no minus sign before a zero. */
const rateText = (rate: number): string => Math.max(0, rate).toFixed(2);

/** Something that starts with the close, such as the end of a session, adds an entry then. */
const closedText = (removedPerClosed: number): string =>
  removedPerClosed <= -MAX_RATES_ERROR
    ? `adds ${rateText(-removedPerClosed)}`
    : `removes ${rateText(removedPerClosed)}`;

/** Why a rise below the minimum, or one that does not go on, is no finding. `minText` is the minimum with its unit. */
function noGrowthReason({ answer, uncertainty, windowMs }: Growth, minText: string): string {
  if (uncertainty !== null) return uncertainty.because;
  return answer === 'plateau'
    ? 'the rise came in one step, or it has stopped'
    : `the rise is below ${minText} in ${formatDuration(windowMs)}`;
}

/** The verdict on a count that is no finding; an uncertain one says what makes it so and what would decide. */
export const noGrowth = (
  detector: string,
  growth: Growth,
  title: string,
  { evidence, minText }: { readonly evidence: readonly Evidence[]; readonly minText: string },
): Verdict =>
  noFinding(
    detector,
    growth.answer === 'found' ? 'inconclusive' : growth.answer,
    // A count of zero needs no reason.
    growth.answer === 'ok' && growth.now === 0 ? title : `${title}; ${noGrowthReason(growth, minText)}`,
    {
      evidence,
      ...(growth.uncertainty === null ? {} : { missing: growth.uncertainty.missing }),
    },
  );

/** This sentence is the fix, so the title has it where it is true of most of the unresponsive connections. */
export function halfHeartbeatText(probes: SuspicionProbes | undefined): string {
  if (probes === undefined || probes.halfHeartbeat === 0) return '';
  return 2 * probes.halfHeartbeat >= probes.unanswering
    ? ': your server listens for pongs and never sends a ping'
    : '';
}
