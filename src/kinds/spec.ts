/** The shape of a kind's record: everything that the detectors, alerts, reports and pages know about one kind. */

import type { SuspectType } from '../types/analysis.ts';

/**
 * Every leak kind, the most specific first. When several kinds are found at the same time, the first one names the alert
 * and the others join its `also`. A new kind of leak goes to its place in this list.
 */
export const LEAKS_BY_RANK = [
  'zombie-connections',
  'listener-accumulation',
  'registry-growth',
  'room-growth',
  'queue-growth',
  'slow-consumer',
  'resource-growth',
  'external-buffers',
  'retained-after-close',
  'native-or-compression',
  'unclosed-growth',
  'heap-growth',
  'divergence',
] as const;

export type LeakKind = (typeof LEAKS_BY_RANK)[number];

/** Counted directly, so that each can be a cause of its own. */
export type CountedLeakKind = Extract<
  LeakKind,
  | 'zombie-connections'
  | 'slow-consumer'
  | 'listener-accumulation'
  | 'registry-growth'
  | 'room-growth'
  | 'queue-growth'
  | 'resource-growth'
>;

/** May be the effect of a counted kind. */
export type DerivedLeakKind = Exclude<LeakKind, CountedLeakKind>;

export type ConditionKind =
  | 'memory-threshold'
  | 'exhaustion'
  | 'connection-limit'
  | 'descriptor-limit'
  | 'gc-pressure'
  | 'loop-lag'
  | 'blocked-loop'
  | 'process-died';

export type Kind = LeakKind | ConditionKind;

/** A leak may start captures of evidence. A condition opens an alert and never claims a leak. */
export type Family = 'leak' | 'condition';

/** The source of a number: a measurement of a real process, a simulated server, the recorded traces, or a page here. */
export interface Source {
  readonly from: 'measurement' | 'simulation' | 'traces' | 'page';
  readonly text: string;
}

/** One number that a detector compares with. */
export interface Threshold {
  /** The quantity, as a phrase for a table: `listeners per connection`. */
  readonly label: string;
  readonly is: 'at least' | 'more than' | 'at most' | 'less than';
  readonly value: number;
  /** `By`, `By/h`, `ms`, `1` (a ratio or a number), `%` (`value` is a share from 0 to 1), or the noun that is counted. */
  readonly unit: string;
  /** The severity that this number sets. `warning`: the alert does not open without it. */
  readonly severity: 'warning' | 'critical';
  /** Says which other thresholds it is an alternative to. Without it the thresholds of a severity hold together. */
  readonly group?: string;
  readonly source: Source;
}

/** The time that a detector looks back. */
export interface DetectionWindow {
  readonly ms: number;
  /** A full sentence for the pages, with the earliest possible verdict. */
  readonly text: string;
}

export interface Steps {
  /** For the night: safe, reversible, no change of code. */
  readonly now: string;
  /** For the next day: the change of code or of settings. */
  readonly fix: string;
}

export interface Advice extends Steps {
  /** Instead of the steps above when they need a snapshot and every one was refused or failed. */
  readonly withoutSnapshot?: Steps;
  /** The state after a restart, as the end of a sentence. Null where the growth starts again from zero. */
  readonly restart: string | null;
}

interface CommonSpec {
  /** One line for tables and overviews, without a full stop. */
  readonly summary: string;
  /** The noun for `alert.subject`: the registry, the emitter and event, the transport. */
  readonly subjectNoun: string;
  /** `detector` of the verdict that finds this kind, as `agent.status()` lists it. Null for a kind that is an event. */
  readonly detector: string | null;
  /** Leak alerts of other kinds list this kind in `against` when its detector had the data and found nothing. */
  readonly mayBeRuledOut: boolean;
  readonly thresholds: Readonly<Record<string, Threshold>>;
  /** Null for a kind that is an event. */
  readonly window: DetectionWindow | null;
  /** The usual retainer of the objects. `suspectType` is its type in an analysis, if one type stands out. */
  readonly retainedBy: { readonly suspectType: SuspectType | null; readonly text: string } | null;
  /** The kind keeps data, so the line that allocates most of the retained bytes is a likely root cause. */
  readonly keepsData: boolean;
  readonly advice: Advice;
}

export interface LeakSpec extends CommonSpec {
  readonly family: 'leak';
  /** Counted directly, so that it can be a cause of its own. The other kinds may be effects of a counted one. */
  readonly isCounted: boolean;
  /** It rests on memory alone and names no object, so whatever is counted explains it. */
  readonly isMemoryAlone: boolean;
  /** Its number is one of connections, so a container with one entry for each connection is a likely root cause. */
  readonly countsConnections: boolean;
  /** The running process shows the line that adds what grows: that of its subject's listeners, or of its resources. */
  readonly showsLineOf: 'listener' | 'resource' | null;
  /** Leaks that cause this one too: it then joins their open alert and opens no alert of its own. */
  readonly effectOf?: readonly LeakKind[];
}

export interface ConditionSpec extends CommonSpec {
  readonly family: 'condition';
  /** Whether an alert may start captures of evidence: the last chance for it where a process is about to die. */
  readonly capturesEvidence: boolean;
  /** Open leak alerts of these kinds explain the condition: it joins their `also` and opens no alert of its own. */
  readonly explainedBy: 'any leak' | readonly LeakKind[];
}

export type KindSpec = LeakSpec | ConditionSpec;

/** One complete record for each kind; its page is named after it. */
export type KindRecords<K extends Kind, Spec extends KindSpec> = {
  readonly [P in K]: Spec & { readonly docs: `docs/leaks/${P}.md` };
};

export const measured = (text: string): Source => ({ from: 'measurement', text });
/** Only simulated servers (docs/detection.md) show this number, no real process. */
export const simulated = (text: string): Source => ({ from: 'simulation', text });
export const fromTraces = (text: string): Source => ({ from: 'traces', text });
export const fromPage = (text: string): Source => ({ from: 'page', text });

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const MIB = 1024 ** 2;
