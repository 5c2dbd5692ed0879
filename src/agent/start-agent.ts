/** Composer of the application's thread, second half: awake. Reads, hands over, obeys the watcher's orders. */
import type { PreloadContext } from '../agent.ts';
import {
  createLink,
  type FromApp,
  type MessageHandlers,
  type Link,
  type WatcherSetup,
  type FromWatcher,
} from '../channel.ts';
import { loadConfig } from '../config/load-config.ts';
import { SCHEMA, type ResolvedConfig, type Setting, type StartOptions } from '../config/schema.ts';
import type { MetricState } from '../export/metric.ts';
import { createLog } from '../core/log.ts';
import { isAllowed } from '../core/process.ts';
import { createSampler, type Sampler } from './sampler.ts';
import type { Alert, Identity, Log, Stop } from '../types/index.ts';
import type { Agent } from './api.ts';
import {
  HEARTBEAT_BYTES,
  HEARTBEAT_PERIOD_MS,
  createHeartbeatCounter,
  type HeartbeatCounter,
} from './heartbeat-counter.ts';
import { createEventEmitter, type AgentEventEmitter } from './event-emitter.ts';
import { createPublicApi } from './public-api.ts';
import { readIdentity } from './identity.ts';
import { createInactiveAgent } from './inactive-agent.ts';
import { installExitReport } from './exit-report.ts';
import { createRequestHandlers } from './request-handlers.ts';
import { samplingPeriodMs, startSamplingLoop, type SamplingLoop } from './sampling-loop.ts';
import { startWatcher, type WatcherHost } from './watcher-host.ts';

export interface RunningAgent {
  readonly agent: Agent;
  /** Warns once, naming the settings that came too late and differ from those in force. */
  ignore(options: StartOptions): void;
}

/** What the parts of the running agent share. */
export interface AgentContext {
  readonly bed: PreloadContext;
  readonly resolved: ResolvedConfig;
  readonly identity: Identity;
  readonly log: Log;
  readonly sampler: Sampler;
  readonly events: AgentEventEmitter;
  readonly beat: HeartbeatCounter;
  /** Open ones, by id: for last words, and for a watcher that has to be started again. */
  readonly openAlerts: Map<string, Alert>;
  /** Taken, and perhaps not redacted yet. */
  readonly rawFiles: Set<string>;
  readonly startedWallMs: number;
  /** Named by somebody, not the default: state is kept there. */
  readonly isDirSet: boolean;
  readonly mayWrite: boolean;
  /** As the watcher last saw them. */
  metrics: MetricState | null;
  link: Link<FromApp> | null;
  sampling: SamplingLoop | null;
  host: WatcherHost | null;
}

export function startAgent(bed: PreloadContext, options: StartOptions, onStopped: () => void): RunningAgent {
  const startedWallMs = bed.clock.wallMs();
  const resolved = loadConfig({
    env: bed.env,
    code: options,
    // Gone, when somebody took the directory away under the process.
    cwd: bed.guard.run('cwd', () => process.cwd(), '/'),
    mainFile: process.argv?.[1] ?? null,
    execArgv: bed.preloadHooks.flags.execArgv,
  });
  const log = createLog({ level: resolved.config.log, clock: bed.clock, thread: 'app' });
  bed.onFault = (part, error, switchedOff) =>
    log.error({ code: 'WSGUARD_FAULT', part, error, switchedOff }, 'a part of the agent failed');
  for (const problem of resolved.problems)
    log.warn({ code: 'WSGUARD_SETTING', ...problem }, 'a setting was not taken');
  const identity = readIdentity(resolved, startedWallMs);
  const ignore = createIgnore(resolved, log);
  if (!resolved.config.enabled) {
    bed.preloadHooks.stop();
    return { agent: createInactiveAgent(identity, bed.clock, SWITCHED_OFF), ignore };
  }
  const start = { identity, log, startedWallMs, onStopped };
  const agent = bed.guard.run('wake', () => run(bed, resolved, start), null);
  if (agent === null) bed.preloadHooks.stop();
  return { agent: agent ?? createInactiveAgent(identity, bed.clock, FAULT), ignore };
}

const SWITCHED_OFF = 'the agent is switched off (WSGUARD_ENABLED)';
const FAULT = 'the agent could not be started, see the log';

interface Start {
  readonly identity: Identity;
  readonly log: Log;
  readonly startedWallMs: number;
  readonly onStopped: () => void;
}

