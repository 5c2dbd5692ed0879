/**
 * Composer of the watcher thread: samples in; verdicts, alerts, their follow-up and all that leaves the process out.
 * Packages live here. The same code runs beside the application where Workers are forbidden.
 */
import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { BEAT_PERIOD_MS, createListener } from './agent/heartbeat-counter.ts';
import {
  createLink,
  type AppSide,
  type Ears,
  type Link,
  type Port,
  type Setup,
  type ThreadData,
  type WatcherSide,
} from './channel.ts';
import { createClock } from './core/clock.ts';
import { createGuard, type Guard } from './core/guard.ts';
import { judgeDeath } from './detect/process-died.ts';
import { createLog } from './core/log.ts';
import { createSignals, type Signals } from './detection.ts';
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
import { createSnapshotQueue, type Evidence } from './watcher/snapshot-queue.ts';
import { FollowUp, type News } from './watcher/follow-up.ts';
import { openKept, type Kept } from './watcher/persistence.ts';
import { Outlets } from './watcher/outlets.ts';
import { createPicture, type Picture } from './watcher/state.ts';
import { Publisher } from './watcher/publisher.ts';
import { createProfiler, type Profiler } from './watcher/profile-scheduler.ts';
import { createQuestioner, type Questioner } from './watcher/ping-scheduler.ts';
import { sayStart } from './watcher/start-line.ts';
import { asWritten } from './watcher/written.ts';

/** Caches fill, code is compiled: a baseline before that shows growth that is none. */
const WARM_UP_MS = 10 * 60_000;

/** The watcher of one process. Everything that comes from the other side passes the guard. */
class Watcher {
  readonly #setup: Setup;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #guard: Guard;
  readonly #signals: Signals;
  readonly #picture: Picture;
  readonly #outlets: Outlets;
  readonly #link: Link<WatcherSide>;
  readonly #publisher: Publisher;
  readonly #kept: Kept;
  readonly #evidence: Evidence;
  readonly #followUp: FollowUp;
  readonly #questioner: Questioner;
  readonly #profiler: Profiler;
  readonly #stops: Stop[];
  #blind: readonly Blind[] = [];
  #hasBaseline: boolean;
  #dead: DeadBox[] = [];

  constructor(setup: Setup, port: Port, clock: Clock) {
    const { config, identity } = setup;
    const thread = setup.threadless === null ? 'watcher' : 'app';
    this.#setup = setup;
    this.#hasBaseline = setup.restarts > 0;
    this.#clock = clock;
    const log = (this.#log = createLog({ level: config.log, clock, thread }));
    const guard = (this.#guard = createGuard(({ part, error, switchedOff }) =>
      log.error({ code: 'WSGUARD_FAULT', part, error, switchedOff }, 'a part of the agent failed'),
    ));
    this.#signals = createSignals({ identity, config, newId: randomUUID });
    const picture = (this.#picture = createPicture(setup, guard));
    const outlets = (this.#outlets = new Outlets({ setup, clock, log, guard, ...picture }));
    const link = (this.#link = createLink<WatcherSide, AppSide>({ port, clock, guard }, this.#ears()));
    const kept = (this.#kept = openKept(setup, clock, guard));
    this.#publisher = new Publisher({ outlets, picture, link, guard, next: this.#published }, kept.alerts);
    const evidence = (this.#evidence = createSnapshotQueue({
      setup,
      clock,
      link,
      taken: this.#taken,
    }));
    this.#followUp = new FollowUp({
      clock,
      guard,
      link,
      timeScale: config.timeScale,
      ...evidence,
      profile: () => this.#profiler.take(),
      learn: this.#learn,
      analysed: (alertId, analysis) => this.#publisher.analysed(alertId, analysis),
    });
    this.#questioner = createQuestioner(link, clock, config.timeScale);
    this.#profiler = createProfiler(link, clock, config.timeScale);
    this.#stops = [() => outlets.abandon(), () => this.#followUp.stop(), this.#listen()];
    this.#dead = [...kept.dead];
    guard.run('black box', () => this.#signals.restore(kept.alerts), undefined);
    void outlets.ready.then(() => link.tell('ready', null));
  }

  stop(): void {
    for (const stop of this.#stops) this.#guard.run('stop', stop, undefined);
  }

  #ears(): Ears<AppSide> {
    return {
      hear: {
        sample: this.#guard.wrap('sample', (heard) => this.#sample(heard)),
        attached: this.#guard.wrap('start line', (attached) => {
          this.#blind = attached.blind;
          sayStart({ setup: this.#setup, log: this.#log, attached, exported: this.#outlets.exported() });
        }),
      },
      answer: {
        status: () => Promise.resolve(this.#status()),
        snapshot: (label) => this.#evidence.take(null, label),
        stop: () => this.#end(),
      },
    };
  }

  #sample({ sample, counters }: AppSide['tells']['sample']): void {
    this.#tellOfDeaths(sample);
    this.#kept.sample(sample);
    const step = this.#signals.step(sample);
    this.#picture.sample(sample, counters, step);
    this.#questioner.consider(step);
    this.#profiler.consider(step.suspicion);
    this.#publisher.publish(step.transitions);
    this.#followUp.sample(sample);
    this.#takeBaseline(sample);
    this.#link.tell('ack', { seq: sample.seq, metrics: this.#picture.metrics() });
  }

  /** With the first sample, which says whether the container has killed since. */
  #tellOfDeaths({ wallMs, limits }: Sample): void {
    for (const box of this.#dead.splice(0)) {
      const now = { wallMs, oomKills: limits.containerOomKills };
      const death = this.#guard.run('black box', () => judgeDeath(box, now), null);
      if (death === null) continue;
      this.#publisher.publish(this.#signals.raise(death.finding, wallMs, death.also));
    }
  }

