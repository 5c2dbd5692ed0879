/**
 * Composer of the application's thread, first half: asleep. The preload loads this file, the guard and the sockets'
 * channel, and nothing more until the process serves or `start()` is called.
 */
import { isMainThread } from 'node:worker_threads';
import type { Agent } from './agent/api.ts';
import type * as StartAgentModule from './agent/start-agent.ts';
import type { RunningAgent } from './agent/start-agent.ts';
import { createClock } from './core/clock.ts';
import type { StartOptions } from './config/schema.ts';
import { createGuard, type Guard } from './core/guard.ts';
import { installPreloadHooks, type PreloadHooks } from './hooks/preload-hooks.ts';
import type { Clock } from './types/index.ts';

/** What any copy of this package, and the remedies, find under `Symbol.for('wsguard.agent')`. */
export interface Handle {
  /** Null while asleep. */
  readonly agent: Agent | null;
  /** Called at once when awake already. */
  onAwake(listener: (agent: Agent) => void): void;
  start(options: StartOptions): Agent;
}

export interface PreloadContext {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly preloadHooks: PreloadHooks;
  /** Taken at the start: an application may empty `process.env` later. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Set once the log is there; faults before that are counted only. */
  onFault: ((part: string, error: unknown, switchedOff: boolean) => void) | null;
}

const HANDLE = Symbol.for('wsguard.agent');
const MAX_WAITING = 100;
const globals = globalThis as unknown as Record<symbol, Handle | undefined>;

/** For `--require` and `--import`: sleeps until the process serves. Never throws. */
export function preload(): void {
  try {
    // In a Worker a throwing preload would kill the application; there is nothing for us to do there.
    if (isMainThread && globals[HANDLE] === undefined && !isSwitchedOff(process.env)) install(true);
  } catch {
    // An agent that cannot be installed is an application without an agent.
  }
}

export function start(options: StartOptions = {}): Agent {
  const running = globals[HANDLE] ?? install(false);
  return running.start(options);
}

/** The kill switch, looked at before anything else. */
const isSwitchedOff = (env: NodeJS.ProcessEnv): boolean =>
  /^(false|0|no|off)$/i.test(env['WSGUARD_ENABLED'] ?? '');

function install(isPreload: boolean): Handle {
  const waiting: ((agent: Agent) => void)[] = [];
  let awake: RunningAgent | null = null;
  const bed = createPreloadContext(() => wake({}));

  function wake(options: StartOptions): RunningAgent {
    if (awake !== null) return awake;
    const { startAgent } = require('./agent/start-agent.ts') as typeof StartAgentModule;
    const { agent } = (awake = startAgent(bed, options, () => {
      if (globals[HANDLE] === handle) delete globals[HANDLE];
    }));
    for (const listener of waiting.splice(0)) bed.guard.run('onAwake', () => listener(agent), undefined);
    return awake;
  }

  const handle: Handle = {
    get agent() {
      return awake?.agent ?? null;
    },
    onAwake(listener) {
      if (awake !== null) listener(awake.agent);
      else if (waiting.length < MAX_WAITING) waiting.push(listener);
    },
    start(options) {
      // The settings of a preloaded process come from its environment and file: code runs too late to steer them.
      const isLate = isPreload || awake !== null;
      const running = wake(isLate ? {} : options);
      if (isLate) running.ignore(options);
      return running.agent;
    },
  };
  globals[HANDLE] = handle;
  return handle;
}

function createPreloadContext(wake: () => void): PreloadContext {
  const guard = createGuard(({ part, error, switchedOff }) => bed.onFault?.(part, error, switchedOff));
  const clock = createClock();
  const bed: PreloadContext = {
    clock,
    guard,
    env: { ...process.env },
    onFault: null,
    preloadHooks: installPreloadHooks({
      guard,
      // On a later turn: the caller of listen() waits for none of this. By then the primary of a cluster, which
      // listens only to hand its socket to the workers, has let go of it.
      onServe: (server) =>
        void clock.after(
          0,
          guard.wrap('wake', () => (server.listening ? wake() : undefined)),
        ),
    }),
  };
  return bed;
}
