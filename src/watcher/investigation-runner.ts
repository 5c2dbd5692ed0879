/** Executes the actions of `investigate/` in the watcher and feeds their results back to it as events. */
import type { FromWatcher, Link } from '../channel.ts';
import {
  initialState,
  type AlertUpdate,
  type InvestigationAction,
  type InvestigationEvent,
  type InvestigationState,
} from '../investigate/investigation-state.ts';
import { transition } from '../investigate/investigation.ts';
import { mapToSource } from '../investigate/map-to-source.ts';
import { sourceFiles } from '../analyse/locate/source-files.ts';
import type { Alert, Analysis, Culprit, Sample, Snapshot } from '../types/index.ts';
import type { WatcherContext } from './context.ts';
import type { SnapshotQueue } from './snapshot-queue.ts';

/** The inspector answers within milliseconds; a blocked application thread answers when it runs again. */
const REPLY_DEADLINE_MS = 30_000;
const FAULT = 'a fault of the agent, see the log';

interface Deps {
  readonly link: Link<FromWatcher>;
  readonly snapshots: SnapshotQueue;
  readonly updateAlert: (alertId: string, update: AlertUpdate) => void;
  readonly attachAnalysis: (alertId: string, analysis: Analysis) => void;
}

export class InvestigationRunner {
  readonly #context: WatcherContext;
  readonly #deps: Deps;
  #state: InvestigationState;

  constructor(context: WatcherContext, deps: Deps) {
    this.#context = context;
    this.#deps = deps;
    this.#state = initialState(context.setup.config.timeScale);
  }

  /** Call it with each published transition of an alert. */
  alert(alert: Alert): void {
    this.#dispatch({ type: 'alert', alert });
  }

  sample(sample: Sample, isSuspected: boolean): void {
    this.#dispatch({ type: 'sample', sample, isSuspected });
  }

  stop(): void {
    this.#dispatch({ type: 'stopped' });
  }

  #dispatch(event: InvestigationEvent): void {
    const { clock, guard } = this.#context;
    guard.run(
      'investigation',
      () => {
        const { state, actions } = transition(this.#state, event, clock.nowMs());
        this.#state = state;
        for (const action of actions) guard.run(action.type, () => this.#execute(action), undefined);
      },
      undefined,
    );
  }

  #execute(action: InvestigationAction): void {
    const { link, snapshots, updateAlert, attachAnalysis } = this.#deps;
    switch (action.type) {
      case 'update-alert':
        return updateAlert(action.alertId, this.#mapCulprit(action.update));
      case 'attach-analysis':
        return attachAnalysis(action.alertId, action.analysis);
      case 'take-snapshot':
        return this.#reply(
          'snapshot',
          () => snapshots.take(action.alertId, action.label),
          FAILED_SNAPSHOT,
          (snapshot) => ({ type: 'snapshot-ended', snapshot }),
        );
      case 'analyse':
        return this.#reply(
          'analysis',
          () => snapshots.analyse(action.files),
          FAULT,
          (analysis) => ({ type: 'analysis-ended', analysis }),
        );
      case 'locate-listener': {
        const { alertId, emitter, event } = action;
        return this.#reply(
          'locate',
          () => link.request('locateListener', { emitter, event }, REPLY_DEADLINE_MS),
          null,
          (culprit) => ({ type: 'line-located', alertId, culprit: culprit && this.#toSource(culprit) }),
        );
      }
      case 'locate-resources': {
        const { alertId, resource } = action;
        return this.#reply(
          'locate',
          () => link.request('locateResources', resource, REPLY_DEADLINE_MS),
          null,
          (culprit) => ({ type: 'line-located', alertId, culprit: culprit && this.#toSource(culprit) }),
        );
      }
      case 'start-profile':
        return void link.request('profile', 'start', REPLY_DEADLINE_MS);
      case 'read-profile':
        return void link.request('profile', 'read', REPLY_DEADLINE_MS);
      case 'stop-profile':
        return this.#reply(
          'profile',
          () => link.request('profile', 'stop', REPLY_DEADLINE_MS),
          null,
          (profile) => ({ type: 'profile-ended', profile }),
        );
    }
  }

  #mapCulprit({ culprit, ...update }: AlertUpdate): AlertUpdate {
    return culprit === undefined ? update : { ...update, culprit: this.#toSource(culprit) };
  }

  /** A line that was located in running code is mapped before the state machine asks whose code it is. */
  #toSource(culprit: Culprit): Culprit {
    const map = (): Culprit => mapToSource(culprit, process.cwd(), (place) => sourceFiles().original(place));
    return this.#context.guard.run('source map', map, culprit);
  }

  /** Every action that has a reply gets one, a fault included: the state machine waits for it. */
  #reply<T>(
    part: string,
    task: () => Promise<T>,
    fallback: T,
    toEvent: (result: T) => InvestigationEvent,
  ): void {
    const { guard } = this.#context;
    void guard.runAsync(part, task, fallback).then((result) => this.#dispatch(toEvent(result)));
  }
}

const FAILED_SNAPSHOT: Snapshot = { outcome: 'failed', code: 'WSGUARD_CAPTURE_FAILED', reason: FAULT };
