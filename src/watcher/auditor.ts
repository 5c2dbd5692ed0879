/**
 * `Auditor`: takes censuses of containers when they are due, compares them, and gives the result to the detection. One
 * census at a time.
 */
import type { AlertUpdate } from '../investigate/investigation-state.ts';
import { nextAuditMs } from '../investigate/audit-schedule.ts';
import type { CensusEvidence } from '../detect/census-evidence.ts';
import { isBetterRootCause, isFinalRootCause, rootCauseFor } from '../detect/census-root-cause.ts';
import {
  evaluateContainers,
  MAX_CENSUSES,
  type AuditedCensus,
  type ContainerGrowth,
  type MemoryGrowth,
} from '../detect/container-growth.ts';
import type { DetectionResult } from '../detection.ts';
import { refused } from '../core/outcome.ts';
import type { Alert, Audit, ContainerRow, Failed, Sample, Suspect } from '../types/index.ts';
import type { WatcherContext } from './context.ts';
import type { TakenCensus } from '../snapshots/take-census.ts';
import { noForkReason, type SnapshotQueue } from './snapshot-queue.ts';

/** A census that shows less growth of the heap than this shows nothing. */
const MIN_HEAP_GROWTH_BYTES = 2 * 1024 * 1024;
const MIN_HEAP_GROWTH_SHARE = 0.05;
/** Far more alerts than are open at one time (`alert/alerts.ts`). */
const MAX_ALERTS = 100;
/** Chosen: far more connections than close in the half minute for which ws keeps a socket. */
const MIN_RETAINED = { connections: 20, share: 0.5 } as const;
/** Buffers have grown for half an hour or longer when they are a finding, so a census of that time has seen the growth. */
const MAX_CENSUS_AGE_MS = 30 * 60_000;
const FAULT: Failed = {
  outcome: 'failed',
  code: 'WSGUARD_ANALYSIS_FAULT',
  reason: 'the audit ended on a fault of the agent; the log has the error',
};

interface Deps {
  readonly snapshots: SnapshotQueue;
  readonly onEvidence: (evidence: CensusEvidence) => void;
  readonly updateAlert: (alertId: string, update: AlertUpdate) => void;
}

interface Latest {
  readonly sample: Sample;
  readonly receivedMs: number;
  readonly isSuspected: boolean;
  readonly memory: MemoryGrowth;
}

export class Auditor {
  readonly #context: WatcherContext;
  readonly #deps: Deps;
  readonly #outcomes = new Map<Audit['outcome'], number>();
  /** Why scheduled censuses are not possible; null when they are. */
  readonly #unavailable: string | null;
  #censuses: readonly AuditedCensus[] = [];
  #doneAtMs: readonly number[] = [];
  /** Attempts since the last census that were refused or failed. */
  #refused: { readonly atMs: number; readonly inARow: number; readonly reason: string } | null = null;
  /** A suspicion that pauses between two censuses continues. */
  #suspectedSinceMs: number | null = null;
  #growths: readonly ContainerGrowth[] = [];
  /** The growth of memory by which they were judged. */
  #memory: MemoryGrowth = { memoryGrows: false, buffersPerHour: null };
  /** Containers that leaked when the last census was taken. */
  #foundAtCensus = 0;
  /** Open alerts without a certain root cause in the application's code, by id. */
  readonly #unexplained = new Map<string, Pick<Alert, 'kind' | 'subject' | 'culprit' | 'evidence'>>();
  readonly #open = new Map<string, Pick<Alert, 'kind' | 'subject' | 'evidence'>>();
  #latest: Latest | null = null;
  #running: Promise<Audit> | null = null;

  constructor(context: WatcherContext, deps: Deps) {
    this.#context = context;
    this.#deps = deps;
    this.#unavailable = unavailableBecause(context);
    this.#deps.onEvidence(this.#evidence());
  }

  /** Call it with each sample. */
  sample(sample: Sample, { suspicion, memoryGrows, buffersPerHour }: DetectionResult): void {
    const receivedMs = this.#context.clock.nowMs();
    this.#latest = {
      sample,
      receivedMs,
      isSuspected: suspicion,
      memory: { memoryGrows, buffersPerHour },
    };
    this.#judgeByBuffers(this.#latest);
    if (suspicion) this.#suspectedSinceMs ??= this.#scaledMs(this.#latest);
    const dueMs = this.#nextMs();
    if (dueMs === null || this.#running !== null || this.#scaledMs(this.#latest) < dueMs) return;
    void this.#start(true);
  }

  /** Takes a census now, or joins the one that is under way. Never rejects. */
  audit(): Promise<Audit> {
    return this.#start(false);
  }

