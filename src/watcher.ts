/**
 * Composer of the watcher thread: samples in; verdicts, alerts, their follow-up and all that leaves the process out.
 * Packages live here. The same code runs beside the application where Workers are forbidden.
 */
import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { HEARTBEAT_PERIOD_MS, createHeartbeatMonitor } from './agent/heartbeat-counter.ts';
import {
  createLink,
  type FromApp,
  type MessageHandlers,
  type Link,
  type Port,
  type WatcherSetup,
  type WatcherThreadData,
  type FromWatcher,
} from './channel.ts';
import { createClock } from './core/clock.ts';
import { createGuard, type Guard } from './core/guard.ts';
import { judgeDeath } from './detect/process-died.ts';
import { createLog } from './core/log.ts';
import { createDetection, type Detection } from './detection.ts';
import { composeStatus } from './report/status.ts';
import type {
  Alert,
  Blind,
  Clock,
  Culprit,
  DeadBox,
  Log,
  Sample,
  Snapshot,
  Status,
  Stop,
} from './types/index.ts';
import { sourceFiles } from './analyse/locate/source-files.ts';
import type { AlertUpdate } from './investigate/investigation.ts';
import { mapToSource } from './investigate/map-to-source.ts';
import { createSnapshotQueue, type SnapshotQueue } from './watcher/snapshot-queue.ts';
import { InvestigationRunner } from './watcher/investigation-runner.ts';
import { openPersistence, type Persistence } from './watcher/persistence.ts';
import { Outputs } from './watcher/outputs.ts';
import { createWatcherState, type WatcherState } from './watcher/state.ts';
import { Publisher } from './watcher/publisher.ts';
import { createPingScheduler, type PingScheduler } from './watcher/ping-scheduler.ts';
import { logStart } from './watcher/start-line.ts';

/** Caches fill, code is compiled: a baseline before that shows growth that is none. */
const WARM_UP_MS = 10 * 60_000;

/** The watcher of one process. Everything that comes from the other side passes the guard. */
class Watcher {
  readonly #setup: WatcherSetup;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #guard: Guard;
  readonly #detection: Detection;
  readonly #state: WatcherState;
  readonly #outputs: Outputs;
  readonly #link: Link<FromWatcher>;
  readonly #publisher: Publisher;
  readonly #persistence: Persistence;
  readonly #snapshots: SnapshotQueue;
  readonly #investigation: InvestigationRunner;
  readonly #pingScheduler: PingScheduler;
  readonly #stops: Stop[];
  #blind: readonly Blind[] = [];
  #hasBaseline: boolean;
  #dead: DeadBox[] = [];

