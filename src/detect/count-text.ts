/** Evidence and title of a count that grows. */

import { formatCount } from '../core/format.ts';
import type { Evidence } from '../types/index.ts';
import type { CountWindow, Growth } from './count-growth.ts';

interface EvidenceDetails {
  readonly minRise: number;
  /** The noun that is counted. */
  readonly unit: string;
}

export function growthEvidence(
  metric: string,
  { now, rise, windowMs, perHour, perClosed }: Growth,
  { minRise, unit }: EvidenceDetails,
): Evidence[] {
  const evidence: Evidence[] = [
    { name: metric, value: now, unit },
    { name: 'rise_in_window', value: rise, unit, threshold: minRise, windowMs },
    { name: 'rise_per_hour', value: perHour, unit: `${unit}/h` },
  ];
  if (perClosed !== null) evidence.push({ name: 'leaked_per_closed_connection', value: perClosed, unit });
  return evidence;
}

/** Outside this range few of the closed connections leak, or each leaks many entries: a rate per hour says more. */
const USUAL_PER_CLOSED = { min: 0.05, max: 20 } as const;

/** Completes a title: `for 240 connections, 0.90 leaked per closed connection`, or `, 92,000 more per hour`. */
export function withLeakRate(text: string, { perClosed, perHour }: Growth, counts: CountWindow): string {
  const connections =
    counts.connectionsNow > 0 ? ` for ${formatCount(counts.connectionsNow)} connections` : '';
  const isUsual =
    perClosed !== null && perClosed >= USUAL_PER_CLOSED.min && perClosed <= USUAL_PER_CLOSED.max;
  return isUsual
    ? `${text}${connections}, ${perClosed.toFixed(2)} leaked per closed connection`
    : `${text}${connections}, ${formatCount(perHour)} more per hour`;
}
