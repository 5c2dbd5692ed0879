/** Keeps one watcher: in a Worker of ours alone, or, where Workers are forbidden, beside the application. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel, Worker, type MessagePort, type WorkerOptions } from 'node:worker_threads';
import { createPortPair, type Port, type WatcherSetup, type WatcherThreadData } from '../channel.ts';
import type { Config } from '../config/schema.ts';
import type { Guard } from '../core/guard.ts';
import { isAllowed } from '../core/process.ts';
import type { Clock, Log } from '../types/index.ts';
import type * as WatcherModule from '../watcher.ts';
import { hasRoomForWorker } from './thread-support.ts';

const MAX_RESTARTS = 3;
const RESTART_DELAY_MS = 1_000;
/** Exporters and their buffers need about 30 MB; a leak of ours must not become the application's. */
const HEAP_LIMITS = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 8 };
/** dist/, where watcher.js lies. */
const ROOT = join(__dirname, '..');

export interface WatcherHost {
  /** Why there is no thread; null where there is one. */
  readonly noThreadReason: string | null;
  stop(): void;
}

interface Deps {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly log: Log;
  setup(noThreadReason: string | null, restarts: number): WatcherSetup;
  /** A watcher began: talk to this port from now on. */
  onPort(port: Port): void;
  /** The last one died and there will be no other. */
  onGaveUp(): void;
}

export function startWatcher(config: Config, deps: Deps): WatcherHost {
  const forbidden = threadForbidden(config);
  if (forbidden !== null) return startBeside(forbidden, deps);
  let stopped = false;
  let stopRetry = (): void => {};
  let worker: Worker | null = null;

  function spawn(restarts: number): void {
    // What a Worker says by its own port Node looks at first, from 24 on in `process.env`: where the application has
    // emptied that, each word of ours would be an uncaught exception of its.
    const { port1: incoming, port2: outgoing } = new MessageChannel();
    const started = startWorker(deps.setup(null, restarts), outgoing);
    worker = started;
    let because = 'no reason given';
    // Whatever is thrown in a Worker arrives here, `null` too.
    started.on(
      'error',
      (error: unknown) => (because = error instanceof Error ? error.message : String(error)),
    );
    started.on('exit', (code) => {
      if (stopped) return;
      if (restarts >= MAX_RESTARTS) {
        deps.log.error(
          { code: 'WSGUARD_WATCHER_GAVE_UP', because, exitCode: code },
          'the watcher died for the fourth time, giving up',
        );
        deps.onGaveUp();
        return;
      }
      deps.log.warn(
        { code: 'WSGUARD_WATCHER_DIED', because, exitCode: code, restarts: restarts + 1 },
        'the watcher died, starting another',
      );
      stopRetry = deps.clock.after(
        RESTART_DELAY_MS,
        deps.guard.wrap('watcher', () => spawn(restarts + 1)),
      );
    });
    deps.onPort({
      post: (message) => started.postMessage(message),
      receive: (listener) => incoming.on('message', listener).unref(),
    });
  }

  try {
    spawn(0);
  } catch (error) {
    return startBeside(`a Worker could not be started: ${(error as Error).message}`, deps);
  }
  return {
    noThreadReason: null,
    stop() {
      stopped = true;
      stopRetry();
      void worker?.terminate();
    },
  };
}

function startWorker(setup: WatcherSetup, outgoing: MessagePort): Worker {
  // Nor is the coverage of our code any of the application's.
  const { NODE_OPTIONS: _preloads, NODE_V8_COVERAGE: _coverage, ...env } = setup.env;
  const options: WorkerOptions = {
    name: 'wsguard',
    workerData: { wsguard: { setup, outgoing } satisfies WatcherThreadData },
    transferList: [outgoing],
    // An empty execArgv still runs the preloads of NODE_OPTIONS; an env without it does not.
    execArgv: [],
    env,
    // Not mixed into the application's output. Nobody reads these streams, since reading one keeps the process alive:
    // the watcher writes its log to the descriptor, past them, and drops the rest.
    stdout: true,
    stderr: true,
    resourceLimits: HEAP_LIMITS,
  };
  const worker = new Worker(join(ROOT, 'watcher.js'), options);
  worker.unref();
  return worker;
}

function startBeside(noThreadReason: string, deps: Deps): WatcherHost {
  const { startWatching } = require('../watcher.ts') as typeof WatcherModule;
  const [ours, theirs] = createPortPair(deps.clock);
  deps.onPort(ours);
  const stop = startWatching(deps.setup(noThreadReason, 0), theirs, deps.clock);
  return { noThreadReason, stop };
}

function threadForbidden(config: Config): string | null {
  if (config.thread === 'off') return 'WSGUARD_THREAD=off';
  if (!isAllowed('worker')) return 'Workers are forbidden by --permission';
  if (!hasRoomForWorker()) return 'the address space limit (ulimit -v) leaves no room for one';
  return isHomeless() ? 'no Worker starts where the working directory is gone' : null;
}

/** This thread still has the name, cached; a new one asks the system for it. */
function isHomeless(): boolean {
  try {
    statSync(process.cwd());
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
