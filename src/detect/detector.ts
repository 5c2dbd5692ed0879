/** What every detector is: a function from the history to verdicts. */

import { familyOf } from '../kinds/index.ts';
import type { Because, Evidence, Finding, Kind, Severity, TimeToLimit, Verdict } from '../types/index.ts';
import type { FloorTrend } from './post-gc-heap.ts';
import type { Counts } from './growth.ts';
import type { History } from './history.ts';

export interface View {
  readonly history: History;
  readonly counts: Counts;
  /** Of the recent floors; null below three. */
  readonly trend: FloorTrend | null;
  readonly maxConnections: number | null;
  /** In scaled time. */
  readonly timeToLimit: TimeToLimit | null;
}

export interface Detector {
  readonly name: string;
  look(view: View): Verdict[];
}

export type Quiet = 'ok' | 'warming-up' | 'plateau' | 'allocator-retention' | 'inconclusive';

export function quiet(
  detector: string,
  answer: Quiet,
  because: string,
  more: { evidence?: readonly Evidence[]; missing?: string } = {},
): Verdict {
  return {
    detector,
    answer,
    because,
    evidence: more.evidence ?? [],
    ...(more.missing === undefined ? {} : { missing: more.missing }),
  };
}

interface Found {
  readonly kind: Kind;
  readonly subject: string;
  readonly title: string;
  readonly evidence: readonly Evidence[];
  readonly severity?: Severity;
  readonly against?: readonly Because[];
}

export function found(detector: string, what: Found): Verdict {
  const finding: Finding = {
    kind: what.kind,
    family: familyOf(what.kind),
    severity: what.severity ?? 'warning',
    subject: what.subject,
    title: what.title,
    evidence: what.evidence,
    against: what.against ?? [],
  };
  return { detector, answer: 'found', finding, evidence: what.evidence };
}
