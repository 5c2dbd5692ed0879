/** `Alerts` turns findings into alerts: it opens, updates and closes them, and keeps one alert per cause. */

import { formatDuration } from '../core/format.ts';
import {
  CRITICAL_TIME_TO_LIMIT,
  KINDS,
  MEMORY_KINDS,
  rankOf,
  type Kind,
  type KindSpec,
} from '../kinds/index.ts';
import type { Alert, Because, Finding, SourceLocation } from '../types/index.ts';
import { fingerprintOf } from './fingerprint.ts';
import { GrowthPauses, MIN_PAUSE_MS } from './growth-pauses.ts';
import { HourlyQuota } from './hourly-quota.ts';
import { findingKey, OpenAlert, worseOf, type AlertContext, type Instant } from './open-alert.ts';

const MINUTE_MS = 60_000;
/** At least two evaluations, so that one odd reading opens no alert. */
const CONFIRM_MS = MINUTE_MS;
const CLOSE_CONDITION_MS = 10 * MINUTE_MS;
/** Two hours of traffic show a leak of an earlier process again, or it is gone. */
const CLOSE_RESTORED_MS = 120 * MINUTE_MS;
/** Another leak finding within a window of counts after the opening has the same cause. */
const SAME_CAUSE_MS = 30 * MINUTE_MS;
/** An update is worth a line when the number has doubled. */
const UPDATE_FACTOR = 2;
/** An event that happens more often, such as a blocked event loop, has one alert that stays open in between. */
const MAX_OPENINGS_PER_HOUR = 3;
/** Memory bound; an alert per registry of a large application stays below it. */
const MAX_OPEN = 50;

/** The findings of one evaluation, the most specific kind first. */
export interface Evaluation extends Instant {
  readonly findings: readonly Finding[];
  /** Detectors that have too little data for a verdict, as after a gap: they end no alert. */
  readonly undecided?: ReadonlySet<string>;
  /** Ids of open alerts whose leak a census shows under another name: they stay open. */
  readonly confirmed?: ReadonlySet<string>;
  /** The line that adds what a finding counts, for one that joins an alert about another leak. */
  readonly locationOf?: (finding: Finding) => SourceLocation | null;
  readonly timeToLimitScaledMs: number | null;
}

export class Alerts {
  readonly #context: AlertContext;
  #open: readonly OpenAlert[] = [];
  /** Scaled time since which each finding holds, by its key. */
  #foundSinceMs = new Map<string, number>();
  #unconfirmed = false;
  /** Alerts that `raise` has opened. */
  readonly #openings = new Map<Kind, HourlyQuota>();
  readonly #pauses = new GrowthPauses();

  constructor(context: AlertContext) {
    this.#context = context;
  }

  /** A finding has not held for long enough to open an alert. */
  get isConfirming(): boolean {
    return this.#unconfirmed;
  }

  open(): Alert[] {
    return this.#open.map(({ alert }) => alert);
  }

