/** Starts the agent on the application thread once the process serves: settings, sampling, the watcher and the public API. */
import type { PreloadContext } from '../agent.ts';
import { createLink, type FromApp, type FromWatcher } from '../channel.ts';
import { loadConfig, problemText } from '../config/load-config.ts';
import { SCHEMA, type ResolvedConfig, type Setting, type StartOptions } from '../config/schema.ts';
import { createLog } from '../core/log.ts';
import { cpuUsage } from '../core/primordials.ts';
import { occupyStandardDescriptors } from '../core/standard-descriptors.ts';
import type { Identity, Log, Stop } from '../types/index.ts';
import type { Agent } from './api.ts';
import { createWatcherSetup, withChosenFolder, type AgentContext } from './context.ts';
import { createEventEmitter } from './event-emitter.ts';
import { installExitReport } from './exit-report.ts';
import { createHeartbeatCounter, HEARTBEAT_PERIOD_MS } from './heartbeat-counter.ts';
import { readIdentity } from './identity.ts';
import { createInactiveAgent } from './inactive-agent.ts';
import { createMessageHandlers } from './message-handlers.ts';
import { createPublicApi } from './public-api.ts';
import { attachRemedies } from './remedies.ts';
import { createSampler } from './sampler.ts';
import { samplingPeriodMs, startSamplingLoop } from './sampling-loop.ts';
import { startWatcherHost, type WatcherHost } from './watcher-host.ts';

export interface RunningAgent {
  readonly agent: Agent;
  /** Warns once about options of a late `start()` that differ from the settings in force. */
  readonly warnIgnored: (options: StartOptions) => void;
}

interface StartInfo {
  readonly identity: Identity;
  readonly log: Log;
  readonly startedWallMs: number;
}

const SWITCHED_OFF = 'the agent is switched off (WSGUARD_ENABLED)';
const FAULT = 'the agent could not start; the log has the error';

/** Never throws: where the agent cannot start, the returned agent does nothing and says why in `status().blind`. */
export function startAgent(
  preload: PreloadContext,
  options: StartOptions,
  onStopped: () => void,
): RunningAgent {
  const { clock, guard, preloadHooks } = preload;
  const startedWallMs = clock.wallMs();
  const resolved = readSettings(preload, options);
  if (resolved.config.s3Bucket === null) preload.env = withoutAwsVariables(preload.env);
  const log = createLog({ level: resolved.config.log, clock, thread: 'app', stderr: preload.stderr });
  preload.onFault = (part, error, switchedOff) =>
    log.error({ code: 'WSGUARD_FAULT', part, error, switchedOff }, 'a part of the agent failed');
  for (const problem of resolved.problems)
    log.warn({ code: 'WSGUARD_SETTING', ...problem }, problemText(problem));
  const identity = readIdentity(resolved, startedWallMs);
  const warnIgnored = createIgnoredWarning(resolved, log);
  const agent = resolved.config.enabled
    ? guard.run('start', () => run(preload, resolved, { identity, log, startedWallMs }, onStopped), null)
    : null;
  if (agent !== null) return { agent, warnIgnored };
  preloadHooks.stop();
  const reason = resolved.config.enabled ? FAULT : SWITCHED_OFF;
  return { agent: createInactiveAgent(identity, clock, reason), warnIgnored };
}

function run(
  preload: PreloadContext,
  resolved: ResolvedConfig,
  info: StartInfo,
  onStopped: () => void,
): Agent {
  const { clock, guard } = preload;
  const { config } = resolved;
  // A late start() finds servers and sockets that were opened before the hooks.
  preload.preloadHooks.sockets.adoptExisting();
  const context = createContext(preload, resolved, info);
  const incrementHeartbeat = guard.wrap('heartbeat', () => {
    // The watcher thread and its child processes open sockets and pipes.
    occupyStandardDescriptors();
    context.heartbeat.increment();
  });
  const stops: Stop[] = [
    clock.every(HEARTBEAT_PERIOD_MS, incrementHeartbeat),
    () => context.samplingLoop?.stop(),
    () => context.sampler.stop(),
    () => context.watcherHost?.stop(),
    () => context.events.clear(),
    installExitReport(context),
    onStopped,
  ];
  context.watcherHost = startWatcher(context);
  context.samplingLoop = startSamplingLoop({
    clock,
    guard,
    periodMs: samplingPeriodMs(config.intervalMs, config.timeScale),
    cpuMs: processCpuMs,
    prepare: () => context.sampler.prepare(),
    read: () => context.sampler.read(),
    link: () => context.link,
  });
  const agent = createPublicApi(context, () => {
    for (const stop of stops.splice(0)) guard.run('stop', stop, undefined);
  });
  stops.push(
    guard.run(
      'remedies',
      () => attachRemedies(agent),
      () => undefined,
    ),
  );
  return agent;
}

function processCpuMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1_000;
}

function createContext(preload: PreloadContext, resolved: ResolvedConfig, info: StartInfo): AgentContext {
  const { clock, guard, preloadHooks } = preload;
  return {
    ...info,
    preload,
    sampler: createSampler({ clock, guard, config: resolved.config, preloadHooks }),
    events: createEventEmitter(info.log),
    heartbeat: createHeartbeatCounter(),
    openAlerts: new Map(),
    rawFiles: new Set(),
    ...withChosenFolder(resolved),
    metrics: null,
    link: null,
    samplingLoop: null,
    watcherHost: null,
  };
}

function startWatcher(context: AgentContext): WatcherHost {
  const { clock, guard } = context.preload;
  return startWatcherHost(context.resolved.config, {
    clock,
    guard,
    log: context.log,
    flags: context.preload.preloadHooks.flags,
    createSetup: (how) => createWatcherSetup(context, how),
    onPort(port) {
      context.link?.close();
      context.samplingLoop?.resetUnacknowledged();
      context.link = createLink<FromApp, FromWatcher>({ port, clock, guard }, createMessageHandlers(context));
    },
    // Sampling goes on: its sweeps let go of sockets.
    onPaused() {
      context.link?.close();
      context.link = null;
    },
  });
}

function readSettings({ env, guard, preloadHooks }: PreloadContext, code: StartOptions): ResolvedConfig {
  return loadConfig({
    env,
    code,
    // Throws when the working directory was deleted.
    cwd: guard.run('cwd', () => process.cwd(), null),
    mainFile: process.argv?.[1] ?? null,
    execArgv: preloadHooks.flags.execArgv,
  });
}

/** Nothing reads them without a bucket, so the agent keeps no copy of these credentials. */
const withoutAwsVariables = (env: PreloadContext['env']): PreloadContext['env'] =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !/^AWS_/i.test(name)));

function createIgnoredWarning({ config }: ResolvedConfig, log: Log): RunningAgent['warnIgnored'] {
  const isSetting = (name: string): name is Setting => name in SCHEMA;
  let hasWarned = false;
  return (options) => {
    const ignored = Object.entries(options ?? {})
      .filter(([name, value]) => value !== undefined && (!isSetting(name) || config[name] !== value))
      .map(([name]) => name);
    if (ignored.length === 0 || hasWarned) return;
    hasWarned = true;
    log.warn(
      { code: 'WSGUARD_SETTINGS_IGNORED', ignored },
      'start() ignored these settings because the agent already runs; set them in the environment',
    );
  };
}
