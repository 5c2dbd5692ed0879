/**
 * Composer of the application thread before the process serves. The preload loads this file, the guard and the hooks
 * that must exist before the first connection. Everything else is loaded when a server listens or `start()` is called.
 */
import { fstatSync } from 'node:fs';
import type { Agent } from './agent/api.ts';
import type * as ChildPreloadsModule from './core/child-preloads.ts';
import type * as StartAgentModule from './agent/start-agent.ts';
import type { RunningAgent } from './agent/start-agent.ts';
import { createClock } from './core/clock.ts';
import type { StartOptions } from './config/schema.ts';
import type { StderrFile } from './core/stderr.ts';
import { createGuard, rethrow, type Guard } from './core/guard.ts';
import { lazy } from './core/lazy.ts';
import { runInRootContext } from './core/root-context.ts';
import type * as ServerKindModule from './hooks/connections/server-kind.ts';
import { installPreloadHooks, type PreloadHooks } from './hooks/preload-hooks.ts';
import type { Clock } from './types/index.ts';

/** The state that exists from the preload on. */
export interface PreloadContext {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly preloadHooks: PreloadHooks;
  /** Copied at the preload: the application can empty `process.env` later. Only the variables that the agent may read. */
  env: Readonly<Record<string, string | undefined>>;
  /** The log goes to this file only: the application can close descriptor 2 and open another file under that number. */
  readonly stderr: StderrFile;
  /** Logs a fault. Null until the log exists; faults before that are only counted. */
  onFault: ((part: string, error: unknown, switchedOff: boolean) => void) | null;
}

/** `globalThis[Symbol.for('wsguard.agent')]`: all copies of this package in one process share one agent. */
interface AgentHandle {
  start(options: StartOptions): Agent;
}

const HANDLE = Symbol.for('wsguard.agent');
const globals = globalThis as unknown as Record<symbol, AgentHandle | undefined>;
/** For an application that has closed its global object to new properties. */
let ownHandle: AgentHandle | undefined;

/** Entry of `--require` and `--import` on the main thread. The agent starts when the process serves. Never throws. */
export function preload(): void {
  try {
    if (globals[HANDLE] === undefined && !isSwitchedOff(process.env)) install(true);
    // Also when the agent is switched off: child processes inherit the flags all the same.
    makeFlagsInheritable();
  } catch {
    // The application runs, with or without an agent.
  }
}

/** Other flags need no change, and most tools under NODE_OPTIONS then load one file less. */
const NAME_OR_RELATIVE_PATH = /(?:^|[\s="])(?:@wsguard\/agent|\.{1,2}[\\/])/;

/** Throws when the working directory was deleted, or when the flags cannot be changed. */
function makeFlagsInheritable(): void {
  const flags = `${process.execArgv.join(' ')} ${process.env['NODE_OPTIONS'] ?? ''}`;
  if (!NAME_OR_RELATIVE_PATH.test(flags)) return;
  const { makeEntriesAbsolute } = require('./core/child-preloads.ts') as typeof ChildPreloadsModule;
  makeEntriesAbsolute(process.execArgv, process.env, process.cwd());
}

/** Starts the agent at once, or returns the one that runs. */
export function start(options: StartOptions = {}): Agent {
  return runInRootContext(() => (globals[HANDLE] ?? ownHandle ?? install(false)).start(options));
}

/** Reads WSGUARD_ENABLED before anything is installed. */
const isSwitchedOff = (env: NodeJS.ProcessEnv): boolean =>
  /^(false|0|no|off)$/i.test(env['WSGUARD_ENABLED'] ?? '');

function install(isPreload: boolean): AgentHandle {
  let running: RunningAgent | null = null;
  const context = createPreloadContext(isPreload, () => runInRootContext(() => startOnce({})));

  function startOnce(options: StartOptions): RunningAgent {
    if (running !== null) return running;
    const { startAgent } = require('./agent/start-agent.ts') as typeof StartAgentModule;
    const onStopped = (): void => {
      ownHandle = undefined;
      if (globals[HANDLE] === handle) delete globals[HANDLE];
    };
    running = startAgent(context, options, onStopped);
    return running;
  }

  const handle: AgentHandle = {
    start(options) {
      // A preloaded agent takes its settings from the environment and the settings file, because code runs too late.
      const isTooLate = isPreload || running !== null;
      const { agent, warnIgnored } = startOnce(isTooLate ? {} : options);
      if (isTooLate) warnIgnored(options);
      return agent;
    },
  };
  if (!Reflect.set(globals, HANDLE, handle)) ownHandle = handle;
  return handle;
}

/**
 * The variables that the agent, its packages and its child processes read. The application can hold secrets in others, and
 * delete them from its memory after it has read them: a copy would keep them.
 */
const READ_VARIABLES =
  /^(?:(?:WSGUARD|OTEL|GRPC|LC)_\w+|NODE_(?:OPTIONS|EXTRA_CA_CERTS|TLS_REJECT_UNAUTHORIZED)|SSL_CERT_(?:FILE|DIR)|PATH|HOME|TMPDIR|TMP|TEMP|LANG|TZ|LD_LIBRARY_PATH|SystemRoot)$/i;

/** Credentials and region of S3. */
const AWS_VARIABLES = /^AWS_\w+$/i;

function copyEnvironment(env: NodeJS.ProcessEnv, isPreload: boolean): Record<string, string | undefined> {
  // The settings file and the options of start() can name a bucket. Without one, startAgent() removes these variables.
  const mayUseS3 = !isPreload || Boolean(env['WSGUARD_S3_BUCKET'] ?? env['WSGUARD_CONFIG']);
  const copy: Record<string, string | undefined> = {};
  for (const name of Object.keys(env))
    if (READ_VARIABLES.test(name) || (mayUseS3 && AWS_VARIABLES.test(name))) copy[name] = env[name];
  return copy;
}

function createPreloadContext(isPreload: boolean, onServe: () => void): PreloadContext {
  const guard = createGuard(({ part, error, switchedOff }) => context.onFault?.(part, error, switchedOff));
  const clock = createClock((error) => guard.run('timer', () => rethrow(error), undefined));
  const context: PreloadContext = {
    clock,
    guard,
    env: copyEnvironment(process.env, isPreload),
    stderr: fileOfStderr(),
    onFault: null,
    preloadHooks: installPreloadHooks({
      guard,
      // Starting on a later turn does not delay the caller of listen(). The primary of a cluster listens only to hand its
      // socket to the workers; by then it no longer listens, so no agent starts there.
      onServe: (server) =>
        void clock.after(
          0,
          guard.wrap('start', () =>
            server === null || serverKind().isListening(server) ? onServe() : undefined,
          ),
        ),
    }),
  };
  return context;
}

/** Not `stderrFile()`, because most processes that load the preload never write a line. */
function fileOfStderr(): StderrFile {
  try {
    const { dev, ino } = fstatSync(2, { bigint: true });
    return { dev, ino };
  } catch {
    return null;
  }
}

/** Loaded with the first server. */
const serverKind = lazy(() => require('./hooks/connections/server-kind.ts') as typeof ServerKindModule);