function run(bed: PreloadContext, resolved: ResolvedConfig, { onStopped, ...start }: Start): Agent {
  const { clock, guard, preloadHooks } = bed;
  const { config } = resolved;
  // Servers and sockets that were there before us, where start() was called late.
  preloadHooks.sockets.adoptExisting();
  const memory = new SharedArrayBuffer(HEARTBEAT_BYTES);
  const body: AgentContext = {
    ...start,
    bed,
    resolved,
    sampler: createSampler({ clock, guard, config, preloadHooks }),
    events: createEventEmitter(guard),
    beat: createHeartbeatCounter(memory),
    openAlerts: new Map(),
    rawFiles: new Set(),
    ...rightsTo(resolved),
    metrics: null,
    link: null,
    sampling: null,
    host: null,
  };
  const beating = guard.wrap('beat', () => body.beat.bump());
  const stops: Stop[] = [
    clock.every(HEARTBEAT_PERIOD_MS, beating),
    () => body.sampling?.stop(),
    () => body.sampler.stop(),
    () => body.host?.stop(),
    () => body.events.clear(),
    installExitReport(body),
    onStopped,
  ];
  const stop = (): void => {
    for (const part of stops.splice(0)) guard.run('stop', part, undefined);
  };
  body.host = startWatcher(config, {
    clock,
    guard,
    log: body.log,
    setup: (noThreadReason, restarts) => setupOf(body, memory, { noThreadReason, restarts }),
    onPort(port) {
      body.link?.close();
      body.sampling?.resetUnacknowledged();
      body.link = createLink<FromApp, FromWatcher>({ port, clock, guard }, createMessageHandlers(body));
    },
    onGaveUp() {
      body.link?.close();
      body.link = null;
      body.sampling?.stop();
    },
  });
  body.sampling = startSamplingLoop({
    clock,
    guard,
    periodMs: samplingPeriodMs(config.intervalMs, config.timeScale),
    read: () => body.sampler.read(),
    link: () => body.link,
  });
  return createPublicApi(body, stop);
}

function rightsTo({ config, sources }: ResolvedConfig): Pick<AgentContext, 'isDirSet' | 'mayWrite'> {
  const mayWrite = isAllowed('fs.write', config.dir);
  return { mayWrite, isDirSet: mayWrite && ['file', 'code', 'env'].includes(sources.dir) };
}

function setupOf(
  body: AgentContext,
  beat: SharedArrayBuffer,
  how: Pick<WatcherSetup, 'noThreadReason' | 'restarts'>,
): WatcherSetup {
  const { resolved, identity, bed, startedWallMs, openAlerts } = body;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(bed.env)) if (value !== undefined) env[name] = value;
  return {
    ...how,
    config: resolved.config,
    identity,
    env,
    isDirSet: body.isDirSet,
    mayWrite: body.mayWrite,
    startedWallMs,
    heartbeat: how.noThreadReason === null ? beat : null,
    openAlerts: [...openAlerts.values()],
  };
}

function createMessageHandlers(body: AgentContext): MessageHandlers<FromWatcher> {
  const { sampler, events, openAlerts } = body;
  return {
    onMessage: {
      ready: () => body.link?.send('attached', sampler.attached()),
      ack: ({ seq, metrics }) => {
        body.metrics = metrics;
        body.sampling?.acknowledge(seq);
      },
      suspicion: (isSuspected) => sampler.setSuspicion(isSuspected),
      snapshot: (snapshot) => events.emit('snapshot', snapshot),
      report: (written) => events.emit('report', written),
      transition(alert) {
        if (alert.event === 'closed') openAlerts.delete(alert.id);
        else openAlerts.set(alert.id, alert);
        events.emit('alert', alert);
      },
    },
    onRequest: createRequestHandlers(body),
  };
}

function createIgnore(resolved: ResolvedConfig, log: Log): (options: StartOptions) => void {
  let warned = false;
  return (options) => {
    const isKnown = (name: string): name is Setting => name in SCHEMA;
    const ignored = Object.entries(options ?? {})
      .filter(([name, value]) => value !== undefined && (!isKnown(name) || resolved.config[name] !== value))
      .map(([name]) => name);
    if (ignored.length === 0 || warned) return;
    warned = true;
    const message =
      'start() was called after the agent ran: these settings are ignored, set them in the environment';
    log.warn({ code: 'WSGUARD_SETTINGS_IGNORED', ignored }, message);
  };
}