  constructor(setup: WatcherSetup, port: Port, clock: Clock) {
    const { config, identity } = setup;
    const thread = setup.noThreadReason === null ? 'watcher' : 'app';
    this.#setup = setup;
    this.#hasBaseline = setup.restarts > 0;
    this.#clock = clock;
    const log = (this.#log = createLog({ level: config.log, clock, thread }));
    const guard = (this.#guard = createGuard(({ part, error, switchedOff }) =>
      log.error({ code: 'WSGUARD_FAULT', part, error, switchedOff }, 'a part of the agent failed'),
    ));
    this.#detection = createDetection({ identity, config, newId: randomUUID });
    const state = (this.#state = createWatcherState(setup, guard));
    const outputs = (this.#outputs = new Outputs({ setup, clock, log, guard, ...state }));
    const link = (this.#link = createLink<FromWatcher, FromApp>({ port, clock, guard }, this.#ears()));
    const persistence = (this.#persistence = openPersistence(setup, clock, guard));
    this.#publisher = new Publisher(
      { outputs, state, link, guard, next: this.#published },
      persistence.alerts,
    );
    const snapshots = createSnapshotQueue({ setup, clock, link, onEnded: this.#snapshotEnded });
    this.#snapshots = snapshots;
    this.#investigation = new InvestigationRunner({
      clock,
      guard,
      link,
      timeScale: config.timeScale,
      snapshots,
      updateAlert: this.#updateAlert,
      attachAnalysis: (alertId, analysis) => this.#publisher.analysed(alertId, analysis),
    });
    this.#pingScheduler = createPingScheduler(link, clock, config.timeScale);
    this.#stops = [() => outputs.abandon(), () => this.#investigation.stop(), this.#listen()];
    this.#dead = [...persistence.dead];
    guard.run('black box', () => this.#detection.restore(persistence.alerts), undefined);
    void outputs.ready.then(() => link.send('ready', null));
  }

  stop(): void {
    for (const stop of this.#stops) this.#guard.run('stop', stop, undefined);
  }

  #ears(): MessageHandlers<FromApp> {
    return {
      onMessage: {
        sample: this.#guard.wrap('sample', (heard) => this.#sample(heard)),
        attached: this.#guard.wrap('start line', (attached) => {
          this.#blind = attached.blind;
          logStart({ setup: this.#setup, log: this.#log, attached, exported: this.#outputs.exported() });
        }),
      },
      onRequest: {
        status: () => Promise.resolve(this.#status()),
        snapshot: (label) => this.#snapshots.take(null, label),
        stop: () => this.#end(),
      },
    };
  }

  #sample({ sample, counters }: FromApp['messages']['sample']): void {
    this.#tellOfDeaths(sample);
    this.#persistence.sample(sample);
    const step = this.#detection.addSample(sample);
    this.#state.sample(sample, counters, step);
    this.#pingScheduler.consider(step);
    this.#publisher.publish(step.transitions);
    this.#investigation.sample(sample, step.suspicion);
    this.#takeBaseline(sample);
    this.#link.send('ack', { seq: sample.seq, metrics: this.#state.metrics() });
  }

  /** With the first sample, which says whether the container has killed since. */
  #tellOfDeaths({ wallMs, limits }: Sample): void {
    for (const box of this.#dead.splice(0)) {
      const now = { wallMs, oomKills: limits.containerOomKills };
      const death = this.#guard.run('black box', () => judgeDeath(box, now), null);
      if (death === null) continue;
      this.#publisher.publish(this.#detection.raise(death.finding, wallMs, death.also));
    }
  }

  /** WSGUARD_SNAPSHOT_BASELINE: what the heap looks like before anything could have leaked. */
  #takeBaseline({ uptimeMs }: Sample): void {
    const { timeScale, snapshotBaseline } = this.#setup.config;
    if (this.#hasBaseline || snapshotBaseline === 'off' || uptimeMs * timeScale < WARM_UP_MS) return;
    this.#hasBaseline = true;
    void this.#guard.runAsync('baseline', () => this.#snapshots.take(null, 'baseline'), null);
  }

  /** The one sign that needs no message: the beat of the application's thread. */
  #listen(): Stop {
    const { heartbeat } = this.#setup;
    if (heartbeat === null) return () => undefined;
    const silentMs = createHeartbeatMonitor(heartbeat);
    const listen = (): void => {
      const transitions = this.#detection.checkHeartbeat(silentMs(this.#clock.nowMs()), this.#clock.wallMs());
      this.#publisher.publish(transitions);
    };
    return this.#clock.every(HEARTBEAT_PERIOD_MS, this.#guard.wrap('beat', listen));
  }

  readonly #published = (alert: Alert): void => {
    this.#persistence.open(this.#publisher.open());
    this.#investigation.alert(alert);
  };

  readonly #updateAlert = (alertId: string, { snapshot, culprit, ...update }: AlertUpdate): void => {
    const before = this.#detection.openAlerts().find(({ id }) => id === alertId)?.snapshots ?? [];
    const snapshots = snapshot === undefined ? before : [...before, snapshot];
    const mapped = culprit === undefined ? {} : { culprit: this.#mapToSource(culprit) };
    this.#publisher.publish(
      this.#detection.updateAlert(alertId, { ...update, ...mapped, snapshots }, this.#clock.wallMs()),
    );
  };

  #mapToSource(culprit: Culprit): Culprit {
    return this.#guard.run(
      'source map',
      () => mapToSource(culprit, process.cwd(), (place) => sourceFiles().original(place)),
      culprit,
    );
  }

  readonly #snapshotEnded = (snapshot: Snapshot, alertId: string | null): void => {
    this.#state.countSnapshot(snapshot);
    this.#link.send('snapshot', snapshot);
    if (alertId !== null) this.#outputs.file(alertId, snapshot);
  };

  #status(): Status {
    return composeStatus({
      watcher: this.#setup.noThreadReason === null ? 'running' : 'none',
      identity: this.#setup.identity,
      uptimeMs: this.#clock.wallMs() - this.#setup.startedWallMs,
      ...this.#state.known(),
      alerts: this.#publisher.open(),
      blind: this.#blind,
      noThreadReason: this.#setup.noThreadReason,
    });
  }

  async #end(): Promise<null> {
    this.#publisher.publish(this.#detection.closeAlerts('the agent was stopped', this.#clock.wallMs()));
    await this.#publisher.idle();
    await this.#outputs.close();
    this.#persistence.close();
    return null;
  }
}

export function startWatcher(setup: WatcherSetup, port: Port, clock: Clock): Stop {
  const watcher = new Watcher(setup, port, clock);
  return () => watcher.stop();
}

// An application may load this file in a Worker of its own; only a Worker that the agent started carries the mark.
const given = (workerData as { wsguard?: WatcherThreadData } | null)?.wsguard;
if (parentPort !== null && given !== undefined) {
  const port = parentPort;
  const { setup, outgoing } = given;
  // What a package prints would pile up: nobody reads these (agent/watcher-host.ts). The log does not pass here.
  process.stdout.write = process.stderr.write = () => true;
  const receive = (listener: (message: unknown) => void): void => void port.on('message', listener);
  startWatcher(setup, { post: (message) => outgoing.postMessage(message), receive }, createClock());
}
