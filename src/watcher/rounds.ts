/**
 * A round: two snapshots some hundred connections apart, a third where two are not clear, and the analysis of what
 * grew between them. One at a time; alerts that open meanwhile join it and share what it finds.
 */
import type { Guard } from '../core/guard.ts';
import type { Alert, AllocationProfile, Analysis, Clock, Sample, Snapshot } from '../types/index.ts';
import { culpritOf, isClear, madeBy } from './culprit.ts';
import type { News } from './follow-up.ts';

export interface RoundDeps {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly timeScale: number;
  /** Takes one, redacted and in its final place, or says why not. */
  readonly take: (alertId: string, label: string) => Promise<Snapshot>;
  /** An analysis, or why there is none. */
  readonly analyse: (files: readonly string[]) => Promise<Analysis | string>;
  /** What a profile of allocations saw until now; it ends with that. */
  readonly profile: () => Promise<AllocationProfile | null>;
  readonly learn: (alertId: string, news: News) => void;
  readonly analysed: (alertId: string, analysis: Analysis) => void;
}

interface Round {
  /** Alerts that still want to know. */
  readonly wanting: Map<string, Alert>;
  /** Those whose culprit is known from elsewhere: the first snapshot, which shows who holds what, is enough. */
  readonly onlyOne: Set<string>;
  /** Those for which a culprit was named, clear or not. */
  readonly named: Set<string>;
  readonly snapshots: Snapshot[];
  readonly files: string[];
  profile: AllocationProfile | null;
  /** Connections opened before each snapshot. */
  readonly served: number[];
  takenAtMs: number;
  wake: (() => void) | null;
}

/** What leaks by the connection shows clearly once so many more were served. */
const MORE_CONNECTIONS = 200;
/** Or a window later, whatever happened. */
const WINDOW_MS = 15 * 60_000;
/** Memory that runs out sooner is looked at sooner: after this share of the time that is left. */
const SHARE_OF_TIME_LEFT = 0.25;
const WAITS = `a second snapshot shows who holds more: after ${MORE_CONNECTIONS} more connections, or ${WINDOW_MS / 60_000} min`;
const MAX_SNAPSHOTS = 3;
/** Each snapshot stops the server, and evidence repeats itself. */
const ROUNDS_PER_DAY = 6;
const DAY_MS = 24 * 3_600_000;

const connectionsServed = (sample: Sample | null): number =>
  Object.values(sample?.connections.openedTotal ?? {}).reduce((sum, count) => sum + count, 0);

export class Rounds {
  readonly #deps: RoundDeps;
  #begunAtMs: number[] = [];
  #round: Round | null = null;
  #last: Sample | null = null;

  constructor(deps: RoundDeps) {
    this.#deps = deps;
  }

  join(alert: Alert, isLocated: boolean): void {
    const { learn } = this.#deps;
    if (this.#round !== null) {
      if (isLocated) this.#round.onlyOne.add(alert.id);
      this.#round.wanting.set(alert.id, alert);
      for (const snapshot of this.#round.snapshots) learn(alert.id, { snapshot });
    } else if (this.#isQuotaUsedUp()) {
      const reason = `${ROUNDS_PER_DAY} rounds of snapshots were taken within a day`;
      learn(alert.id, { snapshot: { outcome: 'refused', reason }, culpritBecause: `no snapshot: ${reason}` });
    } else {
      void this.#deps.guard.runAsync('snapshots', () => this.#run(alert, isLocated), undefined);
    }
  }

  leave(alertId: string): void {
    this.#round?.wanting.delete(alertId);
  }

  sample(sample: Sample): void {
    this.#last = sample;
    const round = this.#round;
    if (round === null || round.wake === null || !this.#isTime(round)) return;
    const { wake } = round;
    round.wake = null;
    wake();
  }

  stop(): void {
    this.#round?.wanting.clear();
  }

  #isQuotaUsedUp(): boolean {
    const { clock, timeScale } = this.#deps;
    const dayAgoMs = clock.nowMs() - DAY_MS / timeScale;
    this.#begunAtMs = this.#begunAtMs.filter((atMs) => atMs >= dayAgoMs);
    return this.#begunAtMs.length >= ROUNDS_PER_DAY;
  }

  async #run(alert: Alert, isLocated: boolean): Promise<void> {
    this.#begunAtMs.push(this.#deps.clock.nowMs());
    const round = beginRound(alert, isLocated);
    const { wanting } = round;
    this.#round = round;
    try {
      for (let n = 1; n <= MAX_SNAPSHOTS && wanting.size > 0; n += 1) {
        if (n > 1) await this.#moreTraffic(round);
        if (wanting.size === 0) return;
        const isWritten = await this.#takeOne(round, { folder: alert.id, label: `${n}` });
        if (!isWritten) return await this.#withoutSnapshot(round);
        if (n > 1) await this.#compare(round);
      }
      this.#giveUp(round, 'the snapshots do not show one container that grows');
    } finally {
      this.#round = null;
    }
  }

