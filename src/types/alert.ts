/** `Alert`: a finding with a life; `Snapshot`, `Analysis` and `Report`: what follows it. */

import type { Analysis } from './analysis.ts';
import type { Because, Evidence, Family, Kind, Severity, TimeToLimit } from './verdict.ts';

export interface Culprit {
  readonly text: string;
  readonly name: string | null;
  readonly file: string | null;
  readonly line: number | null;
  /** Where it was read from the running code: what a source map of a bundle of one line needs. */
  readonly column?: number;
  readonly function: string | null;
  readonly package: string | null;
  readonly confidence: number;
}

/** Who the alerts speak of; resolved once at start. */
export interface Identity {
  readonly service: string;
  readonly serviceVersion: string | null;
  /** Unique per process: service.instance.id. */
  readonly instance: string;
  readonly host: string;
  readonly pid: number;
  /** cluster.worker.id */
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
  /** The finding's: registry, `emitter event`, transport, pool. A follow-up asks about exactly this. */
  readonly subject: string;
  readonly title: string;
  readonly evidence: readonly Evidence[];
  readonly against: readonly Because[];
  readonly also: readonly Because[];
  readonly culprit: Culprit | null;
  readonly culpritBecause?: string;
  /** Why it closed. */
  readonly because?: string;
  readonly timeToLimit: TimeToLimit | null;
  readonly advice: string;
  readonly docs: string;
  readonly snapshots: readonly Snapshot[];
  readonly report: string | null;
  /** Transition number within the alert, from 0; the webhook's idempotency key uses it. */
  readonly n: number;
  /** Present when it is not 1. */
  readonly timeScale?: number;
  readonly muted?: boolean;
}

export type Snapshot =
  | {
      readonly outcome: 'written';
      readonly file: string;
      readonly method: 'fork' | 'inprocess';
      readonly pauseMs: number;
      readonly bytes: number;
      readonly redacted: boolean;
    }
  | {
      readonly outcome: 'refused';
      readonly reason: string;
      readonly needBytes?: number;
      readonly haveBytes?: number;
    }
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string };

/** The story of one alert. `version` grows when a field changes its meaning. */
export interface Report {
  readonly schema: 'wsguard.report/1';
  readonly alert: Alert;
  readonly headline: readonly string[];
  readonly samples: readonly ReportPoint[];
  readonly analysis: Analysis | null;
  readonly notes: readonly string[];
}
export interface ReportPoint {
  readonly wallMs: number;
  readonly heapUsedBytes: number;
  readonly floorBytes: number | null;
  readonly rssBytes: number;
  readonly externalBytes: number;
  readonly connections: number;
  readonly unanswering: number;
  /** Connections since the process began; reports of earlier agents have neither. */
  readonly opened?: number;
  readonly closed?: number;
}

/** What became of handing something to a sink; sinks resolve with it and never reject. */
export type Delivery =
  | { readonly outcome: 'delivered' }
  | { readonly outcome: 'retry'; readonly reason: string; readonly code: string }
  | { readonly outcome: 'dropped'; readonly reason: string; readonly code: string };
