/** Publishes alert transitions one after the other. The report of a transition is written before the alert leaves. */
import type { FromWatcher, Link } from '../channel.ts';
import type { Alert, Analysis, ReportPoint } from '../types/index.ts';
import type { WatcherContext } from './context.ts';
import type { Outputs } from './outputs.ts';
import type { WatcherState } from './state.ts';

interface Deps {
  readonly outputs: Outputs;
  readonly state: WatcherState;
  readonly link: Link<FromWatcher>;
  readonly onPublished: (alert: Alert) => void;
}

export class Publisher {
  readonly #context: WatcherContext;
  readonly #deps: Deps;
  /** Open alerts as they were last published. The number of open alerts is bounded by `alert/`. */
  readonly #open = new Map<string, Alert>();
  readonly #analyses = new Map<string, Analysis>();
  readonly #points = new Map<string, readonly ReportPoint[]>();
  #queue: Promise<void> = Promise.resolve();

  constructor(context: WatcherContext, deps: Deps) {
    this.#context = context;
    this.#deps = deps;
  }

  restore(alerts: readonly Alert[]): void {
    for (const alert of alerts) this.#open.set(alert.id, alert);
    this.#deps.state.setOpenAlerts(this.openAlerts());
  }

  /** `points`: the charts of these alerts; without them those of this process. */
  publish(transitions: readonly Alert[], points: readonly ReportPoint[] | null = null): void {
    const { guard } = this.#context;
    for (const alert of transitions) {
      if (points !== null) this.#points.set(alert.id, points);
      this.#queue = this.#queue.then(() =>
        guard.runAsync('publish', () => this.#publishOne(alert), undefined),
      );
    }
  }

  /** All later reports of this alert contain the analysis. */
  attachAnalysis(alertId: string, analysis: Analysis): void {
    if (this.#open.has(alertId)) this.#analyses.set(alertId, analysis);
  }

  openAlerts(): readonly Alert[] {
    return [...this.#open.values()];
  }

  /** Resolves when all transitions so far are published. */
  idle(): Promise<void> {
    return this.#queue;
  }

  async #publishOne(transition: Alert): Promise<void> {
    const { outputs, state, link, onPublished } = this.#deps;
    const analysis = this.#analyses.get(transition.id) ?? null;
    const alert = withoutObsoleteReason(transition);
    const points = this.#points.get(alert.id) ?? state.points();
    const report = await outputs.writeReport(alert, { points, analysis });
    const published = { ...alert, report };
    this.#remember(published);
    state.setOpenAlerts(this.openAlerts());
    outputs.sendAlert(published);
    link.send('transition', published);
    if (report !== null) link.send('report', { alertId: alert.id, file: outputs.reportPath(report) });
    onPublished(published);
  }

  #remember(alert: Alert): void {
    if (alert.event !== 'closed') {
      this.#open.set(alert.id, alert);
      return;
    }
    this.#open.delete(alert.id);
    this.#analyses.delete(alert.id);
    this.#points.delete(alert.id);
  }
}

/** `culpritBecause` says why there is no culprit, so it goes when there is one. */
function withoutObsoleteReason(alert: Alert): Alert {
  if (alert.culprit === null) return alert;
  const { culpritBecause: _, ...rest } = alert;
  return rest;
}
