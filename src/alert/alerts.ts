/** The life of alerts: opened once a finding has held, updated when something changed, closed with a reason. */

import { CRITICAL_TIME_TO_LIMIT, KINDS, rankOf, type KindSpec } from '../kinds/index.ts';
import type { Alert, Because, Finding, Kind } from '../types/index.ts';
import {
  adviceOn,
  keyOf,
  openEntry,
  transition,
  worse,
  type About,
  type Entry,
  type Instant,
} from './entry.ts';
import { fingerprintOf } from './fingerprint.ts';

const MINUTE_MS = 60_000;
/** Two evaluations at least: one odd reading opens nothing. */
const HOLD_MS = MINUTE_MS;
/** A leak that is not seen for a whole window of counts has stopped. */
const CLEAR_LEAK_MS = 30 * MINUTE_MS;
const CLEAR_CONDITION_MS = 10 * MINUTE_MS;
/** Within one window of the opening another leak finding is the same cause, seen more clearly or from its side. */
const SAME_CAUSE_MS = 30 * MINUTE_MS;
/** How long an alert of the process before waits to be seen again. */
const CLEAR_RESTORED_MS = 120 * MINUTE_MS;
const NEWS_FACTOR = 2;
const MAX_OPEN = 50;

/** What holds at one instant, most specific first; in scaled time, but for `timeToLimit` of the instant. */
export interface Held extends Instant {
  readonly findings: readonly Finding[];
  readonly timeToLimitScaledMs: number | null;
}

export class Alerts {
  readonly #about: About;
  readonly #open = new Map<string, Entry>();
  readonly #sinceMs = new Map<string, number>();

  constructor(about: About) {
    this.#about = about;
  }

  /** Something was found that has not held long enough to open an alert. */
  get pending(): boolean {
    return this.#sinceMs.size > 0 && [...this.#sinceMs.keys()].some((key) => !this.#isKnown(key));
  }

