/** `OpenAlert`: one open alert, and the state that its next transition needs. */

import { formatShortSpot } from '../core/format.ts';
import { adviceText, capturesEvidence, KINDS } from '../kinds/index.ts';
import type {
  Alert,
  Because,
  Finding,
  Identity,
  Severity,
  SourceLocation,
  TimeToLimit,
} from '../types/index.ts';
import { isMuted } from './fingerprint.ts';
import { MIN_PAUSE_MS } from './growth-pauses.ts';
import { HourlyQuota } from './hourly-quota.ts';

export interface AlertContext {
  readonly identity: Identity;
  readonly timeScale: number;
  readonly mute: readonly string[];
  readonly newId: () => string;
}

/** The time of a transition. `nowMs` is scaled time; the others are real time. */
export interface Instant {
  readonly nowMs: number;
  readonly wallMs: number;
  readonly uptimeMs: number;
  readonly timeToLimit: TimeToLimit | null;
}

/** A row of `also`. The subject keeps a finding with a new title from becoming a second row. */
interface AlsoRow extends Because {
  /** Null when the row comes from an earlier process, whose alert lines have no subject in `also`. */
  readonly subject: string | null;
  readonly location: SourceLocation | null;
}

type Joining = Pick<Finding, 'kind' | 'subject' | 'title' | 'family'>;

/**
 * Lines of one alert within an hour of scaled time: one in ten minutes is as much as a person on call reads. A higher
 * severity, a more specific kind, a condition and the results of the investigation never wait: an alert
 * has few of them.
 */
const MAX_LINES_PER_HOUR = 6;
/** Findings that an alert remembers: a server with hundreds of collections has as many. */
const MAX_JOINED = 200;
/** A line has the first ones and the number of the others. */
const MAX_ALSO = 20;

interface Start {
  readonly isRestored: boolean;
  readonly closeAfterMs: number;
  readonly nowMs: number;
}

interface Opening {
  readonly fingerprint: string;
  readonly also: readonly Because[];
  readonly closeAfterMs: number;
}

type Source = Pick<Finding, 'kind' | 'subject'>;

/** Identifies a finding from evaluation to evaluation. */
export const findingKey = ({ kind, subject }: Source): string => `${kind}\n${subject}`;

export class OpenAlert {
  readonly openedMs: number;
  /** A leak: for how long the growth must be absent until the alert closes, in scaled time. */
  readonly closeAfterMs: number;
  #alert: Alert;
  #isRestored: boolean;
  #lastFoundMs: number;
  readonly #also: AlsoRow[];
  /** The largest value of the first evidence in a line with the present kind. */
  #reportedValue: number;
  readonly #lines = new HourlyQuota(MAX_LINES_PER_HOUR);
  /** A finding has joined that no line has: a `leak` can wait. */
  #unreported: Finding['family'] | null = null;

  private constructor(alert: Alert, { isRestored, closeAfterMs, nowMs }: Start) {
    this.#alert = alert;
    this.#isRestored = isRestored;
    this.openedMs = nowMs;
    this.closeAfterMs = closeAfterMs;
    this.#lastFoundMs = nowMs;
    this.#also = alert.also.map(({ kind, because }) => ({ kind, because, subject: null, location: null }));
    this.#reportedValue = firstValue(alert);
    this.#lines.note(nowMs);
  }

  static open(context: AlertContext, finding: Finding, instant: Instant, opening: Opening): OpenAlert {
    const start = { isRestored: false, closeAfterMs: opening.closeAfterMs, nowMs: instant.nowMs };
    return new OpenAlert(newAlert(context, finding, instant, opening), start);
  }

  /** An alert that an earlier process left open. */
  static restore(alert: Alert, nowMs: number): OpenAlert {
    const also = alert.also.map(({ kind, because }) => ({ kind, because }));
    return new OpenAlert({ ...alert, also }, { isRestored: true, closeAfterMs: MIN_PAUSE_MS, nowMs });
  }

  get alert(): Alert {
    return this.#alert;
  }

  /** An earlier process opened it, and this process has not detected it again. */
  get isRestored(): boolean {
    return this.#isRestored;
  }

  /** Scaled time of the latest finding that confirmed it, or of the latest evaluation without data. */
  get lastFoundMs(): number {
    return this.#lastFoundMs;
  }

  get reportedValue(): number {
    return this.#reportedValue;
  }

  /** Whether a line that can wait may be written now. */
  mayWrite(nowMs: number): boolean {
    return this.#lines.hasRoom(nowMs);
  }

  /** Whether a finding has joined whose line is due. */
  mustReport(nowMs: number): boolean {
    return this.#unreported === 'condition' || (this.#unreported === 'leak' && this.mayWrite(nowMs));
  }

  isAbout(finding: Source): boolean {
    const { kind, subject } = this.#alert;
    return !this.#isRestored && kind === finding.kind && subject === finding.subject;
  }

  /** Whether a leak alert has a finding in `also`. */
  hasJoined(finding: Source): boolean {
    return this.#alert.family === 'leak' && this.#rowOf(finding) >= 0;
  }

