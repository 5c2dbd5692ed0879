/** `Verdict`: what a detector says of a window. */

import type { Family, Kind } from '../kinds/spec.ts';

export type { ConditionKind, Family, Kind, LeakKind } from '../kinds/spec.ts';
export type Severity = 'warning' | 'critical';

/** One number behind an answer. `threshold` and `windowMs` where the number is compared with one over one. */
export interface Evidence {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly threshold?: number;
  readonly windowMs?: number;
}

/** Another kind, and the number that ruled it out (`against`) or that it shares (`also`). */
export interface Because {
  readonly kind: Kind;
  readonly because: string;
}

export interface Finding {
  readonly kind: Kind;
  readonly family: Family;
  readonly severity: Severity;
  /** What it is about, known at opening: registry, `emitter event`, transport, pool. Part of the fingerprint. */
  readonly subject: string;
  /** A full sentence with the number. */
  readonly title: string;
  readonly evidence: readonly Evidence[];
  readonly against: readonly Because[];
}

export type Answer = 'ok' | 'warming-up' | 'plateau' | 'allocator-retention' | 'inconclusive' | 'found';

/** What a detector says of a window. */
export type Verdict =
  | {
      readonly detector: string;
      readonly answer: Exclude<Answer, 'found'>;
      readonly because: string;
      readonly evidence: readonly Evidence[];
      /** What is missing for a decision, in words. */
      readonly missing?: string;
    }
  | {
      readonly detector: string;
      readonly answer: 'found';
      readonly finding: Finding;
      readonly evidence: readonly Evidence[];
    };

export interface TimeToLimit {
  readonly ms: number;
  readonly lowMs: number;
  readonly highMs: number | null;
  readonly limit: 'heap' | 'container';
}
