/** Types of a detector's answer: verdicts, findings and their evidence. */

import type { Family, Kind } from '../kinds/spec.ts';

export type { ConditionKind, Family, Kind, LeakKind } from '../kinds/spec.ts';
export type Severity = 'warning' | 'critical';

/** One number that an answer is based on. `threshold` is present when it was compared with one, over `windowMs`. */
export interface Evidence {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly threshold?: number;
  readonly windowMs?: number;
}

/** Another kind, and the reason why it is ruled out (in `against`) or holds too (in `also`). */
export interface Because {
  readonly kind: Kind;
  readonly because: string;
}

export interface Finding {
  readonly kind: Kind;
  readonly family: Family;
  readonly severity: Severity;
  /** A registry, `emitter event`, a transport or a memory pool. Part of the fingerprint, so it never changes. */
  readonly subject: string;
  /** A sentence with the most important number. */
  readonly title: string;
  readonly evidence: readonly Evidence[];
  readonly against: readonly Because[];
}

export type Answer = 'ok' | 'warming-up' | 'plateau' | 'allocator-retention' | 'inconclusive' | 'found';

/** The answer of one detector for one window. */
export type Verdict =
  | {
      readonly detector: string;
      readonly answer: Exclude<Answer, 'found'>;
      readonly because: string;
      readonly evidence: readonly Evidence[];
      /** The data that the detector lacks for a decision. */
      readonly missing?: string;
    }
  | {
      readonly detector: string;
      readonly answer: 'found';
      readonly finding: Finding;
      readonly evidence: readonly Evidence[];
    };

/** Predicted time until a memory limit is reached, with its range. `highMs` is null when growth may stop before. */
export interface TimeToLimit {
  readonly ms: number;
  readonly lowMs: number;
  readonly highMs: number | null;
  readonly limit: 'heap' | 'container';
}
