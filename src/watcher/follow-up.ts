/**
 * What follows an alert, one rung of evidence after the other: the line that registered a listener, then snapshots
 * and what grew between them. Each rung may be refused; the alert says why.
 */
import type { Link, FromWatcher } from '../channel.ts';
import type { Alert, Culprit, Kind, Sample, Snapshot } from '../types/index.ts';
import { capturesEvidence } from '../kinds/index.ts';
import { Rounds, type RoundDeps } from './rounds.ts';

const LOCATE_DEADLINE_MS = 30_000;

/** What a rung of evidence brought. */
export interface News {
  readonly snapshot?: Snapshot;
  readonly culprit?: Culprit;
  readonly culpritBecause?: string;
}

interface Deps extends RoundDeps {
  readonly link: Link<FromWatcher>;
}

export class FollowUp {
  readonly #deps: Deps;
  readonly #rounds: Rounds;
  /** The kind that was looked into, by alert: a clearer finding may rename it. */
  readonly #followed = new Map<string, Kind>();
  #emitters: Sample['emitters'] = [];

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#rounds = new Rounds(deps);
  }

  transition(alert: Alert): void {
    const { id, kind } = alert;
    if (alert.event === 'closed') {
      this.#rounds.leave(id);
      this.#followed.delete(id);
      return;
    }
    if (!capturesEvidence(kind) || this.#followed.get(id) === kind) return;
    const isNew = !this.#followed.has(id);
    this.#followed.set(id, kind);
    void this.#deps.guard.runAsync('follow-up', () => this.#pursue(alert, isNew), undefined);
  }

  sample(sample: Sample): void {
    this.#emitters = sample.emitters;
    this.#rounds.sample(sample);
  }

  stop(): void {
    this.#rounds.stop();
  }

  async #pursue(alert: Alert, isNew: boolean): Promise<void> {
    const culprit = alert.kind === 'listener-accumulation' ? await this.#locate(alert) : null;
    if (isNew) this.#rounds.join(alert, culprit !== null);
    else if (culprit !== null) this.#rounds.leave(alert.id);
    if (culprit !== null) this.#deps.learn(alert.id, { culprit });
  }

  async #locate({ subject }: Alert): Promise<Culprit | null> {
    const row = this.#emitters.find(({ emitter, event }) => subject === `${emitter} ${event}`);
    if (row === undefined) return null;
    const { emitter, event } = row;
    return this.#deps.link.request('locateListener', { emitter, event }, LOCATE_DEADLINE_MS);
  }
}
