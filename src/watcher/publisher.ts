/** Transitions leave one after the other, each with its report already written beside it. */
import type { Link, FromWatcher } from '../channel.ts';
import type { Guard } from '../core/guard.ts';
import type { Alert, Analysis } from '../types/index.ts';
import type { Outputs } from './outputs.ts';
import type { WatcherState } from './state.ts';

interface Deps {
  readonly outputs: Outputs;
  readonly state: WatcherState;
  readonly link: Link<FromWatcher>;
  readonly guard: Guard;
  /** What follows once it is out. */
  readonly next: (alert: Alert) => void;
}

export class Publisher {
  readonly #deps: Deps;
  /** Of open alerts, whose number signals bounds. */
  readonly #analyses = new Map<string, Analysis>();
  readonly #open = new Map<string, Alert>();
  #turn: Promise<void> = Promise.resolve();

  constructor(deps: Deps, restored: readonly Alert[]) {
    this.#deps = deps;
    for (const alert of restored) this.#open.set(alert.id, alert);
    deps.state.alerts(this.open());
  }

  publish(transitions: readonly Alert[]): void {
    for (const alert of transitions) {
      this.#turn = this.#turn.then(() =>
        this.#deps.guard.runAsync('publish', () => this.#publishOne(alert), undefined),
      );
    }
  }

  /** For the reports of this alert from now on. */
  analysed(alertId: string, analysis: Analysis): void {
    if (this.#open.has(alertId)) this.#analyses.set(alertId, analysis);
  }

  /** As they were last published. */
  open(): readonly Alert[] {
    return [...this.#open.values()];
  }

  /** When everything is out. */
  idle(): Promise<void> {
    return this.#turn;
  }

  async #publishOne(alert: Alert): Promise<void> {
    const { outputs, state, link, next } = this.#deps;
    const analysis = this.#analyses.get(alert.id) ?? null;
    const known = withoutExcuse(alert);
    const complete = {
      ...known,
      report: await outputs.report(known, { points: state.points(), analysis }),
    };
    this.#remember(complete);
    state.alerts(this.open());
    outputs.alert(complete);
    link.send('transition', complete);
    if (complete.report !== null)
      link.send('report', { alertId: alert.id, file: outputs.pathOf(complete.report) });
    next(complete);
  }

  #remember(alert: Alert): void {
    if (alert.event !== 'closed') {
      this.#open.set(alert.id, alert);
      return;
    }
    this.#open.delete(alert.id);
    this.#analyses.delete(alert.id);
  }
}

/** Why there is no culprit must not stand beside one. */
function withoutExcuse(alert: Alert): Alert {
  if (alert.culprit === null) return alert;
  const { culpritBecause: _, ...rest } = alert;
  return rest;
}
