/** Composer of `detect/` and `alert/`: turns samples into verdicts and alert transitions, in the watcher and in replay. */
import { Alerts } from './alert/alerts.ts';
import { growthOfBuffers } from './detect/buffer-growth.ts';
import {
  applyCensus,
  contradiction,
  isMemoryFinding,
  type CensusEvidence,
  type Situation,
} from './detect/census-evidence.ts';
import { knownLeak, locationFor, rankRootCause } from './detect/census-root-cause.ts';
import { createView, type View } from './detect/detector.ts';
import { evaluate, findingsOf, isSuspicious, undecidedDetectors } from './detect/evaluate.ts';
import { growthByPool } from './detect/growth-by-pool.ts';
import { History } from './detect/history.ts';
import { blockedLoop } from './detect/process-conditions.ts';
import { findProcessDeath } from './detect/process-died.ts';
import { inScaledTime } from './detect/sample-row.ts';
import { sampleNeedsAll } from './detect/zombie-connections.ts';
import type { AlertUpdate } from './investigate/investigation-state.ts';
import { MEMORY_KINDS } from './kinds/index.ts';
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
  /** In real time, without the time scale. */
  readonly timeToLimit: TimeToLimit | null;
  /** Per scaled hour, by memory pool; without the pools for which there is insufficient data. */
  readonly growthBytesPerHour: Readonly<Record<string, number>>;
  /** Something may leak: probe a sample of the connections more often. */
  readonly suspicion: boolean;
  /** A finding rests on the growth of memory, whether or not a census of containers confirms it. */
  readonly memoryGrows: boolean;
  /** Null unless growth of Buffers is a finding, whether or not a census explains it. */
  readonly buffersPerHour: number | null;
  /**
   * Probe all connections now: a finding must hold for a while before an alert opens, or many of a sample did not reply.
   */
  readonly confirming: boolean;
}

export interface Detection {
  /** `transitions` of the result are new; the rest repeats the last result when the sample came too early. */
  addSample(sample: Sample): DetectionResult;
  /** `silentMs`: real time without a heartbeat of the application thread; no sample arrives meanwhile. */
  checkHeartbeat(silentMs: number, wallMs: number): Alert[];
  /** Opens `process-died` for a process that ended without a shutdown. `sample` is the first one of this process. */
  reportCrash(record: CrashRecord, sample: Pick<Sample, 'wallMs' | 'limits'>): Alert[];
  /** The state of the censuses of containers, for all later samples. Closes alerts that they contradict. */
  setCensus(evidence: CensusEvidence, wallMs: number): Alert[];
  /** Adds results of an investigation to an alert. */
  updateAlert(alertId: string, update: AlertUpdate, wallMs: number): Alert[];
  openAlerts(): Alert[];
  /** Continues alerts of earlier processes or of a watcher that died. */
  restore(alerts: readonly Alert[]): void;
  closeAlerts(because: string, wallMs: number): Alert[];
}

export const createDetection = (deps: DetectionDeps): Detection => new SampleDetection(deps);

