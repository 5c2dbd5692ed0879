/** `KINDS`: one record for each kind of alert. Everything that asks about a kind reads it here. */

import { CONDITIONS } from './conditions.ts';
import { COUNTED_LEAKS } from './counted-leaks.ts';
import { DERIVED_LEAKS } from './derived-leaks.ts';
import {
  type Advice,
  type Steps,
  LEAKS_BY_RANK,
  type ConditionKind,
  type Family,
  type Kind,
  type KindSpec,
  type LeakKind,
  type LeakSpec,
} from './spec.ts';

export { CONDITIONS } from './conditions.ts';
export { DERIVED_LEAKS } from './derived-leaks.ts';
export {
  COUNTS_MIN_SPAN_MS,
  COUNTS_LONG_WINDOW_MS,
  COUNTS_SLOW_WINDOW_MS,
  COUNTS_TREND,
  GROWTH_OUTSIDE_HEAP,
  COUNTS_WARM_UP_MS,
  COUNTS_WINDOW_MS,
  CRITICAL_TIME_TO_LIMIT,
  LEAKED_PER_CLOSED,
} from './shared.ts';
export type * from './spec.ts';

export const LEAKS = { ...COUNTED_LEAKS, ...DERIVED_LEAKS } as const;

export const KINDS: Readonly<Record<Kind, KindSpec & { readonly docs: string }>> = {
  ...LEAKS,
  ...CONDITIONS,
};

export const LEAK_KINDS = Object.keys(LEAKS) as readonly LeakKind[];
/** Leaks that rest on memory alone: they name no object, and whatever is counted explains them. */
export const MEMORY_KINDS: ReadonlySet<Kind> = new Set(
  LEAK_KINDS.filter((kind) => LEAKS[kind].isMemoryAlone),
);
const CONDITION_KINDS = Object.keys(CONDITIONS) as readonly ConditionKind[];
export const ALL_KINDS: readonly Kind[] = [...LEAK_KINDS, ...CONDITION_KINDS];

export const isKind = (value: unknown): value is Kind =>
  typeof value === 'string' && Object.hasOwn(KINDS, value);
export const isLeakKind = (kind: Kind): kind is LeakKind => KINDS[kind].family === 'leak';
export const familyOf = (kind: Kind): Family => KINDS[kind].family;

/** Leak kinds before conditions, the most specific first (0). All conditions have the same rank. */
export const rankOf = (kind: Kind): number =>
  isLeakKind(kind) ? LEAKS_BY_RANK.indexOf(kind) : LEAKS_BY_RANK.length;

/** Whether an alert of this kind may start captures of evidence: all leaks, and the conditions that say so. */
export const capturesEvidence = (kind: Kind): boolean => {
  const spec: KindSpec = KINDS[kind];
  return spec.family === 'leak' || spec.capturesEvidence;
};

export const countsConnections = (kind: Kind): boolean => isLeakKind(kind) && LEAKS[kind].countsConnections;

/** Null where the running process does not show the line that adds what grows: only the heap or a profile has it. */
export const showsLineOf = (kind: Kind): LeakSpec['showsLineOf'] =>
  isLeakKind(kind) ? LEAKS[kind].showsLineOf : null;

/** The steps for an alert. They send nobody to a snapshot that was refused. */
export function adviceOf({ kind, snapshots }: AdviceInput): Steps {
  const { withoutSnapshot, ...advice }: Advice = KINDS[kind].advice;
  const hasNone = snapshots.length > 0 && snapshots.every(({ outcome }) => outcome !== 'written');
  return hasNone ? (withoutSnapshot ?? advice) : advice;
}

interface AdviceInput {
  readonly kind: Kind;
  readonly snapshots: readonly { readonly outcome: 'written' | 'refused' | 'failed' }[];
}

/** `advice` of an alert. */
export function adviceText(alert: AdviceInput): string {
  const { now, fix } = adviceOf(alert);
  return `${now} Then: ${fix}`;
}