  #moreTraffic(round: Round): Promise<void> {
    return new Promise((resolve) => (round.wake = resolve));
  }

  async #takeOne(round: Round, { folder, label }: { folder: string; label: string }): Promise<boolean> {
    const { take, learn, clock } = this.#deps;
    // Counted from here: redaction goes on long after the heap was written.
    round.served.push(connectionsServed(this.#last));
    round.takenAtMs = clock.nowMs();
    const snapshot = await take(folder, label);
    round.snapshots.push(snapshot);
    const isWritten = snapshot.outcome === 'written';
    const missing = round.files.length === 0 ? 'no snapshot' : 'no second snapshot to compare with';
    const isFirst = isWritten && round.files.length === 0;
    const culpritBecause = isWritten ? (isFirst ? WAITS : null) : `${missing}: ${snapshot.reason}`;
    for (const id of round.wanting.keys()) {
      const isNamed = round.named.has(id) || round.onlyOne.has(id);
      learn(id, culpritBecause === null || isNamed ? { snapshot } : { snapshot, culpritBecause });
    }
    if (isWritten) round.files.push(snapshot.file);
    for (const id of round.onlyOne) round.wanting.delete(id);
    return isWritten;
  }

  /** Whatever is refused, the alert names the best that it has: who holds most, or the line that makes what stays. */
  async #withoutSnapshot(round: Round): Promise<void> {
    if (round.files.length === 0) await this.#moreTraffic(round);
    const profile = await this.#deps.profile();
    const single = round.files.length === 1 ? await this.#deps.analyse(round.files) : null;
    const analysis = typeof single === 'string' ? null : single;
    for (const [id, alert] of round.wanting) {
      if (analysis !== null) this.#deps.analysed(id, analysis);
      const held = analysis === null ? null : culpritOf(analysis, alert, profile);
      const culprit = round.named.has(id) ? null : (held ?? madeBy(profile, alert));
      if (culprit === null) continue;
      round.named.add(id);
      this.#deps.learn(id, { culprit });
    }
    round.wanting.clear();
  }

  async #compare(round: Round): Promise<void> {
    const { analyse, analysed, learn, profile } = this.#deps;
    const analysis = await analyse(round.files);
    if (typeof analysis === 'string') {
      this.#giveUp(round, `the snapshots were not analysed: ${analysis}`);
      return;
    }
    round.profile ??= await profile();
    for (const [id, alert] of round.wanting) {
      analysed(id, analysis);
      const culprit = culpritOf(analysis, alert, round.profile, openedDuring(round));
      if (culprit === null) continue;
      round.named.add(id);
      learn(id, { culprit });
      if (isClear(culprit)) round.wanting.delete(id);
    }
  }

  #giveUp(round: Round, culpritBecause: string): void {
    for (const id of round.wanting.keys()) if (!round.named.has(id)) this.#deps.learn(id, { culpritBecause });
    round.wanting.clear();
  }

  #isTime({ wanting, served: before, takenAtMs }: Round): boolean {
    const { clock, timeScale } = this.#deps;
    const leftMs = [...wanting.values()].map(
      ({ timeToLimit }) => timeToLimit?.ms ?? Number.POSITIVE_INFINITY,
    );
    const waitMs = Math.min(WINDOW_MS / timeScale, Math.min(...leftMs) * SHARE_OF_TIME_LEFT);
    const served = connectionsServed(this.#last) - (before.at(-1) ?? 0);
    return wanting.size === 0 || served >= MORE_CONNECTIONS || clock.nowMs() - takenAtMs >= waitMs;
  }
}

const openedDuring = ({ served }: Round): number => (served.at(-1) ?? 0) - (served[0] ?? 0);

const beginRound = (alert: Alert, isLocated: boolean): Round => ({
  wanting: new Map([[alert.id, alert]]),
  onlyOne: new Set(isLocated ? [alert.id] : []),
  named: new Set(),
  snapshots: [],
  files: [],
  profile: null,
  served: [],
  takenAtMs: 0,
  wake: null,
});