  /** Notes that the finding is still true. The next transition that is written describes the present state. */
  confirm(finding: Finding, { nowMs, timeToLimit }: Instant): void {
    this.#lastFoundMs = nowMs;
    this.#isRestored = false;
    const { title, evidence, against } = finding;
    const isAbout = this.isAbout(finding);
    this.#alert = { ...this.#alert, timeToLimit, ...(isAbout ? { title, evidence, against } : {}) };
    // The fingerprint is that of the first finding; since then the alert has a more specific kind.
    if (!isAbout) this.join(finding, nowMs, null);
  }

  /** Without data the leak may go on, so the time until the alert closes starts again. */
  waitForData(nowMs: number): void {
    this.#lastFoundMs = nowMs;
  }

  /** Adds a finding to `also`. `location`: the line that adds what it counts, once a census has it. */
  join(finding: Joining, nowMs: number, location: SourceLocation | null): void {
    if (finding.family === 'leak') this.#lastFoundMs = nowMs;
    const index = this.#rowOf(finding);
    const before = this.#also[index];
    if (before === undefined && this.#also.length >= MAX_JOINED) return;
    const row = rowOf(finding, location ?? before?.location ?? null);
    if (before === undefined) this.#also.push(row);
    else this.#also[index] = row;
    const isNews = before === undefined || (row.location !== null && before.location === null);
    if (isNews && this.#unreported !== 'condition') this.#unreported = finding.family;
  }

  /** The alert takes a more specific kind. The earlier kind moves into `also`; `id` and `fingerprint` stay. */
  specialise(finding: Finding, instant: Instant): Alert {
    this.join(this.#alert, instant.nowMs, null);
    const { kind, subject, title, evidence, against } = finding;
    const severity = worseOf(this.#alert.severity, finding.severity);
    return this.transition('updated', instant, {
      kind,
      subject,
      title,
      evidence,
      against,
      severity,
    });
  }

  /** The next line of the alert. */
  transition(
    event: 'updated' | 'closed',
    instant: Pick<Instant, 'wallMs'> & Partial<Instant>,
    change: Partial<Alert>,
  ): Alert {
    const { culpritBecause, ...rest } = { ...this.#alert, ...change };
    const isUnknown = rest.culprit === null && culpritBecause !== undefined;
    this.#alert = {
      ...rest,
      ...adviceOn(rest),
      ...(isUnknown ? { culpritBecause } : {}),
      event,
      // A kind of which another finding has joined is not ruled out, whatever else of its kind does not grow.
      against: rest.against.filter(({ kind }) => this.#also.every((row) => row.kind !== kind)),
      also: this.#also.slice(0, MAX_ALSO).map(({ kind, because }) => ({ kind, because })),
      ...(this.#also.length > MAX_ALSO ? { alsoMore: this.#also.length - MAX_ALSO } : {}),
      n: this.#alert.n + 1,
      at: new Date(instant.wallMs).toISOString(),
      ...(instant.uptimeMs === undefined ? {} : { uptimeMs: instant.uptimeMs }),
      ...(instant.timeToLimit === undefined ? {} : { timeToLimit: instant.timeToLimit }),
    };
    // A figure that falls and rises again is no news.
    const value = firstValue(this.#alert);
    this.#reportedValue = change.kind === undefined ? Math.max(this.#reportedValue, value) : value;
    this.#unreported = null;
    if (instant.nowMs !== undefined) this.#lines.note(instant.nowMs);
    return this.#alert;
  }

  #rowOf({ kind, subject }: Source): number {
    const exact = this.#also.findIndex((row) => row.kind === kind && row.subject === subject);
    return exact >= 0 ? exact : this.#also.findIndex((row) => row.kind === kind && row.subject === null);
  }
}

function rowOf({ kind, subject, title }: Joining, location: SourceLocation | null): AlsoRow {
  const place = location === null ? '' : `, added at ${formatShortSpot(location)}`;
  return { kind, subject, location, because: `${title}${place}` };
}

function newAlert(
  { identity, timeScale, mute, newId }: AlertContext,
  finding: Finding,
  instant: Instant,
  { also, fingerprint }: Opening,
): Alert {
  const { kind, family, severity, subject, title, evidence, against } = finding;
  return {
    ...identity,
    schema: 'wsguard.alert/1',
    event: 'opened',
    id: newId(),
    fingerprint,
    kind,
    family,
    severity,
    at: new Date(instant.wallMs).toISOString(),
    uptimeMs: instant.uptimeMs,
    subject,
    title,
    evidence,
    against,
    also,
    culprit: null,
    culpritBecause: capturesEvidence(kind)
      ? 'the investigation is still running'
      : 'a condition is not investigated',
    timeToLimit: instant.timeToLimit,
    ...adviceOn({ kind, snapshots: [] }),
    snapshots: [],
    report: null,
    n: 0,
    ...(timeScale === 1 ? {} : { timeScale }),
    ...(isMuted(mute, fingerprint, instant.wallMs) ? { muted: true } : {}),
  };
}

const adviceOn = ({
  kind,
  snapshots,
}: Pick<Alert, 'kind' | 'snapshots'>): Pick<Alert, 'advice' | 'docs'> => ({
  advice: adviceText({ kind, snapshots }),
  docs: KINDS[kind].docs,
});

const firstValue = ({ evidence }: Alert): number => evidence[0]?.value ?? 0;

export const worseOf = (a: Severity, b: Severity): Severity =>
  a === 'critical' || b === 'critical' ? 'critical' : 'warning';
