/** `Detector`: a function from a view of the history to verdicts, and the two functions that make a verdict. */

import { COUNTS_WINDOW_MS, familyOf } from '../kinds/index.ts';
import type { Answer, Because, Evidence, Finding, Kind, Severity, Verdict } from '../types/index.ts';
import { CountWindow } from './count-growth.ts';
import type { History } from './history.ts';
import { LongTermCounts } from './long-term-counts.ts';
import type { PostGcHeap } from './post-gc-heaps.ts';
import { postGcTrend, recentPostGcHeaps, type PostGcTrend } from './post-gc-trend.ts';
import { forecast, type Forecast } from './time-to-limit.ts';

/** Everything that a detector reads in one evaluation. */
export interface View {
  readonly history: History;
  readonly counts: CountWindow;
  /** Null before there are counts of hours. */
  readonly longTermCounts: LongTermCounts | null;
  /** Trend of the recent post-GC heaps. Null with fewer than three. */
  readonly trend: PostGcTrend | null;
  readonly maxConnections: number | null;
  /** Null when no limit is foretold. */
  readonly forecast: Forecast | null;
}

/**
 * `previous`: the view of the sample before. Its trend stays until there is another major GC, its counts of hours until
 * there is another of their rows.
 */
export function createView(
  history: History,
  maxConnections: number | null = null,
  previous: View | null = null,
): View {
  const recent = recentPostGcHeaps(history);
  const longTermCounts = LongTermCounts.of(history.longTerm, previous?.longTermCounts ?? null);
  return {
    history,
    counts: new CountWindow(history, COUNTS_WINDOW_MS, longTermCounts),
    longTermCounts,
    trend:
      previous?.trend != null && isSame(previous.trend.points, recent) ? previous.trend : postGcTrend(recent),
    maxConnections,
    forecast: forecast(history),
  };
}

const isSame = (a: readonly PostGcHeap[], b: readonly PostGcHeap[]): boolean =>
  a.length === b.length && a[0]?.atMs === b[0]?.atMs && a.at(-1)?.atMs === b.at(-1)?.atMs;

/** A finding that needs a second one: it stands only when memory grows too. `doubt` says what else it can be. */
export interface ProvisionalVerdict {
  readonly detector: string;
  readonly answer: 'provisional';
  readonly finding: Finding;
  readonly evidence: readonly Evidence[];
  readonly doubt: string;
}

export type DetectorVerdict = Verdict | ProvisionalVerdict;

export interface Detector {
  readonly name: string;
  evaluate(view: View): readonly DetectorVerdict[];
}

interface Details {
  readonly evidence?: readonly Evidence[];
  /** The data that a decision needs and that the window does not have. */
  readonly missing?: string;
}

/** A verdict that finds nothing. */
export function noFinding(
  detector: string,
  answer: Exclude<Answer, 'found'>,
  because: string,
  { evidence = [], missing }: Details = {},
): Verdict {
  return { detector, answer, because, evidence, ...(missing === undefined ? {} : { missing }) };
}

export const insufficientData = (detector: string, missing: string, because = 'Insufficient data'): Verdict =>
  noFinding(detector, 'warming-up', because, { missing });

interface FindingDetails {
  readonly kind: Kind;
  readonly subject: string;
  readonly title: string;
  readonly evidence: readonly Evidence[];
  readonly severity?: Severity;
  readonly against?: readonly Because[];
}

export function findingOf({
  kind,
  severity = 'warning',
  against = [],
  subject,
  title,
  evidence,
}: FindingDetails): Finding {
  return { kind, family: familyOf(kind), severity, against, subject, title, evidence };
}

export function found(detector: string, details: FindingDetails): Verdict {
  return { detector, answer: 'found', finding: findingOf(details), evidence: details.evidence };
}
