/**
 * Composer of the watcher: turns samples into verdicts, alerts, investigations and exports. It runs in a Worker, which may
 * load packages; where Workers are forbidden the same code runs on the application thread.
 */
import { randomUUID } from 'node:crypto';
import type * as Dns from 'node:dns';
import { parentPort, workerData } from 'node:worker_threads';
import { createHeapReader, createHeartbeatMonitor, HEARTBEAT_PERIOD_MS } from './agent/heartbeat-counter.ts';
import {
  createLink,
  type FromApp,
  type FromWatcher,
  type Link,
  type MessageHandlers,
  type Port,
  type WatcherSetup,
  type WatcherThreadData,
} from './channel.ts';
import { createClock } from './core/clock.ts';
import { replaceLookup } from './core/lookup.ts';
import { createDetection, type Detection } from './detection.ts';

import type { Alert, Clock, CrashRecord, Sample, Snapshot, Stop } from './types/index.ts';
import { Auditor } from './watcher/auditor.ts';
import { createWatcherContext, type WatcherContext } from './watcher/context.ts';
import { DescriptorClasses } from './watcher/descriptor-classes.ts';
import { InvestigationRunner } from './watcher/investigation-runner.ts';
import { Outputs } from './watcher/outputs.ts';
import { startMemoryRecorder } from './watcher/memory-recorder.ts';
import { openPersistence, type Persistence } from './watcher/persistence.ts';
import { createPingScheduler, type PingScheduler } from './watcher/ping-scheduler.ts';
import { Publisher } from './watcher/publisher.ts';
import { scheduleRetention } from './watcher/retention-schedule.ts';
import { createSnapshotQueue, type SnapshotQueue } from './watcher/snapshot-queue.ts';
import { crashPoints } from './watcher/report-points.ts';
import { BlindLog, logStart } from './watcher/start-line.ts';
import { WatcherState } from './watcher/state.ts';

class Watcher {
  readonly #context: WatcherContext;
  readonly #state: WatcherState;
  readonly #outputs: Outputs;
  readonly #link: Link<FromWatcher>;
  readonly #detection: Detection;
  readonly #persistence: Persistence;
  readonly #publisher: Publisher;
  readonly #snapshots: SnapshotQueue;
  readonly #investigation: InvestigationRunner;
  readonly #pingScheduler: PingScheduler;
  readonly #blindLog: BlindLog;
  /** Null on the application thread, which it would stop for too long. */
  readonly #descriptorClasses: DescriptorClasses | null;
  readonly #auditor: Auditor;
  readonly #stopHeartbeatCheck: Stop;
  readonly #stopRetention: Stop;
  readonly #stopMemoryRecorder: Stop;
  #crashRecords: readonly CrashRecord[];

