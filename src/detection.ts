/** Composer of detect and alert: samples in, verdicts and transitions of alerts out. Live, threadless and replay. */

import { Alerts } from './alert/alerts.ts';
import { quiet, type View } from './detect/detector.ts';
import { floorTrend, recentFloors } from './detect/post-gc-heap.ts';
import { Counts } from './detect/growth.ts';
import { History, inScaledTime } from './detect/history.ts';
import { CONDITION_DETECTORS, LEAK_DETECTORS } from './detect/index.ts';
import { growthByPool } from './detect/pools.ts';
import { timeToLimit } from './detect/time-to-limit.ts';
import { judgeDeath } from './detect/process-died.ts';
import { findingsOf, ruledOut } from './detect/verdict.ts';
import type { AlertUpdate } from './investigate/investigation.ts';
import type {
  Alert,
  Because,
  CrashRecord,
  Finding,
  Identity,
  Sample,
  TimeToLimit,
  Verdict,
} from './types/index.ts';

export interface DetectionDeps {
  readonly identity: Identity;
  readonly config: {
    readonly timeScale: number;
    readonly mute: readonly string[];
    readonly maxConnections: number | null;
  };
  readonly newId: () => string;
}

export interface DetectionResult {
  readonly verdicts: readonly Verdict[];
  readonly transitions: readonly Alert[];
  /** In real milliseconds. */
  readonly timeToLimit: TimeToLimit | null;
  /** Per scaled hour, by pool; absent where it cannot be told. */
  readonly growthBytesPerHour: Readonly<Record<string, number>>;
  /** Something grows: worth asking a sample of the connections more often. */
  readonly suspicion: boolean;
  /** A finding waits for its confirmation: every connection should be asked now, before an alert opens. */
  readonly confirming: boolean;
}

export interface Detection {
  /** `transitions` of the result are new; the rest repeats the last result when the sample came too early. */
  addSample(sample: Sample): DetectionResult;
  /** `silentMs`: real time without a heartbeat of the application thread; no sample arrives meanwhile. */
  checkHeartbeat(silentMs: number, wallMs: number): Alert[];
  /** Opens `process-died` for a process that ended without a shutdown. `sample` is the first one of this process. */
  reportDeath(box: CrashRecord, sample: Pick<Sample, 'wallMs' | 'limits'>): Alert[];
  /** Adds results of an investigation to an alert. */
  updateAlert(alertId: string, update: AlertUpdate, wallMs: number): Alert[];
  openAlerts(): Alert[];
  /** Continues alerts of earlier processes or of a watcher that died. */
  restore(alerts: readonly Alert[]): void;
  closeAlerts(because: string, wallMs: number): Alert[];
}

const BLOCKED_MS = 5_000;

export const createDetection = (deps: DetectionDeps): Detection => new DetectionOfProcess(deps);

