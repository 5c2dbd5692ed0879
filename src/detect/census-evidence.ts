/**
 * `applyCensus`: what the censuses of containers add to the verdicts. They find leaks of their own, and a finding that
 * rests on memory alone waits for them: it stands only when a container grows too, when a limit is near, or when no census
 * can be taken. Pure.
 */

import { formatCount, formatDuration, formatShortSpot, formatValue } from '../core/format.ts';
import { CONDITIONS, CRITICAL_TIME_TO_LIMIT, MEMORY_KINDS } from '../kinds/index.ts';
import type { Evidence, Kind, Verdict } from '../types/index.ts';
import { cacheOfBuffers, growthOfBuffers, isBuffersFinding } from './buffer-growth.ts';
import type { ContainerGrowth } from './container-growth.ts';
import { found, noFinding } from './detector.ts';
import { HOUR_MS, MINUTE_MS } from './history.ts';

const NAME = 'containers';
/** Chosen: two censuses take 20 to 40 min; a finding does not wait for longer. */
const MAX_WAIT_MS = 60 * MINUTE_MS;

/** The state of the audits. All times are scaled uptime. */
export interface CensusEvidence {
  /** Why no census can be taken; null when one can. */
  readonly unavailable: string | null;
  readonly growths: readonly ContainerGrowth[];
  readonly censuses: number;
  /** Between the last two censuses; null with fewer. */
  readonly pair: { readonly fromMs: number; readonly toMs: number; readonly showsNothing: boolean } | null;
  /** Null when none is scheduled. */
  readonly nextMs: number | null;
}

export interface Situation {
  readonly nowMs: number;
  /** Since when a finding rests on memory alone; null when none does. */
  readonly memoryFoundSinceMs: number | null;
  /** Since when the memory of Buffers is found to grow; null when it is not. */
  readonly buffersFoundSinceMs: number | null;
  readonly timeToLimitMs: number | null;
}

export const isMemoryFinding = (verdict: Verdict): boolean =>
  verdict.answer === 'found' && MEMORY_KINDS.has(verdict.finding.kind);

/** `evidence` is null where nothing takes censuses: in recordings and in `MemoryMonitor`. */
export function applyCensus(
  verdicts: readonly Verdict[],
  evidence: CensusEvidence | null,
  situation: Situation,
): Verdict[] {
  if (evidence === null) return [...verdicts];
  const containers = containerVerdict(evidence);
  const judged = verdicts.map((verdict) =>
    containers.answer === 'found'
      ? verdict
      : judgeMemory(judgeBuffers(verdict, evidence, situation), evidence, situation),
  );
  return [containers, ...judged];
}

/** The sentence with which an alert about memory alone is closed; null while the censuses do not contradict it. */
export const contradiction = ({ pair }: CensusEvidence): string | null =>
  pair?.showsNothing === true
    ? `two censuses of containers, ${formatDuration(pair.toMs - pair.fromMs)} apart, show nothing that grows`
    : null;

function judgeMemory(verdict: Verdict, evidence: CensusEvidence, situation: Situation): Verdict {
  if (verdict.answer !== 'found' || !isMemoryFinding(verdict)) return verdict;
  const { finding } = verdict;
  const { nowMs, memoryFoundSinceMs, timeToLimitMs } = situation;
  const noted = (note: string): Verdict => ({
    ...verdict,
    finding: { ...finding, title: `${finding.title}; ${note}` },
  });
  const { unavailable, pair } = evidence;
  if (unavailable !== null)
    return noted(`memory alone shows it, because no census is possible: ${unavailable}`);
  if (timeToLimitMs !== null && timeToLimitMs < CRITICAL_TIME_TO_LIMIT.value)
    return noted('memory alone shows it: the limit is too near to wait for a census');
  const sinceMs = memoryFoundSinceMs ?? nowMs;
  const because = contradiction(evidence);
  // A pair from before the growth says nothing about it.
  if (because !== null && pair !== null && pair.toMs > sinceMs)
    return noFinding(verdict.detector, 'inconclusive', `${finding.title}, but ${because}`, verdict);
  if (nowMs - sinceMs >= MAX_WAIT_MS) return noted('memory alone shows it: the censuses do not decide');
  return noFinding(verdict.detector, 'inconclusive', `${finding.title}; a census of containers decides`, {
    ...verdict,
    missing: 'a census of containers',
  });
}

/** Two censuses show growth, and where the code removes entries. */
const MIN_CENSUSES = 2;

