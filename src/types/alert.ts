/** Types of an alert and of everything that follows it: snapshots, reports and deliveries. docs/alerts.md describes them. */

import type { Analysis } from './analysis.ts';
import type { Because, Evidence, Family, Kind, Severity, TimeToLimit } from './verdict.ts';

/** A place in the source. */
export interface CodePlace {
  readonly file: string | null;
  /** From 1. */
  readonly line: number | null;
  /** From 1. Present only for a place that was read from running code: a source map of a one-line bundle needs it. */
  readonly column?: number;
  readonly function: string | null;
  /** The npm package of the file; null for the application's own code and for Node's (`node:events`). */
  readonly package: string | null;
}

/** The root cause: the line, variable or collection that retains what grows. */
export interface Culprit extends CodePlace {
  /** A full sentence. */
  readonly text: string;
  readonly name: string | null;
  /** The code of a package or of Node between the application and what grows: rxjs `fromEvent`, `node:events`. */
  readonly through?: CodePlace;
  /** 0 to 1. */
  readonly confidence: number;
}

/** The process that alerts, metrics and reports describe. Read once at startup. */
export interface Identity {
  readonly service: string;
  readonly serviceVersion: string | null;
  /** Unique for each process; the resource attribute `service.instance.id`. */
  readonly instance: string;
  readonly host: string;
  readonly pid: number;
  /** `cluster.worker.id`; null outside a cluster. */
  readonly worker: number | null;
  readonly agentVersion: string;
  readonly nodeVersion: string;
}

export interface Alert extends Identity {
  readonly schema: 'wsguard.alert/1';
  readonly event: 'opened' | 'updated' | 'closed';
  readonly id: string;
  readonly fingerprint: string;
  readonly kind: Kind;
  readonly family: Family;
  readonly severity: Severity;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly uptimeMs: number;
  /** From the finding: a registry, `emitter event`, a transport or a memory pool. */
  readonly subject: string;
  readonly title: string;
  readonly evidence: readonly Evidence[];
  readonly against: readonly Because[];
  readonly also: readonly Because[];
  /** Findings that are not in `also`, which has the first 20. */
  readonly alsoMore?: number;
  readonly culprit: Culprit | null;
  /** Why `culprit` is null. */
  readonly culpritBecause?: string;
  /** Why the alert closed. */
  readonly because?: string;
  readonly timeToLimit: TimeToLimit | null;
  readonly advice: string;
  readonly docs: string;
  readonly snapshots: readonly Snapshot[];
  /** Path of report.json below the directory; null when it could not be written. */
  readonly report: string | null;
  /** Number of the transition within the alert, from 0. The webhook's Idempotency-Key ends with it. */
  readonly n: number;
  /** WSGUARD_TIME_SCALE; absent when it is 1. */
  readonly timeScale?: number;
  readonly muted?: boolean;
}

/** The outcome of a request for a heap snapshot. */
export type Snapshot =
  | {
      readonly outcome: 'written';
      /** Absolute path. */
      readonly file: string;
      readonly method: 'fork' | 'inprocess';
      /** How long the application thread was blocked. */
      readonly pauseMs: number;
      readonly bytes: number;
      readonly redacted: boolean;
      /** Why the snapshot was not taken in a forked process; absent when it was, or when that is switched off. */
      readonly notForkedBecause?: string;
      /** Why the other instances with the same leak were not asked; absent when they were, or when nothing is shared. */
      readonly notClaimedBecause?: string;
    }
  | {
      readonly outcome: 'refused';
      readonly reason: string;
      readonly needBytes?: number;
      readonly haveBytes?: number;
    }
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string };

/** Everything about one alert, for people and for programs. The schema's number grows when a field changes its meaning. */
export interface Report {
  readonly schema: 'wsguard.report/1';
  readonly alert: Alert;
  readonly headline: readonly string[];
  readonly samples: readonly ReportPoint[];
  readonly analysis: Analysis | null;
  readonly notes: readonly string[];
}

/** One sample in the charts of a report. */
export interface ReportPoint {
  readonly wallMs: number;
  readonly heapUsedBytes: number;
  /** Old space after the last major GC; null before the first one. */
  readonly floorBytes: number | null;
  readonly rssBytes: number;
  readonly externalBytes: number;
  readonly connections: number;
  readonly unanswering: number;
  /** Counts since the process started. Reports of older agents lack both. */
  readonly opened?: number;
  readonly closed?: number;
}

/** The outcome of a delivery to a file, the webhook or the upload target. A sink resolves with it and never rejects. */
export type Delivery =
  | { readonly outcome: 'delivered' }
  | { readonly outcome: 'retry'; readonly reason: string; readonly code: string }
  | { readonly outcome: 'dropped'; readonly reason: string; readonly code: string };