  update(evaluation: Evaluation): Alert[] {
    const confirmed = this.#confirmed(evaluation).map((finding) => withTimeToLimit(finding, evaluation));
    const transitions = [
      ...this.#raiseSeverity(evaluation),
      ...confirmed
        .filter(({ family }) => family === 'leak')
        .flatMap((finding) => this.#addLeak(finding, evaluation)),
      ...confirmed
        .filter(({ family }) => family === 'condition')
        .flatMap((finding) => this.#addCondition(finding, evaluation)),
      ...this.#reportJoined(evaluation),
      ...this.#closeEnded(evaluation),
    ];
    this.#unconfirmed = evaluation.findings.some((finding) => !this.#hasAlert(finding));
    return transitions;
  }

  /** Opens or confirms an alert at once, for a finding that is an event. */
  raise(finding: Finding, instant: Instant, also: readonly Because[] = []): Alert[] {
    const existing = this.#find(finding);
    if (existing !== null) return this.#refresh(existing, finding, instant);
    this.#openingsOf(finding.kind).note(instant.nowMs);
    return this.#start(finding, instant, also);
  }

  /** Closes the alert of an event that is over, unless the event happens again and again. */
  endEvent(kind: Kind, because: string, { nowMs, wallMs }: Pick<Instant, 'nowMs' | 'wallMs'>): Alert[] {
    return this.#openingsOf(kind).hasRoom(nowMs)
      ? this.close(because, wallMs, (alert) => alert.kind === kind)
      : [];
  }

  #openingsOf(kind: Kind): HourlyQuota {
    const quota = this.#openings.get(kind) ?? new HourlyQuota(MAX_OPENINGS_PER_HOUR);
    this.#openings.set(kind, quota);
    return quota;
  }

  /** Changes fields of an open alert, for example its root cause. */
  amend(id: string, change: Partial<Alert>, wallMs: number): Alert[] {
    const open = this.#open.find(({ alert }) => alert.id === id);
    return open === undefined ? [] : [open.transition('updated', { wallMs }, change)];
  }

  /** Continues alerts that an earlier process left open. */
  restore(alerts: readonly Alert[], nowMs: number): void {
    for (const alert of alerts) {
      const isOpen = this.#open.some((open) => open.alert.id === alert.id);
      if (alert.event === 'closed' || isOpen || this.#open.length >= MAX_OPEN) continue;
      this.#open = [...this.#open, OpenAlert.restore(alert, nowMs)];
    }
  }

  close(because: string, wallMs: number, matches: (alert: Alert) => boolean = () => true): Alert[] {
    return this.#open
      .filter(({ alert }) => matches(alert))
      .map((open) => this.#end(open, because, { wallMs }));
  }

  /** The findings that have held for long enough. */
  #confirmed({ findings, nowMs }: Evaluation): Finding[] {
    const foundSinceMs = new Map<string, number>();
    const confirmed = findings.filter((finding) => {
      const key = findingKey(finding);
      const sinceMs = this.#foundSinceMs.get(key) ?? nowMs;
      foundSinceMs.set(key, sinceMs);
      return nowMs - sinceMs >= CONFIRM_MS;
    });
    this.#foundSinceMs = foundSinceMs;
    return confirmed;
  }

  #hasAlert(finding: Finding): boolean {
    return this.#open.some((open) => open.isAbout(finding) || open.hasJoined(finding));
  }

  /** The alert about this finding. An alert of an earlier process is recognised by its fingerprint. */
  #find(finding: Finding): OpenAlert | null {
    const current = this.#open.find((candidate) => candidate.isAbout(finding));
    if (current !== undefined) return current;
    const restored = this.#open.filter(({ isRestored }) => isRestored);
    if (restored.length === 0) return null;
    const fingerprint = fingerprintOf(this.#context.identity.service, finding);
    const key = findingKey(finding);
    const isSame = ({ alert }: OpenAlert): boolean =>
      alert.fingerprint === fingerprint || findingKey(alert) === key;
    return restored.find(isSame) ?? null;
  }

  #addLeak(finding: Finding, evaluation: Evaluation): Alert[] {
    const existing = this.#find(finding);
    if (existing !== null) return this.#refresh(existing, finding, evaluation);
    const leaks = this.#open.filter(({ alert, isRestored }) => alert.family === 'leak' && !isRestored);
    const growing = leaks.filter((leak) => isGrowing(leak, evaluation));
    const recent = leaks.find(({ openedMs }) => evaluation.nowMs - openedMs < SAME_CAUSE_MS);
    const joined = leaks.find((leak) => leak.hasJoined(finding));
    const cause = growing.find(({ alert }) => isEffectOf(finding.kind, alert.kind));
    const memoryAlone = growing.find(({ alert }) => MEMORY_KINDS.has(alert.kind));
    const related = joined ?? cause ?? recent ?? (isCounted(finding.kind) ? memoryAlone : growing[0]);
    if (related === undefined) return this.#start(finding, evaluation);
    const isMoreSpecific =
      (related === recent || related === memoryAlone) && rankOf(finding.kind) < rankOf(related.alert.kind);
    return isMoreSpecific
      ? [related.specialise(finding, evaluation)]
      : this.#join(related, finding, evaluation);
  }

