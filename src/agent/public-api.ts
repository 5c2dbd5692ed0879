/** Implements the public `Agent` on top of the sampler and the link to the watcher. */
import { MessageChannel } from 'node:worker_threads';
import { lazy } from '../core/lazy.ts';
import type * as CollectIntoModule from '../export/collect-into.ts';
import type { RegistryLike } from '../export/collect-into.ts';
import type * as MetricsModule from '../export/metrics.ts';
import { watchArgumentError } from '../hooks/watch-argument-error.ts';
import { composeStatus } from '../report/status.ts';
import type { Audit, Dispose, Failed, Refused, Snapshot, Status } from '../types/index.ts';
import type { Agent } from './api.ts';
import type { AgentContext } from './context.ts';

const STATUS_DEADLINE_MS = 2_000;
const STOP_DEADLINE_MS = 2_000;
/** Longer than the longest capture together with the wait for the one before it. */
const SNAPSHOT_DEADLINE_MS = 15 * 60_000;
const MAX_LABEL_LENGTH = 60;

export function createPublicApi(context: AgentContext, undoHooks: () => void): Agent {
  const { sampler, events } = context;
  let stopping: Promise<void> | null = null;

  async function status(): Promise<Status> {
    return (await context.link?.request('status', null, STATUS_DEADLINE_MS)) ?? statusWithoutWatcher(context);
  }
  async function snapshot(label: unknown): Promise<Snapshot> {
    if (stopping !== null) return STOPPED;
    const request = context.link?.request('snapshot', fileLabel(label), SNAPSHOT_DEADLINE_MS);
    return (await request) ?? NO_WATCHER;
  }
  async function audit(): Promise<Audit> {
    if (stopping !== null) return STOPPED;
    return (await context.link?.request('audit', null, SNAPSHOT_DEADLINE_MS)) ?? NO_WATCHER;
  }
  async function stop(): Promise<void> {
    await context.link?.request('stop', null, STOP_DEADLINE_MS);
    context.link = null;
    undoHooks();
  }

  return {
    watchRegistry: (name, collection) => sampler.watchRegistry(name, collection),
    watchQueue: (name, collection, options) => sampler.watchQueue(name, collection, options),
    watchRooms: (name, rooms) => sampler.watchRooms(name, rooms),
    watchEmitter: (name, emitter) => sampler.watchEmitter(name, emitter),
    watchConnection: (socket, options) => sampler.watchConnection(socket, options),
    on: (event, listener) => events.on(event, listener),
    status: () => keepAliveDuring(status()),
    snapshot: (label) => keepAliveDuring(snapshot(label)),
    audit: () => keepAliveDuring(audit()),
    collectInto: (registry) => collectInto(context, registry),
    stop: () => (stopping ??= keepAliveDuring(stop())),
  };
}

/**
 * Keeps the process alive until `pending` settles. Our timers and ports are unref'd, so without this a process with
 * nothing else to do would exit before the caller gets the result. All requests have deadlines.
 */
function keepAliveDuring<T>(pending: Promise<T>): Promise<T> {
  const { port1 } = new MessageChannel();
  // A MessagePort with a `message` listener is ref'd.
  port1.on('message', () => undefined);
  return pending.finally(() => port1.close());
}

const collectModule = lazy(() => require('../export/collect-into.ts') as typeof CollectIntoModule);
const metricsModule = lazy(() => require('../export/metrics.ts') as typeof MetricsModule);

/** A scrape reads the metrics of the last acknowledged sample; it never waits for the watcher. */
function collectInto(context: AgentContext, registry: RegistryLike): Dispose {
  const collecting = collectModule();
  const { metricsFor } = metricsModule();
  if (!collecting.isRegistry(registry)) throw watchArgumentError('promClientRegistry', registry);
  const { taken, dispose } = collecting.collectInto(
    registry,
    metricsFor(context.resolved.config.otelRuntime),
    () => context.metrics ?? Promise.reject(new Error('no sample yet')),
  );
  if (taken.length > 0) {
    context.log.warn(
      { code: 'WSGUARD_METRICS_TAKEN', taken },
      'collectInto left out metrics whose names the registry already has',
    );
  }
  return dispose;
}

/** The label is part of the file name. */
const fileLabel = (label: unknown): string =>
  (typeof label === 'string' ? label : 'manual').replace(/[^\w.-]+/g, '-').slice(0, MAX_LABEL_LENGTH) ||
  'manual';

const NO_WATCHER: Failed = {
  outcome: 'failed',
  code: 'WSGUARD_WATCHER_SILENT',
  reason: 'the watcher decides whether a snapshot may be taken, and it does not respond',
};

const STOPPED: Refused = { outcome: 'refused', reason: 'the agent was stopped; start() starts a new one' };

function statusWithoutWatcher(context: AgentContext): Status {
  return composeStatus({
    watcher: context.link === null ? 'none' : 'silent',
    identity: context.identity,
    uptimeMs: context.preload.clock.wallMs() - context.startedWallMs,
    sample: context.samplingLoop?.lastSample() ?? null,
    verdicts: [],
    alerts: [...context.openAlerts.values()],
    timeToLimit: null,
    blind: [],
    noThreadReason: context.watcherHost?.noThreadReason ?? null,
  });
}