/** A cache that fills grows like a leak of Buffers. A census shows whether one has the growth. */
function judgeBuffers(verdict: Verdict, evidence: CensusEvidence, situation: Situation): Verdict {
  if (verdict.answer !== 'found' || !isBuffersFinding(verdict)) return verdict;
  const { unavailable, censuses, growths } = evidence;
  const { nowMs, buffersFoundSinceMs, timeToLimitMs } = situation;
  const isNear = timeToLimitMs !== null && timeToLimitMs < CONDITIONS.exhaustion.thresholds.timeToLimit.value;
  if (isNear || unavailable !== null) return verdict;
  const { title } = verdict.finding;
  const heldMs = nowMs - (buffersFoundSinceMs ?? nowMs);
  if (censuses >= MIN_CENSUSES) {
    const bytesPerHour = growthOfBuffers([verdict]) ?? Number.NaN;
    const cache = cacheOfBuffers(growths, { bytesPerHour, heldMs, timeToLimitMs });
    if (cache === null) return verdict;
    const because = `${title}, but ${sentence(cache)}: ${cache.because}`;
    return noFinding(verdict.detector, 'inconclusive', because, verdict);
  }
  if (heldMs >= MAX_WAIT_MS) return verdict;
  return noFinding(verdict.detector, 'inconclusive', `${title}; a census of containers decides`, {
    ...verdict,
    missing: 'a census of containers',
  });
}

function containerVerdict({ unavailable, growths, censuses, nextMs }: CensusEvidence): Verdict {
  if (unavailable !== null && censuses === 0)
    return noFinding(NAME, 'warming-up', `No census of containers: ${unavailable}`, {
      missing: 'a census of containers',
    });
  if (censuses < 2)
    return noFinding(
      NAME,
      'warming-up',
      `${formatValue(censuses, 'censuses')} of containers, two are needed`,
      {
        missing: 'a second census of containers',
      },
    );
  const [first] = growths;
  const next = nextMs === null ? '' : `; next look ${formatDuration(nextMs)} after the start`;
  if (first?.answer === 'found') return foundContainer(first, censuses);
  if (first?.answer !== 'inconclusive')
    return noFinding(NAME, 'ok', `No container grows unexpectedly${next}`);
  return noFinding(NAME, 'inconclusive', `may be filling: ${sentence(first)}, but ${first.because}${next}`, {
    evidence: evidenceOf(first, censuses),
  });
}

function foundContainer(growth: ContainerGrowth, censuses: number): Verdict {
  return found(NAME, {
    kind: kindOf(growth),
    subject: growth.row.name,
    title: `${sentence(growth)}: ${growth.because}`,
    evidence: evidenceOf(growth, censuses),
  });
}

/** `sessions (server.js:25) gained 466 entries in 80 min, 0.25 for each closed connection` */
function sentence({ row, gained, perClosed, perHour }: ContainerGrowth): string {
  const place = row.location === null ? '' : ` (${formatShortSpot(row.location)})`;
  const rate = perClosed === null ? '' : `, ${perClosed.toFixed(2)} for each closed connection`;
  const duration = formatDuration((gained / perHour) * HOUR_MS);
  const count = formatCount(Math.round(gained));
  return row.type === 'Connections'
    ? `${formatCount(row.entries)} closed connections are still in memory${place}, ${count} more than ${duration} earlier${rate}`
    : `${row.name}${place} gained ${count} entries in ${duration}${rate}`;
}

/** An emitter has an object with an entry for each event name: listeners of `completed:<id>` make it grow. */
const isListenersByEvent = ({ type, name }: ContainerGrowth['row']): boolean =>
  type === 'Object' && /(?:^|\.)_events$/.test(name);

/** The kind that the application's author would look for. */
export function kindOf({ row, perClosed }: ContainerGrowth): Kind {
  if (row.type === 'Connections') return 'retained-after-close';
  if (row.type === 'Listeners' || isListenersByEvent(row)) return 'listener-accumulation';
  if (row.type === 'Timers' || row.type === 'Handles') return 'resource-growth';
  const isQueue = perClosed === null && (row.type === 'Array' || row.type === 'List');
  return isQueue ? 'queue-growth' : 'registry-growth';
}

const evidenceOf = ({ row, gained, perClosed, perHour }: ContainerGrowth, censuses: number): Evidence[] => [
  { name: 'container_entries', value: row.entries, unit: 'entries' },
  { name: 'gained_entries', value: Math.round(gained), unit: 'entries' },
  { name: 'entries_per_hour', value: Math.round(perHour), unit: '1/h' },
  ...(perClosed === null ? [] : [{ name: 'leaked_per_closed_connection', value: perClosed, unit: '1' }]),
  { name: 'sampled_entries_of_closed_connections', value: row.closed, unit: 'entries' },
  { name: 'censuses', value: censuses, unit: 'censuses' },
];