  #addCondition(finding: Finding, evaluation: Evaluation): Alert[] {
    const leak = this.#open.find(
      (open) => isGrowing(open, evaluation) && isExplainedBy(finding.kind, open.alert.kind),
    );
    const existing = this.#find(finding);
    if (leak === undefined)
      return existing === null
        ? this.#start(finding, evaluation)
        : this.#refresh(existing, finding, evaluation);
    const joined = this.#join(leak, finding, evaluation);
    if (existing === null) return joined;
    const because = `explained by the alert ${leak.alert.kind} (${leak.alert.id})`;
    return [...joined, this.#end(existing, because, evaluation)];
  }

  #start(finding: Finding, instant: Instant, also: readonly Because[] = []): Alert[] {
    if (this.#open.length >= MAX_OPEN) return [];
    const fingerprint = fingerprintOf(this.#context.identity.service, finding);
    const closeAfterMs = this.#pauses.closeAfterMs(fingerprint, instant.nowMs);
    const open = OpenAlert.open(this.#context, finding, instant, { also, fingerprint, closeAfterMs });
    this.#open = [...this.#open, open];
    return [open.alert];
  }

  /** Writes a line when the severity rose, the number doubled, or an alert of an earlier process shows again. A number waits. */
  #refresh(open: OpenAlert, finding: Finding, instant: Instant): Alert[] {
    const severity = worseOf(open.alert.severity, finding.severity);
    const value = finding.evidence[0]?.value ?? 0;
    const isWorthALine =
      open.isRestored ||
      severity !== open.alert.severity ||
      (value >= UPDATE_FACTOR * open.reportedValue && open.reportedValue > 0 && open.mayWrite(instant.nowMs));
    open.confirm(finding, instant);
    return isWorthALine ? [open.transition('updated', instant, { severity })] : [];
  }

  /** The findings that have joined get one line together, at the end of the evaluation. */
  #join(related: OpenAlert, finding: Finding, evaluation: Evaluation): Alert[] {
    related.join(finding, evaluation.nowMs, evaluation.locationOf?.(finding) ?? null);
    const severity =
      finding.family === 'condition'
        ? worseOf(related.alert.severity, finding.severity)
        : related.alert.severity;
    return severity === related.alert.severity
      ? []
      : [related.transition('updated', evaluation, { severity })];
  }

  #reportJoined(evaluation: Evaluation): Alert[] {
    return this.#open
      .filter((open) => open.mustReport(evaluation.nowMs))
      .map((open) => open.transition('updated', evaluation, {}));
  }

  #raiseSeverity(evaluation: Evaluation): Alert[] {
    if (!isLimitNear(evaluation)) return [];
    return this.#open
      .filter(
        (open) =>
          open.alert.family === 'leak' && open.alert.severity !== 'critical' && isGrowing(open, evaluation),
      )
      .map((open) => open.transition('updated', evaluation, { severity: 'critical' }));
  }

  #closeEnded(evaluation: Evaluation): Alert[] {
    return this.#open.flatMap((open) => {
      const isConfirmed = evaluation.confirmed?.has(open.alert.id) === true;
      if (isConfirmed || isUndecided(open, evaluation)) open.waitForData(evaluation.nowMs);
      const { text, afterMs } = closingRule(open);
      return evaluation.nowMs - open.lastFoundMs < afterMs ? [] : [this.#end(open, text, evaluation)];
    });
  }

  #end(open: OpenAlert, because: string, instant: Pick<Instant, 'wallMs'> & Partial<Instant>): Alert {
    this.#open = this.#open.filter((each) => each !== open);
    this.#pauses.note(open.alert.fingerprint, open.lastFoundMs);
    return open.transition('closed', instant, { because });
  }
}

function closingRule({ isRestored, alert, closeAfterMs }: OpenAlert): {
  readonly text: string;
  readonly afterMs: number;
} {
  if (isRestored) return { text: 'not detected again since the restart', afterMs: CLOSE_RESTORED_MS };
  if (alert.family === 'leak')
    return { text: `no growth for ${formatDuration(closeAfterMs)}`, afterMs: closeAfterMs };
  const time = formatDuration(CLOSE_CONDITION_MS);
  // No detector looks for an event again.
  const isEvent = KINDS[alert.kind].detector === null;
  return {
    text: isEvent ? `it has not happened again for ${time}` : `the condition has not held for ${time}`,
    afterMs: CLOSE_CONDITION_MS,
  };
}

function isUndecided({ isRestored, alert }: OpenAlert, { undecided }: Evaluation): boolean {
  const { detector } = KINDS[alert.kind];
  return !isRestored && alert.family === 'leak' && detector !== null && undecided?.has(detector) === true;
}

/** An alert that waits for the next growth explains nothing that grows now. */
const isGrowing = ({ isRestored, lastFoundMs }: OpenAlert, { nowMs }: Pick<Instant, 'nowMs'>): boolean =>
  !isRestored && nowMs - lastFoundMs < MIN_PAUSE_MS;

const isCounted = (kind: Kind): boolean => {
  const spec: KindSpec = KINDS[kind];
  return spec.family === 'leak' && spec.isCounted;
};

const isEffectOf = (kind: Kind, cause: Kind): boolean => {
  const spec: KindSpec = KINDS[kind];
  return spec.family === 'leak' && spec.effectOf?.some((other) => other === cause) === true;
};

/** Whether an open leak alert explains a condition. */
function isExplainedBy(condition: Kind, leak: Kind): boolean {
  const spec: KindSpec = KINDS[condition];
  if (spec.family === 'leak' || KINDS[leak].family !== 'leak') return false;
  return spec.explainedBy === 'any leak' || spec.explainedBy.some((kind) => kind === leak);
}

const isLimitNear = ({ timeToLimitScaledMs }: Evaluation): boolean =>
  timeToLimitScaledMs !== null && timeToLimitScaledMs < CRITICAL_TIME_TO_LIMIT.value;

/** A leak is critical when a memory limit is near. */
const withTimeToLimit = (finding: Finding, evaluation: Evaluation): Finding =>
  finding.family === 'leak' && isLimitNear(evaluation) ? { ...finding, severity: 'critical' } : finding;
