/** Composer of the application's thread, second half: awake. Reads, hands over, obeys the watcher's orders. */
import type { Bed } from '../agent.ts';
import { createLink, type AppSide, type Ears, type Link, type Setup, type WatcherSide } from '../channel.ts';
import { loadConfig } from '../config/load-config.ts';
import { SCHEMA, type ResolvedConfig, type Setting, type StartOptions } from '../config/schema.ts';
import type { MetricState } from '../export/metric.ts';
import { createLog } from '../core/log.ts';
import { isAllowed } from '../core/process.ts';
import { createSampler, type Sampler } from './sampler.ts';
import type { Alert, Identity, Log, Stop } from '../types/index.ts';
import type { Agent } from './api.ts';
import { BEAT_BYTES, BEAT_PERIOD_MS, createBeat, type Beat } from './heartbeat-counter.ts';
import { createEvents, type Events } from './events.ts';
import { createFace } from './public-api.ts';
import { identify } from './identity.ts';
import { inertAgent } from './inactive-agent.ts';
import { sayLastWords } from './last-words.ts';
import { createOrders } from './orders.ts';
import { periodOf, startSampling, type Sampling } from './sampling.ts';
import { startWatcher, type WatcherHost } from './watcher-host.ts';

export interface Awake {
  readonly agent: Agent;
  /** Warns once, naming the settings that came too late and differ from those in force. */
  ignore(options: StartOptions): void;
}

/** What the parts of the running agent share. */
export interface Body {
  readonly bed: Bed;
  readonly resolved: ResolvedConfig;
  readonly identity: Identity;
  readonly log: Log;
  readonly sampler: Sampler;
  readonly events: Events;
  readonly beat: Beat;
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
  link: Link<AppSide> | null;
  sampling: Sampling | null;
  host: WatcherHost | null;
}

export function wakeUp(bed: Bed, options: StartOptions, onStopped: () => void): Awake {
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
  const identity = identify(resolved, startedWallMs);
  const ignore = createIgnore(resolved, log);
  if (!resolved.config.enabled) {
    bed.preloadHooks.stop();
    return { agent: inertAgent(identity, bed.clock, SWITCHED_OFF), ignore };
  }
  const start = { identity, log, startedWallMs, onStopped };
  const agent = bed.guard.run('wake', () => run(bed, resolved, start), null);
  if (agent === null) bed.preloadHooks.stop();
  return { agent: agent ?? inertAgent(identity, bed.clock, FAULT), ignore };
}

const SWITCHED_OFF = 'the agent is switched off (WSGUARD_ENABLED)';
const FAULT = 'the agent could not be started, see the log';

interface Start {
  readonly identity: Identity;
  readonly log: Log;
  readonly startedWallMs: number;
  readonly onStopped: () => void;
}

function run(bed: Bed, resolved: ResolvedConfig, { onStopped, ...start }: Start): Agent {
  const { clock, guard, preloadHooks } = bed;
  const { config } = resolved;
  // Servers and sockets that were there before us, where start() was called late.
  preloadHooks.sockets.adoptExisting();
  const memory = new SharedArrayBuffer(BEAT_BYTES);
  const body: Body = {
    ...start,
    bed,
    resolved,
    sampler: createSampler({ clock, guard, config, preloadHooks }),
    events: createEvents(guard),
    beat: createBeat(memory),
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
    clock.every(BEAT_PERIOD_MS, beating),
    () => body.sampling?.stop(),
    () => body.sampler.stop(),
    () => body.host?.stop(),
    () => body.events.clear(),
    sayLastWords(body),
    onStopped,
  ];
  const stop = (): void => {
    for (const part of stops.splice(0)) guard.run('stop', part, undefined);
  };
  body.host = startWatcher(config, {
    clock,
    guard,
    log: body.log,
    setup: (threadless, restarts) => setupOf(body, memory, { threadless, restarts }),
    onPort(port) {
      body.link?.hangUp();
      body.sampling?.forgetDebt();
      body.link = createLink<AppSide, WatcherSide>({ port, clock, guard }, createEars(body));
    },
    onGaveUp() {
      body.link?.hangUp();
      body.link = null;
      body.sampling?.stop();
    },
  });
  body.sampling = startSampling({
    clock,
    guard,
    periodMs: periodOf(config.intervalMs, config.timeScale),
    read: () => body.sampler.read(),
    link: () => body.link,
  });
  return createFace(body, stop);
}

function rightsTo({ config, sources }: ResolvedConfig): Pick<Body, 'isDirSet' | 'mayWrite'> {
  const mayWrite = isAllowed('fs.write', config.dir);
  return { mayWrite, isDirSet: mayWrite && ['file', 'code', 'env'].includes(sources.dir) };
}

function setupOf(body: Body, beat: SharedArrayBuffer, how: Pick<Setup, 'threadless' | 'restarts'>): Setup {
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
    beat: how.threadless === null ? beat : null,
    openAlerts: [...openAlerts.values()],
  };
}

function createEars(body: Body): Ears<WatcherSide> {
  const { sampler, events, openAlerts } = body;
  return {
    hear: {
      ready: () => body.link?.tell('attached', sampler.attached()),
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
    answer: createOrders(body),
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
