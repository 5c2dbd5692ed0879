/** One story per cause: which finding names it, which only go along with it, and what ruled the others out. */

import { LEAK_KINDS } from '../types/index.ts';
import type { Because, Finding, Kind, LeakKind, Verdict } from '../types/index.ts';

/** From the most specific kind to the least: who did it, then what it held, then that memory grew. */
const RANK: readonly LeakKind[] = [
  'zombie-connections',
  'listener-accumulation',
  'registry-growth',
  'room-growth',
  'queue-growth',
  'slow-consumer',
  'external-buffers',
  'retained-after-close',
  'native-or-compression',
  'unclosed-growth',
  'heap-growth',
  'divergence',
];
/** Counted directly; the others follow from something that may have been counted. */
const COUNTED: ReadonlySet<Kind> = new Set(RANK.slice(0, 6));
/** What names the kind that ruled itself out, one a detector; conditions rule nothing out. */
const RULED_OUT: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['unanswering', 'zombie-connections'],
  ['listeners', 'listener-accumulation'],
  ['registries', 'registry-growth'],
  ['backlog', 'slow-consumer'],
  ['retained', 'retained-after-close'],
  ['external', 'external-buffers'],
  ['floor', 'heap-growth'],
]);

export const isLeak = (kind: Kind): boolean => (LEAK_KINDS as readonly Kind[]).includes(kind);
export const isCounted = (kind: Kind): boolean => COUNTED.has(kind);

export function rankOf(kind: Kind): number {
  const rank = (RANK as readonly Kind[]).indexOf(kind);
  return rank < 0 ? RANK.length : rank;
}

export const findingsOf = (verdicts: readonly Verdict[]): Finding[] =>
  verdicts
    .flatMap((verdict) => (verdict.answer === 'found' ? [verdict.finding] : []))
    .toSorted((a, b) => rankOf(a.kind) - rankOf(b.kind));

export const asBecause = ({ kind, title }: Finding): Because => ({ kind, because: title });

/** What the detectors of leaks counted and did not find growing; each finding leaves its own kind out. */
export const ruledOut = (verdicts: readonly Verdict[]): Because[] =>
  verdicts.flatMap((verdict) => {
    const kind = RULED_OUT.get(verdict.detector);
    if (kind === undefined || verdict.answer === 'found' || verdict.answer === 'warming-up') return [];
    // What could not be looked at rules nothing out.
    if (verdict.answer === 'inconclusive' && verdict.missing !== undefined) return [];
    return [{ kind, because: verdict.because }];
  });