  #start(isScheduled: boolean): Promise<Audit> {
    this.#running ??= this.#context.guard
      .runAsync('audit', () => this.#takeCensus(isScheduled), FAULT)
      .then((audit) => {
        this.#running = null;
        this.#outcomes.set(audit.outcome, (this.#outcomes.get(audit.outcome) ?? 0) + 1);
        this.#log(audit);
        return audit;
      });
    return this.#running;
  }

  /**
   * Gives a root cause from the latest censuses to an alert that has none, none in the application's code, or an uncertain
   * one. Call it with each published transition.
   */
  alert({ id, event, kind, subject, culprit, evidence }: Alert): void {
    this.#unexplained.delete(id);
    this.#open.delete(id);
    if (event !== 'closed' && this.#open.size < MAX_ALERTS) this.#open.set(id, { kind, subject, evidence });
    if (event === 'closed' || isFinalRootCause(culprit)) return;
    if (this.#unexplained.size < MAX_ALERTS) this.#unexplained.set(id, { kind, subject, culprit, evidence });
    this.#explainAlerts();
  }

  #explainAlerts(): void {
    for (const [id, alert] of [...this.#unexplained]) {
      const culprit = rootCauseFor(alert, this.#growths, [...this.#open.values()]);
      if (culprit === null || !isBetterRootCause(culprit, alert.culprit)) continue;
      this.#unexplained.delete(id);
      this.#context.log.debug({ ...alert }, 'a census names the root cause');
      this.#deps.updateAlert(id, { culprit });
    }
  }

  /** For the metrics. */
  counts(): { readonly audits: Readonly<Record<string, number>>; readonly suspects: number | null } {
    const suspects = this.#censuses.length < 2 ? null : this.#suspects().length;
    return { audits: Object.fromEntries(this.#outcomes), suspects };
  }

  async #takeCensus(isScheduled: boolean): Promise<Audit> {
    const latest = this.#latest;
    if (latest === null) return refused('the agent has no sample yet');
    const earlier = this.#censuses.at(-1)?.census.rows ?? null;
    const rows = earlier?.map(({ key, entries }) => ({ key, entries })) ?? null;
    let captured = { latest, atMs: this.#scaledMs(latest) };
    const onCaptured = (): void => {
      const current = this.#latest ?? latest;
      captured = { latest: current, atMs: this.#scaledMs(current) };
    };
    const taken = await this.#deps.snapshots.takeCensus({ earlier: rows, mayStop: !isScheduled, onCaptured });
    if (taken.outcome !== 'done') {
      const inARow = (this.#refused?.inARow ?? 0) + 1;
      this.#refused = { atMs: this.#scaledMs(latest), inARow, reason: taken.reason };
      this.#deps.onEvidence(this.#evidence());
      return taken;
    }
    this.#add(taken, captured.latest, captured.atMs);
    return {
      outcome: 'done',
      at: new Date(this.#context.clock.wallMs()).toISOString(),
      pauseMs: taken.pauseMs,
      cpuMs: taken.cpuMs,
      snapshotBytes: taken.snapshotBytes,
      peakRssBytes: taken.peakRssBytes,
      containers: taken.census.rows.length,
      suspects: this.#suspects().map(toSuspect),
    };
  }

  /**
   * An alert about Buffers opens a minute after their growth is a finding: until then the containers of the last census are
   * judged by it, if that census can have seen the growth. When the growth ends, they are judged without it.
   */
  #judgeByBuffers(latest: Latest): void {
    const { buffersPerHour } = latest.memory;
    const grows = buffersPerHour !== null;
    if (grows === (this.#memory.buffersPerHour !== null)) return;
    if (grows && this.#scaledMs(latest) - (this.#doneAtMs.at(-1) ?? -Infinity) > MAX_CENSUS_AGE_MS) return;
    this.#evaluate({ ...this.#memory, buffersPerHour });
    this.#publish();
  }

  #evaluate(memory: MemoryGrowth): void {
    this.#memory = memory;
    this.#growths = evaluateContainers(this.#censuses, memory);
  }

  #publish(): void {
    this.#deps.onEvidence(this.#evidence());
    this.#explainAlerts();
  }

  #add({ census }: TakenCensus, { sample, memory }: Latest, atMs: number): void {
    const { connections } = sample;
    const sum = (counts: Readonly<Record<string, number>>): number =>
      Object.values(counts).reduce((total, count) => total + count, 0);
    const audited: AuditedCensus = {
      atMs,
      closedTotal: sum(connections.closedTotal),
      active: sum(connections.active),
      workedOff: sample.registries.filter(({ isWorkedOff }) => isWorkedOff === true),
      census: { ...census, rows: census.rows.map((row) => this.#inScaledTime(row)) },
    };
    this.#censuses = [...this.#censuses, audited].slice(-MAX_CENSUSES);
    this.#doneAtMs = [...this.#doneAtMs, audited.atMs].slice(-MAX_CENSUSES);
    this.#refused = null;
    this.#evaluate(memory);
    this.#foundAtCensus = this.#growths.filter(({ answer }) => answer === 'found').length;
    const isSuspected =
      this.#suspects().length > 0 || (this.#latest?.isSuspected ?? false) || retainsClosed(audited);
    this.#suspectedSinceMs = isSuspected ? (this.#suspectedSinceMs ?? atMs) : null;
    this.#publish();
  }

  #evidence(): CensusEvidence {
    const [before, last] = this.#censuses.slice(-2);
    // One refusal passes. After a second one no finding waits for a census.
    const refusedBecause = this.#refused !== null && this.#refused.inARow >= 2 ? this.#refused.reason : null;
    return {
      unavailable: this.#unavailable ?? refusedBecause,
      growths: this.#growths,
      censuses: this.#censuses.length,
      pair:
        before === undefined || last === undefined
          ? null
          : { fromMs: before.atMs, toMs: last.atMs, showsNothing: this.#showsNothing(before, last) },
      nextMs: this.#nextMs(),
    };
  }

  #showsNothing(before: AuditedCensus, last: AuditedCensus): boolean {
    const gainedBytes = last.census.bytes - before.census.bytes;
    const minBytes = Math.max(MIN_HEAP_GROWTH_BYTES, before.census.bytes * MIN_HEAP_GROWTH_SHARE);
    return this.#suspects().length === 0 && gainedBytes < minBytes;
  }

  #suspects(): ContainerGrowth[] {
    return this.#growths.filter(({ answer }) => answer === 'found' || answer === 'inconclusive');
  }

  #nextMs(): number | null {
    if (this.#unavailable !== null) return null;
    return nextAuditMs({
      setting: this.#context.setup.config.audit,
      doneAtMs: this.#doneAtMs,
      refusedAtMs: this.#refused?.atMs ?? null,
      // A container that Buffers made a leak since then does not delay the census that may correct it.
      found: this.#foundAtCensus,
      suspectedSinceMs: this.#suspectedSinceMs,
    });
  }

  /** Censuses are compared in scaled time, and the timers of the application run in real time. */
  #inScaledTime(row: ContainerRow): ContainerRow {
    const { removedAfterMs } = row;
    const { timeScale } = this.#context.setup.config;
    return removedAfterMs === null ? row : { ...row, removedAfterMs: removedAfterMs * timeScale };
  }

  /** Scaled uptime now: a sample may be 15 s old. */
  #scaledMs({ sample, receivedMs }: Latest): number {
    const { clock, setup } = this.#context;
    return (sample.uptimeMs + clock.nowMs() - receivedMs) * setup.config.timeScale;
  }

  #log(audit: Audit): void {
    const { log } = this.#context;
    if (audit.outcome !== 'done') {
      log.debug({ ...audit }, 'no census of containers');
      return;
    }
    const { pauseMs, cpuMs, containers, suspects } = audit;
    log.debug({ pauseMs, cpuMs, containers, suspects: suspects.length }, 'took a census of containers');
  }
}

/** V8 collects garbage before it writes a snapshot, so something retains the closed connections in it. */
const retainsClosed = ({ census, closedTotal }: AuditedCensus): boolean =>
  census.connections.closed >= MIN_RETAINED.connections &&
  census.connections.closed >= closedTotal * MIN_RETAINED.share;

/** A scheduled census never stops the process for a whole snapshot, so it needs a fork. */
function unavailableBecause(context: WatcherContext): string | null {
  const { config, noFilesReason } = context.setup;
  if (config.audit === 'off') return 'censuses are switched off (WSGUARD_AUDIT=off)';
  if (config.snapshot === 'off' || config.snapshot === 'inprocess')
    return `scheduled ones need a forked process (WSGUARD_SNAPSHOT=${config.snapshot})`;
  const reason = noForkReason(context);
  return noFilesReason ?? (reason === null ? null : `cannot fork: ${reason}`);
}

function toSuspect({ row, answer, because, gained, inStep }: ContainerGrowth, index: number): Suspect {
  const objects = Math.round(gained);
  return {
    rank: index + 1,
    name: row.name,
    type: row.type === 'Weak' ? 'Map' : row.type === 'Connections' ? 'Object' : row.type,
    path: row.path,
    location: row.location,
    objects: row.entries,
    retainedBytes: row.bytes,
    growth: { objects, bytes: Math.round((row.bytes * gained) / Math.max(1, row.entries)) },
    confidence: answer === 'found' ? 0.8 : 0.4,
    containers: row.containers,
    entries: 'entries',
    example: [],
    otherRetainers: inStep,
    notes: [answer === 'found' ? because : `may be filling: ${because}`],
    known: null,
    steps: [],
    shared: [],
  };
}