  constructor(setup: WatcherSetup, port: Port, clock: Clock) {
    const { config, identity } = setup;
    const context = (this.#context = createWatcherContext(setup, clock));
    const state = (this.#state = new WatcherState(context));
    const outputs = (this.#outputs = new Outputs(context, state));
    const link = (this.#link = createLink({ ...context, port }, this.#messageHandlers()));
    this.#detection = createDetection({ identity, config, newId: randomUUID });
    const onPublished = (alert: Alert): void => this.#onPublished(alert);
    this.#publisher = new Publisher(context, { outputs, state, link, onPublished });
    this.#snapshots = createSnapshotQueue(context, {
      link,
      fingerprintOf: (alertId) =>
        this.#publisher.openAlerts().find(({ id }) => id === alertId)?.fingerprint ?? null,
      onEnded: (snapshot, alertId) => this.#onSnapshot(snapshot, alertId),
    });
    this.#investigation = new InvestigationRunner(context, {
      link,
      snapshots: this.#snapshots,
      updateAlert: (alertId, update) =>
        this.#publisher.publish(this.#detection.updateAlert(alertId, update, clock.wallMs())),
      attachAnalysis: (alertId, analysis) => this.#publisher.attachAnalysis(alertId, analysis),
    });
    this.#descriptorClasses = setup.noThreadReason === null ? new DescriptorClasses(clock) : null;
    this.#blindLog = new BlindLog(context);
    this.#auditor = new Auditor(context, {
      snapshots: this.#snapshots,
      onEvidence: (evidence) => this.#publisher.publish(this.#detection.setCensus(evidence, clock.wallMs())),
      updateAlert: (alertId, update) =>
        this.#publisher.publish(this.#detection.updateAlert(alertId, update, clock.wallMs())),
    });
    state.setAuditCounts(() => this.#auditor.counts());
    this.#pingScheduler = createPingScheduler(link, clock, config.timeScale);
    this.#persistence = openPersistence(context);
    this.#crashRecords = this.#persistence.crashRecords;
    this.#restoreAlerts();
    const { endedFolders } = this.#persistence;
    context.guard.run('outbox', () => outputs.restoreDeliveries(endedFolders), undefined);
    this.#stopHeartbeatCheck = this.#startHeartbeatCheck();
    this.#stopRetention = scheduleRetention(context, () => this.#publisher.openAlerts().map(({ id }) => id));
    this.#stopMemoryRecorder = this.#startMemoryRecorder();
    void outputs.ready.then(() => link.send('ready', null));
  }

  stop(): void {
    const stops = [
      () => this.#outputs.stop(),
      () => this.#investigation.stop(),
      () => this.#stopHeartbeatCheck(),
      () => this.#stopRetention(),
      () => this.#stopMemoryRecorder(),
    ];
    for (const stop of stops) this.#context.guard.run('stop', stop, undefined);
  }

  #messageHandlers(): MessageHandlers<FromApp> {
    const { guard } = this.#context;
    return {
      onMessage: {
        sample: guard.wrap('sample', (message) => this.#onSample(message)),
        attached: guard.wrap('start line', (attached) => {
          this.#state.setBlind(attached.blind);
          logStart(this.#context, attached, {
            destinations: this.#outputs.destinations(),
            failedExports: this.#outputs.failedExports(),
            unwritableReason: this.#persistence.unwritableReason,
          });
          this.#blindLog.start(attached.blind);
        }),
      },
      onRequest: {
        status: () => Promise.resolve(this.#state.status()),
        snapshot: (label) => this.#snapshots.take(null, label),
        audit: () => this.#auditor.audit(),
        stop: () => this.#onStop(),
      },
    };
  }

  #onSample({ sample: received, counters }: FromApp['messages']['sample']): void {
    const sample = this.#descriptorClasses?.addTo(received) ?? received;
    this.#reportCrashes(sample);
    this.#persistence.writeSample(sample);
    const result = this.#detection.addSample(sample);
    this.#state.setSample(sample, counters, result);
    this.#blindLog.update(sample.blind);
    this.#pingScheduler.update(result);
    this.#publisher.publish(result.transitions);
    this.#investigation.sample(sample, result.suspicion);
    this.#snapshots.takeDue(sample);
    this.#auditor.sample(sample, result);
    this.#link.send('ack', { seq: sample.seq, metrics: this.#state.metrics() });
  }

  /** Waits for the first sample, whose count of OOM kills tells how the earlier process ended. */
  #reportCrashes(sample: Sample): void {
    const records = this.#crashRecords;
    this.#crashRecords = [];
    for (const record of records) {
      const report = (): Alert[] => this.#detection.reportCrash(record, sample);
      this.#publisher.publish(this.#context.guard.run('black box', report, []), crashPoints(record));
    }
  }

  #restoreAlerts(): void {
    const { restoredAlerts } = this.#persistence;
    this.#publisher.restore(restoredAlerts);
    this.#context.guard.run('black box', () => this.#detection.restore(restoredAlerts), undefined);
  }

  #startHeartbeatCheck(): Stop {
    const { setup, clock, guard } = this.#context;
    if (setup.heartbeat === null) return () => undefined;
    const silentMs = createHeartbeatMonitor(setup.heartbeat);
    const check = (): void =>
      this.#publisher.publish(this.#detection.checkHeartbeat(silentMs(clock.nowMs()), clock.wallMs()));
    return clock.every(HEARTBEAT_PERIOD_MS, guard.wrap('heartbeat', check));
  }

  #startMemoryRecorder(): Stop {
    const { setup, clock, guard } = this.#context;
    const write = this.#persistence.writeMemoryPoint;
    if (setup.heartbeat === null || write === null) return () => undefined;
    return startMemoryRecorder({ clock, guard, readHeap: createHeapReader(setup.heartbeat), write });
  }

  #onPublished(alert: Alert): void {
    this.#persistence.writeOpenAlerts(this.#publisher.openAlerts());
    this.#investigation.alert(alert);
    this.#auditor.alert(alert);
  }

  #onSnapshot(snapshot: Snapshot, alertId: string | null): void {
    this.#state.countSnapshot(snapshot);
    this.#link.send('snapshot', snapshot);
    if (alertId !== null) this.#outputs.uploadSnapshot(alertId, snapshot);
  }

  async #onStop(): Promise<null> {
    const { clock } = this.#context;
    this.#publisher.publish(this.#detection.closeAlerts('the agent was stopped', clock.wallMs()));
    await this.#publisher.idle();
    await this.#outputs.close();
    this.#stopMemoryRecorder();
    this.#persistence.close();
    return null;
  }
}

export function startWatcher(setup: WatcherSetup, port: Port, clock: Clock): Stop {
  const watcher = new Watcher(setup, port, clock);
  return () => watcher.stop();
}

// An application could load this file in a Worker of its own. Only a Worker that the agent started has this data.
const threadData = (workerData as { wsguard?: WatcherThreadData } | null)?.wsguard;
if (parentPort !== null && threadData !== undefined) {
  const incoming = parentPort;
  const { setup, outgoing } = threadData;
  // Nobody reads these streams (agent/watcher-host.ts), so output of our packages would pile up in memory. The log writes
  // to file descriptor 2 instead.
  process.stdout.write = process.stderr.write = () => true;
  replaceLookup(require('node:dns') as typeof Dns);
  const port: Port = {
    post: (message) => outgoing.postMessage(message),
    receive: (listener) => void incoming.on('message', listener),
  };
  startWatcher(setup, port, createClock());
}