class SampleDetection implements Detection {
  readonly #config: DetectionDeps['config'];
  readonly #alerts: Alerts;
  readonly #history = new History();
  #view: View | null = null;
  #uptimeMs = 0;
  #census: CensusEvidence | null = null;
  #memoryFoundSinceMs: number | null = null;
  #buffersFoundSinceMs: number | null = null;
  #latest: DetectionResult = {
    verdicts: [],
    transitions: [],
    timeToLimit: null,
    growthBytesPerHour: {},
    suspicion: false,
    memoryGrows: false,
    buffersPerHour: null,
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
    if (!history.append(inScaledTime(sample, timeScale))) return { ...this.#latest, transitions: [] };
    const view = createView(history, maxConnections, this.#view);
    this.#view = view;
    const measured = evaluate(view);
    const scaledTime = view.forecast?.time ?? null;
    const memory = {
      memoryGrows: measured.some(isMemoryFinding),
      buffersPerHour: growthOfBuffers(measured),
    };
    const verdicts = this.#withCensus(measured, memory, {
      nowMs: sample.uptimeMs * timeScale,
      timeToLimitMs: scaledTime?.ms ?? null,
    });
    const timeToLimit = scaledTime === null ? null : inRealTime(scaledTime, timeScale);
    const growths = this.#census?.growths ?? [];
    const open = this.openAlerts();
    const found = findingsOf(verdicts).map((finding) => ({
      finding,
      known: knownLeak(finding, growths, open),
    }));
    const transitions = this.#alerts.update({
      findings: found.flatMap(({ finding, known }) => (known === null ? [finding] : [])),
      confirmed: new Set(found.flatMap(({ known }) => (known === null ? [] : [known.id]))),
      undecided: undecidedDetectors(measured, view),
      locationOf: (finding) => locationFor(finding, growths),
      nowMs: history.nowMs,
      wallMs: sample.wallMs,
      uptimeMs: this.#uptimeMs,
      timeToLimit,
      timeToLimitScaledMs: scaledTime?.ms ?? null,
    });
    const suspicion = isSuspicious(measured, view);
    this.#latest = {
      verdicts,
      transitions,
      timeToLimit,
      growthBytesPerHour: growthByPool(history, view.trend),
      suspicion,
      ...memory,
      confirming: this.#alerts.isConfirming || (suspicion && sampleNeedsAll(sample)),
    };
    return this.#latest;
  }

  #withCensus(
    measured: readonly Verdict[],
    { memoryGrows, buffersPerHour }: Pick<DetectionResult, 'memoryGrows' | 'buffersPerHour'>,
    situation: Pick<Situation, 'nowMs' | 'timeToLimitMs'>,
  ): Verdict[] {
    const { nowMs } = situation;
    this.#memoryFoundSinceMs = memoryGrows ? (this.#memoryFoundSinceMs ?? nowMs) : null;
    this.#buffersFoundSinceMs = buffersPerHour === null ? null : (this.#buffersFoundSinceMs ?? nowMs);
    return applyCensus(measured, this.#census, {
      ...situation,
      memoryFoundSinceMs: this.#memoryFoundSinceMs,
      buffersFoundSinceMs: this.#buffersFoundSinceMs,
    });
  }

  checkHeartbeat(silentMs: number, wallMs: number): Alert[] {
    const finding = blockedLoop(silentMs);
    return finding === null
      ? this.#alerts.endEvent('blocked-loop', 'the event loop runs again', {
          nowMs: this.#history.nowMs,
          wallMs,
        })
      : this.#open(finding, wallMs);
  }

  reportCrash(record: CrashRecord, { wallMs, limits }: Pick<Sample, 'wallMs' | 'limits'>): Alert[] {
    const death = findProcessDeath(record, { wallMs, oomKills: limits.containerOomKills });
    return death === null ? [] : this.#open(death.finding, wallMs, death.also);
  }

  #open(finding: Finding, wallMs: number, also: readonly Because[] = []): Alert[] {
    const nowMs = this.#history.nowMs;
    const { timeToLimit } = this.#latest;
    return this.#alerts.raise(finding, { nowMs, wallMs, uptimeMs: this.#uptimeMs, timeToLimit }, also);
  }

  setCensus(evidence: CensusEvidence, wallMs: number): Alert[] {
    this.#census = evidence;
    const because = contradiction(evidence);
    return because === null ? [] : this.#alerts.close(because, wallMs, ({ kind }) => MEMORY_KINDS.has(kind));
  }

  updateAlert(alertId: string, { snapshot, culprit, ...update }: AlertUpdate, wallMs: number): Alert[] {
    const before = this.openAlerts().find(({ id }) => id === alertId);
    const snapshots = [...(before?.snapshots ?? []), ...(snapshot === undefined ? [] : [snapshot])];
    // An object without a line, as `JSArrayBufferData`, tells less than the line that another step has found.
    const isWorse = culprit === undefined || rankRootCause(culprit) < rankRootCause(before?.culprit ?? null);
    const named = isWorse ? {} : { culprit };
    return this.#alerts.amend(alertId, { ...update, ...named, snapshots }, wallMs);
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

const inRealTime = (time: TimeToLimit, timeScale: number): TimeToLimit => ({
  ...time,
  ms: time.ms / timeScale,
  lowMs: time.lowMs / timeScale,
  highMs: time.highMs === null ? null : time.highMs / timeScale,
});
