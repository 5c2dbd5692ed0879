/**
 * Runs the watcher in a Worker and restarts it when it dies. After several deaths in a row it waits longer, because a load
 * that ends it may pass. Without Workers the watcher runs on the application thread.
 */
import { join } from 'node:path';
import { MessageChannel, Worker, type MessagePort, type WorkerOptions } from 'node:worker_threads';
import { createPortPair, type Port, type WatcherSetup, type WatcherThreadData } from '../channel.ts';
import type { Config } from '../config/schema.ts';
import { plugAndPlayFlags } from '../core/plug-and-play.ts';
import { occupyStandardDescriptors } from '../core/standard-descriptors.ts';
import type { Guard } from '../core/guard.ts';
import type { Clock, Log } from '../types/index.ts';
import type * as WatcherModule from '../watcher.ts';
import { noThreadReason, type StartFlags } from './thread-support.ts';

/** Restarts in quick succession; after them the agent pauses. */
const MAX_QUICK_RESTARTS = 3;
const RESTART_DELAY_MS = 1_000;
/** Chosen: a start costs 0.35 s of CPU, so a watcher that dies each time costs less than a thousandth of a core. */
const PAUSE_MS = 10 * 60_000;
/** A watcher that lived this long starts a new series. */
const MIN_STABLE_MS = 10 * 60_000;
/** Exporters and their buffers need about 30 MB. A leak of the agent ends the watcher and not the application. */
export const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 8 };
const WATCHER_FILE = join(__dirname, '..', 'watcher.js');

export interface WatcherHost {
  /** Null when the watcher runs in a thread. */
  readonly noThreadReason: string | null;
  stop(): void;
}

interface Deps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly log: Log;
  readonly flags: StartFlags;
  readonly createSetup: (how: Pick<WatcherSetup, 'noThreadReason' | 'restarts'>) => WatcherSetup;
  /** A watcher started; messages go through this port from now on. */
  readonly onPort: (port: Port) => void;
  /** There is no watcher until the next `onPort`. */
  readonly onPaused: () => void;
}

export function startWatcherHost(config: Config, deps: Deps): WatcherHost {
  const reason = noThreadReason(config, deps.flags);
  if (reason !== null) return startOnThisThread(reason, deps);
  const host = new ThreadHost(deps);
  try {
    host.spawn(0);
    return host;
  } catch (error) {
    return startOnThisThread(`a Worker could not be started: ${(error as Error).message}`, deps);
  }
}

class ThreadHost implements WatcherHost {
  readonly noThreadReason = null;
  readonly #deps: Deps;
  #worker: Worker | null = null;
  #isStopped = false;
  #deathsInARow = 0;
  #startedAtMs = 0;
  #cancelRestart = (): void => {};

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  spawn(restarts: number): void {
    const { createSetup, onPort, guard } = this.#deps;
    // From Node 24 on, a message through a Worker's own port reads `process.env` of the main thread. Where the application
    // has replaced that with null, each message would be an uncaught exception of the application.
    const { port1: incoming, port2: outgoing } = new MessageChannel();
    const worker = startWorker(createSetup({ noThreadReason: null, restarts }), outgoing);
    this.#worker = worker;
    this.#startedAtMs = this.#deps.clock.nowMs();
    let because = 'no error was reported';
    // A Worker can throw any value, `null` too.
    worker.on(
      'error',
      (error: unknown) => (because = error instanceof Error ? error.message : String(error)),
    );
    worker.on(
      'exit',
      guard.wrap('watcher', (exitCode) => this.#onExit(restarts, { because, exitCode })),
    );
    onPort({
      post: (message) => worker.postMessage(message),
      receive: (listener) => incoming.on('message', listener).unref(),
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRestart();
    void this.#worker?.terminate();
  }

  #onExit(restarts: number, exit: { because: string; exitCode: number }): void {
    if (this.#isStopped) return;
    const { log, clock, onPaused } = this.#deps;
    const wasStable = clock.nowMs() - this.#startedAtMs >= MIN_STABLE_MS;
    this.#deathsInARow = wasStable ? 1 : this.#deathsInARow + 1;
    if (this.#deathsInARow > MAX_QUICK_RESTARTS) {
      log.error(
        { code: 'WSGUARD_WATCHER_GAVE_UP', ...exit, restarts },
        'the watcher thread died for the fourth time in a row; the agent does not watch this process until it starts again in 10 min',
      );
      onPaused();
      this.#deathsInARow = 0;
      this.#spawnAfter(PAUSE_MS, restarts + 1);
      return;
    }
    log.warn(
      { code: 'WSGUARD_WATCHER_DIED', ...exit, restarts: restarts + 1 },
      'the watcher thread died and is restarted',
    );
    this.#spawnAfter(RESTART_DELAY_MS, restarts + 1);
  }

  #spawnAfter(delayMs: number, restarts: number): void {
    const { clock, guard } = this.#deps;
    this.#cancelRestart = clock.after(
      delayMs,
      guard.wrap('watcher', () => this.#respawn(restarts)),
    );
  }

  /** A Worker that cannot be created (no descriptor or memory is free) counts as one that died at once. */
  #respawn(restarts: number): void {
    try {
      this.spawn(restarts);
    } catch (error) {
      this.#onExit(restarts, { because: (error as Error).message, exitCode: 1 });
    }
  }
}

function startWorker(setup: WatcherSetup, outgoing: MessagePort): Worker {
  occupyStandardDescriptors();
  // With NODE_OPTIONS the Worker would run the application's preloads again, even with an empty execArgv. With
  // NODE_V8_COVERAGE it would add our files to the application's coverage report.
  const { NODE_OPTIONS: _preloads, NODE_V8_COVERAGE: _coverage, ...env } = setup.env;
  const options: WorkerOptions = {
    name: 'wsguard',
    workerData: { wsguard: { setup, outgoing } satisfies WatcherThreadData },
    transferList: [outgoing],
    execArgv: plugAndPlayFlags(),
    env,
    // Keeps output of our packages out of the application's output. Nobody reads these streams, because a reader keeps
    // the process alive; the watcher writes its log to file descriptor 2 and drops everything else.
    stdout: true,
    stderr: true,
    resourceLimits: RESOURCE_LIMITS,
  };
  const worker = new Worker(WATCHER_FILE, options);
  worker.unref();
  return worker;
}

function startOnThisThread(reason: string, { clock, createSetup, onPort }: Deps): WatcherHost {
  const { startWatcher } = require('../watcher.ts') as typeof WatcherModule;
  const [appPort, watcherPort] = createPortPair(clock);
  onPort(appPort);
  const stop = startWatcher(createSetup({ noThreadReason: reason, restarts: 0 }), watcherPort, clock);
  return { noThreadReason: reason, stop };
}