class DetectionOfProcess implements Detection {
  readonly #config: DetectionDeps['config'];
  readonly #alerts: Alerts;
  readonly #history = new History();
  #uptimeMs = 0;
  #latest: DetectionResult = {
    verdicts: [],
    transitions: [],
    timeToLimit: null,
    growthBytesPerHour: {},
    suspicion: false,
    confirming: false,
  };

  constructor({ identity, config, newId }: DetectionDeps) {
    this.#config = config;
    const { timeScale, mute } = config;
    this.#alerts = new Alerts({ identity, timeScale, mute, newId });
  }

  addSample(sample: Sample): DetectionResult {
    const { timeScale, maxConnections } = this.#config;
    const history = this.#history;
    this.#uptimeMs = sample.uptimeMs;
    if (!history.add(inScaledTime(sample, timeScale))) return { ...this.#latest, transitions: [] };
    const left = timeToLimit(history);
    const view: View = {
      history,
      counts: new Counts(history),
      trend: floorTrend(recentFloors(history)),
      maxConnections,
      timeToLimit: left,
    };
    const verdicts = look(view);
    const against = ruledOut(verdicts);
    const findings = findingsOf(verdicts).map((finding) => ({
      ...finding,
      against: finding.family === 'leak' ? against.filter(({ kind }) => kind !== finding.kind) : [],
    }));
    const real = left === null ? null : realTime(left, timeScale);
    const transitions = this.#alerts.step({
      findings,
      nowMs: history.nowMs,
      wallMs: sample.wallMs,
      uptimeMs: this.#uptimeMs,
      timeToLimit: real,
      timeToLimitScaledMs: left?.ms ?? null,
    });
    const suspicion = isSuspect(verdicts) || connectionsRise(view);
    this.#latest = {
      verdicts,
      transitions,
      timeToLimit: real,
      growthBytesPerHour: growthByPool(history, view.trend),
      suspicion,
      confirming: this.#alerts.pending,
    };
    return this.#latest;
  }

  checkHeartbeat(silentMs: number, wallMs: number): Alert[] {
    return silentMs < BLOCKED_MS
      ? this.#alerts.close('the event loop answers again', wallMs, ({ kind }) => kind === 'blocked-loop')
      : this.#open(blocked(silentMs), wallMs);
  }

  reportDeath(box: CrashRecord, { wallMs, limits }: Pick<Sample, 'wallMs' | 'limits'>): Alert[] {
    const death = judgeDeath(box, { wallMs, oomKills: limits.containerOomKills });
    return death === null ? [] : this.#open(death.finding, wallMs, death.also);
  }

  #open(finding: Finding, wallMs: number, also: readonly Because[] = []): Alert[] {
    const nowMs = this.#history.nowMs;
    const { timeToLimit: left } = this.#latest;
    return this.#alerts.raise(finding, { nowMs, wallMs, uptimeMs: this.#uptimeMs, timeToLimit: left }, also);
  }

  updateAlert(alertId: string, { snapshot, ...update }: AlertUpdate, wallMs: number): Alert[] {
    const before = this.openAlerts().find(({ id }) => id === alertId)?.snapshots ?? [];
    const snapshots = snapshot === undefined ? before : [...before, snapshot];
    return this.#alerts.learn(alertId, { ...update, snapshots }, wallMs);
  }

  openAlerts(): Alert[] {
    return this.#alerts.open();
  }

  restore(alerts: readonly Alert[]): void {
    this.#alerts.restore(alerts, this.#history.nowMs);
  }

  closeAlerts(because: string, wallMs: number): Alert[] {
    return this.#alerts.close(because, wallMs);
  }
}

const realTime = (left: TimeToLimit, timeScale: number): TimeToLimit => ({
  ...left,
  ms: left.ms / timeScale,
  lowMs: left.lowMs / timeScale,
  highMs: left.highMs === null ? null : left.highMs / timeScale,
});

/** A history of a process that nobody counted connections in can show conditions, and no leak. */
function look(view: View): Verdict[] {
  const knowsConnections = view.history.window.column('connections').some((count) => !Number.isNaN(count));
  const leaks = knowsConnections
    ? LEAK_DETECTORS.flatMap((detector) => detector.look(view))
    : LEAK_DETECTORS.map(({ name }) =>
        quiet(name, 'inconclusive', 'connections are not in these samples', { missing: 'connections' }),
      );
  return [...leaks, ...CONDITION_DETECTORS.flatMap((detector) => detector.look(view))];
}

const isSuspect = (verdicts: readonly Verdict[]): boolean =>
  verdicts.some(
    (verdict) =>
      (verdict.answer === 'found' && verdict.finding.family === 'leak') ||
      (verdict.answer === 'inconclusive' &&
        (verdict.detector === 'floor' || verdict.detector === 'unanswering')),
  );

function connectionsRise({ counts }: View): boolean {
  if (counts.missing !== null) return false;
  const growth = counts.test('connections', { minRise: 10, perConnection: false });
  return growth !== null && growth.answer === 'found';
}

function blocked(silentMs: number): Finding {
  return {
    kind: 'blocked-loop',
    family: 'condition',
    severity: 'critical',
    subject: 'loop',
    title: `The event loop has not turned for ${Math.round(silentMs / 1000)} s`,
    evidence: [{ name: 'beat_silent', value: silentMs, unit: 'ms', threshold: BLOCKED_MS }],
    against: [],
  };
}