  /** WSGUARD_SNAPSHOT_BASELINE: what the heap looks like before anything could have leaked. */
  #takeBaseline({ uptimeMs }: Sample): void {
    const { timeScale, snapshotBaseline } = this.#setup.config;
    if (this.#hasBaseline || snapshotBaseline === 'off' || uptimeMs * timeScale < WARM_UP_MS) return;
    this.#hasBaseline = true;
    void this.#guard.runAsync('baseline', () => this.#evidence.take(null, 'baseline'), null);
  }

  /** The one sign that needs no message: the beat of the application's thread. */
  #listen(): Stop {
    const { beat } = this.#setup;
    if (beat === null) return () => undefined;
    const silentMs = createListener(beat);
    const listen = (): void => {
      const transitions = this.#signals.beat(silentMs(this.#clock.nowMs()), this.#clock.wallMs());
      this.#publisher.publish(transitions);
    };
    return this.#clock.every(BEAT_PERIOD_MS, this.#guard.wrap('beat', listen));
  }

  readonly #published = (alert: Alert): void => {
    this.#kept.open(this.#publisher.open());
    this.#followUp.transition(alert);
  };

  readonly #learn = (alertId: string, { snapshot, culprit, ...news }: News): void => {
    const before = this.#signals.open().find(({ id }) => id === alertId)?.snapshots ?? [];
    const snapshots = snapshot === undefined ? before : [...before, snapshot];
    const who = culprit === undefined ? {} : { culprit: this.#asWritten(culprit) };
    this.#publisher.publish(
      this.#signals.learn(alertId, { ...news, ...who, snapshots }, this.#clock.wallMs()),
    );
  };

  #asWritten(culprit: Culprit): Culprit {
    return this.#guard.run('source map', () => asWritten(culprit, process.cwd()), culprit);
  }

  readonly #taken = (snapshot: Snapshot, alertId: string | null): void => {
    this.#picture.countSnapshot(snapshot);
    this.#link.tell('snapshot', snapshot);
    if (alertId !== null) this.#outlets.file(alertId, snapshot);
  };

  #status(): Status {
    return composeStatus({
      watcher: this.#setup.threadless === null ? 'running' : 'none',
      identity: this.#setup.identity,
      uptimeMs: this.#clock.wallMs() - this.#setup.startedWallMs,
      ...this.#picture.known(),
      alerts: this.#publisher.open(),
      blind: this.#blind,
      threadless: this.#setup.threadless,
    });
  }

  async #end(): Promise<null> {
    this.#publisher.publish(this.#signals.close('the agent was stopped', this.#clock.wallMs()));
    await this.#publisher.idle();
    await this.#outlets.close();
    this.#kept.close();
    return null;
  }
}

export function startWatching(setup: Setup, port: Port, clock: Clock): Stop {
  const watcher = new Watcher(setup, port, clock);
  return () => watcher.stop();
}

// An application may load this file in a Worker of its own; only a Worker that the agent started carries the mark.
const given = (workerData as { wsguard?: ThreadData } | null)?.wsguard;
if (parentPort !== null && given !== undefined) {
  const port = parentPort;
  const { setup, mouth } = given;
  // What a package prints would pile up: nobody reads these (agent/watcher-host.ts). The log does not pass here.
  process.stdout.write = process.stderr.write = () => true;
  const receive = (listener: (message: unknown) => void): void => void port.on('message', listener);
  startWatching(setup, { post: (message) => mouth.postMessage(message), receive }, createClock());
}
