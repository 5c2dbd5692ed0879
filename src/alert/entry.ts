/** One open alert and what is remembered of it between transitions. */

import { adviceText, capturesEvidence, KINDS, type Kind } from '../kinds/index.ts';
import type { Alert, Because, Finding, Identity, Severity, TimeToLimit } from '../types/index.ts';
import { fingerprintOf, isMuted } from './fingerprint.ts';

export interface Entry {
  alert: Alert;
  /** The subject that named it, for telling a finding that continues it from another one. */
  key: string;
  readonly openedMs: number;
  lastTrueMs: number;
  /** Left by an earlier process; not seen by this one so far. */
  restored: boolean;
  /** What goes along, by key, so that a title that changes is not a second entry. */
  readonly also: Map<string, Because>;
  /** The first evidence's value at the last transition: twice that is news. */
  saidValue: number;
}

export interface Instant {
  readonly nowMs: number;
  readonly wallMs: number;
  readonly uptimeMs: number;
  /** In real milliseconds, for the alert. */
  readonly timeToLimit: TimeToLimit | null;
}

export interface About {
  readonly identity: Identity;
  readonly timeScale: number;
  readonly mute: readonly string[];
  readonly newId: () => string;
}

/** The advice of an alert changes with its kind. */
export const adviceOn = (kind: Kind): Pick<Alert, 'advice' | 'docs'> => ({
  advice: adviceText(kind),
  docs: KINDS[kind].docs,
});

export const keyOf = ({ kind, subject }: Pick<Finding, 'kind' | 'subject'>): string => `${kind}\n${subject}`;

export function openEntry(about: About, finding: Finding, instant: Instant): Entry {
  const fingerprint = fingerprintOf(about.identity.service, finding);
  const muted = isMuted(about.mute, fingerprint, instant.wallMs);
  const alert: Alert = {
    ...about.identity,
    schema: 'wsguard.alert/1',
    event: 'opened',
    id: about.newId(),
    fingerprint,
    kind: finding.kind,
    family: finding.family,
    severity: finding.severity,
    at: new Date(instant.wallMs).toISOString(),
    uptimeMs: instant.uptimeMs,
    subject: finding.subject,
    title: finding.title,
    evidence: finding.evidence,
    against: finding.against,
    also: [],
    culprit: null,
    culpritBecause: capturesEvidence(finding.kind)
      ? 'nobody is named yet: being looked for'
      : 'a condition, not a leak: nobody is looked for',
    timeToLimit: instant.timeToLimit,
    ...adviceOn(finding.kind),
    snapshots: [],
    report: null,
    n: 0,
    ...(about.timeScale === 1 ? {} : { timeScale: about.timeScale }),
    ...(muted ? { muted } : {}),
  };
  return {
    alert,
    key: keyOf(finding),
    openedMs: instant.nowMs,
    lastTrueMs: instant.nowMs,
    restored: false,
    also: new Map(),
    saidValue: finding.evidence[0]?.value ?? 0,
  };
}

/** The next transition of an alert; `id` and `fingerprint` stay. */
export function transition(
  entry: Entry,
  event: 'updated' | 'closed',
  instant: Pick<Instant, 'wallMs'> & Partial<Instant>,
  change: Partial<Alert>,
): Alert {
  const { culpritBecause, ...before } = { ...entry.alert, ...change };
  entry.alert = {
    ...before,
    // Why nobody is named is said only while nobody is.
    ...(before.culprit === null && culpritBecause !== undefined ? { culpritBecause } : {}),
    event,
    also: [...entry.also.values()],
    n: entry.alert.n + 1,
    at: new Date(instant.wallMs).toISOString(),
    ...(instant.uptimeMs === undefined ? {} : { uptimeMs: instant.uptimeMs }),
    ...(instant.timeToLimit === undefined ? {} : { timeToLimit: instant.timeToLimit }),
  };
  entry.saidValue = entry.alert.evidence[0]?.value ?? 0;
  return entry.alert;
}

export const worse = (a: Severity, b: Severity): Severity =>
  a === 'critical' || b === 'critical' ? 'critical' : 'warning';
