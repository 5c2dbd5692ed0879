/** One story per cause: which finding names it, which only go along with it, and what ruled the others out. */

import { ALL_KINDS, KINDS, rankOf } from '../kinds/index.ts';
import type { Because, Finding, Kind, Verdict } from '../types/index.ts';

/** Detectors whose negative answer rules a kind out. */
const RULED_OUT: ReadonlyMap<string, Kind> = new Map(
  ALL_KINDS.flatMap((kind): [string, Kind][] => {
    const { detector, isRuledOut } = KINDS[kind];
    return isRuledOut && detector !== null ? [[detector, kind]] : [];
  }),
);

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