  open(): Alert[] {
    return [...this.#open.values()].map(({ alert }) => alert);
  }

  step(held: Held): Alert[] {
    const confirmed = this.#confirm(held).map((finding) => inTime(finding, held));
    const out = this.#raiseByTime(held);
    for (const finding of confirmed) {
      if (finding.family === 'leak') out.push(...this.#takeLeak(finding, held));
    }
    for (const finding of confirmed) {
      if (finding.family === 'condition') out.push(...this.#takeCondition(finding, held));
    }
    return [...out, ...this.#clear(held)];
  }

  /** Opens (or keeps open) at once: for what is an event and not a reading. */
  raise(finding: Finding, instant: Instant, also: readonly Because[] = []): Alert[] {
    const same = this.#find(finding);
    if (same === null) return this.#start(finding, instant, also);
    return this.#refresh(same, finding, instant);
  }

  learn(id: string, change: Partial<Alert>, wallMs: number): Alert[] {
    const entry = this.#open.get(id);
    return entry === undefined ? [] : [transition(entry, 'updated', { wallMs }, change)];
  }

  restore(alerts: readonly Alert[], nowMs: number): void {
    for (const alert of alerts) {
      if (alert.event === 'closed' || this.#open.has(alert.id) || this.#open.size >= MAX_OPEN) continue;
      this.#open.set(alert.id, {
        alert,
        key: '',
        openedMs: nowMs,
        lastTrueMs: nowMs,
        restored: true,
        also: new Map(alert.also.map((one) => [keyOf({ kind: one.kind, subject: '' }), one])),
        saidValue: alert.evidence[0]?.value ?? 0,
      });
    }
  }

  close(because: string, wallMs: number, matches: (alert: Alert) => boolean = () => true): Alert[] {
    const closing = [...this.#open.values()].filter(({ alert }) => matches(alert));
    return closing.map((entry) => this.#end(entry, because, { wallMs }));
  }

  #confirm({ findings, nowMs }: Held): Finding[] {
    const keys = new Set(findings.map(keyOf));
    for (const key of this.#sinceMs.keys()) if (!keys.has(key)) this.#sinceMs.delete(key);
    return findings.filter((finding) => {
      const key = keyOf(finding);
      const since = this.#sinceMs.get(key) ?? nowMs;
      this.#sinceMs.set(key, since);
      return nowMs - since >= HOLD_MS;
    });
  }

  #isKnown(key: string): boolean {
    return [...this.#open.values()].some((entry) => entry.key === key || entry.also.has(key));
  }

  #find(finding: Finding): Entry | null {
    const key = keyOf(finding);
    const entries = [...this.#open.values()];
    const same = entries.find((entry) => entry.key === key);
    const restored = same === undefined ? entries.filter((entry) => entry.restored) : [];
    if (restored.length === 0) return same ?? null;
    const fingerprint = fingerprintOf(this.#about.identity.service, finding);
    return restored.find(({ alert }) => alert.fingerprint === fingerprint) ?? null;
  }

  #takeLeak(finding: Finding, held: Held): Alert[] {
    const same = this.#find(finding);
    if (same !== null) return this.#refresh(same, finding, held);
    const leaks = [...this.#open.values()].filter(
      ({ alert, restored }) => alert.family === 'leak' && !restored,
    );
    const fresh = leaks.find(({ openedMs }) => held.nowMs - openedMs < SAME_CAUSE_MS);
    const joined = leaks.find(({ also }) => also.has(keyOf(finding)));
    const host = joined ?? fresh ?? (isCounted(finding.kind) ? undefined : leaks[0]);
    if (host === undefined) return this.#start(finding, held);
    const isClearer = host === fresh && rankOf(finding.kind) < rankOf(host.alert.kind);
    return isClearer ? [this.#rename(host, finding, held)] : this.#join(host, finding, held);
  }

  #takeCondition(finding: Finding, held: Held): Alert[] {
    const host = [...this.#open.values()].find(
      ({ alert, restored }) =>
        alert.family === 'leak' && !restored && isExplainedBy(finding.kind, alert.kind),
    );
    const own = this.#find(finding);
    if (host === undefined)
      return own === null ? this.#start(finding, held) : this.#refresh(own, finding, held);
    const closed =
      own === null ? [] : [this.#end(own, `explained by ${host.alert.kind} (${host.alert.id})`, held)];
    return [...this.#join(host, finding, held), ...closed];
  }

  #start(finding: Finding, instant: Instant, also: readonly Because[] = []): Alert[] {
    if (this.#open.size >= MAX_OPEN) return [];
    const entry = openEntry(this.#about, finding, instant);
    if (also.length > 0) entry.alert = { ...entry.alert, also };
    for (const one of also) entry.also.set(keyOf({ kind: one.kind, subject: one.because }), one);
    this.#open.set(entry.alert.id, entry);
    return [entry.alert];
  }

  /** Still true. News is a worse severity, twice the number, or that it is seen again after a restart. */
  #refresh(entry: Entry, finding: Finding, instant: Instant): Alert[] {
    const severity = worse(entry.alert.severity, finding.severity);
    const value = finding.evidence[0]?.value ?? 0;
    const isNews =
      entry.restored ||
      severity !== entry.alert.severity ||
      (value >= NEWS_FACTOR * entry.saidValue && entry.saidValue > 0);
    entry.lastTrueMs = instant.nowMs;
    entry.restored = false;
    entry.key = keyOf(finding);
    const { title, evidence, against } = finding;
    if (isNews) return [transition(entry, 'updated', instant, { severity, title, evidence, against })];
    // Not worth a line, but the next one that is written speaks of now throughout.
    entry.alert = { ...entry.alert, title, evidence, against, timeToLimit: instant.timeToLimit };
    return [];
  }

  #join(host: Entry, finding: Finding, instant: Instant): Alert[] {
    const key = keyOf(finding);
    if (finding.family === 'leak') host.lastTrueMs = instant.nowMs;
    const isNew = !host.also.has(key);
    host.also.set(key, { kind: finding.kind, because: finding.title });
    const severity =
      finding.family === 'condition' ? worse(host.alert.severity, finding.severity) : host.alert.severity;
    return isNew ? [transition(host, 'updated', instant, { severity })] : [];
  }

  #rename(host: Entry, finding: Finding, instant: Instant): Alert {
    host.also.set(host.key, { kind: host.alert.kind, because: host.alert.title });
    host.key = keyOf(finding);
    host.lastTrueMs = instant.nowMs;
    const { kind, subject, title, evidence, against } = finding;
    const severity = worse(host.alert.severity, finding.severity);
    const change = { kind, subject, title, evidence, against, severity, ...adviceOn(kind) };
    return transition(host, 'updated', instant, change);
  }

  #raiseByTime(held: Held): Alert[] {
    if (!isSoon(held)) return [];
    return [...this.#open.values()]
      .filter(({ alert, restored }) => alert.family === 'leak' && !restored && alert.severity !== 'critical')
      .map((entry) => transition(entry, 'updated', held, { severity: 'critical' }));
  }

  #clear(held: Held): Alert[] {
    return [...this.#open.values()].flatMap((entry) => {
      const silentMs = held.nowMs - entry.lastTrueMs;
      const isLeak = entry.alert.family === 'leak';
      const limitMs = entry.restored ? CLEAR_RESTORED_MS : isLeak ? CLEAR_LEAK_MS : CLEAR_CONDITION_MS;
      if (silentMs < limitMs) return [];
      const because = entry.restored
        ? 'not seen again since the restart'
        : `has not ${isLeak ? 'grown' : 'been so'} for ${Math.round(limitMs / MINUTE_MS)} min`;
      return [this.#end(entry, because, held)];
    });
  }

  #end(entry: Entry, because: string, instant: Pick<Instant, 'wallMs'> & Partial<Instant>): Alert {
    this.#open.delete(entry.alert.id);
    return transition(entry, 'closed', instant, { because });
  }
}

const isCounted = (kind: Kind): boolean => {
  const spec: KindSpec = KINDS[kind];
  return spec.family === 'leak' && spec.isCounted;
};

function isExplainedBy(condition: Kind, leak: Kind): boolean {
  const spec: KindSpec = KINDS[condition];
  if (spec.family === 'leak') return false;
  return spec.explainedBy === 'any leak' || spec.explainedBy.some((kind) => kind === leak);
}

/** A leak is critical once the limit is less than four hours away. */
const isSoon = ({ timeToLimitScaledMs }: Held): boolean =>
  timeToLimitScaledMs !== null && timeToLimitScaledMs < CRITICAL_TIME_TO_LIMIT.value;

const inTime = (finding: Finding, held: Held): Finding =>
  finding.family === 'leak' && isSoon(held) ? { ...finding, severity: 'critical' } : finding;
