/** The agent as its user sees it. */
import type * as CollectIntoModule from '../export/collect-into.ts';
import type { RegistryLike } from '../export/collect-into.ts';
import type * as MetricsModule from '../export/metrics.ts';
import { composeStatus } from '../report/status.ts';
import type { Dispose, Snapshot, Status } from '../types/index.ts';
import type { Agent } from './api.ts';
import type { AgentContext } from './start-agent.ts';
import { hold } from './keep-alive.ts';

const STATUS_DEADLINE_MS = 2_000;
const STOP_DEADLINE_MS = 2_000;
/** Longer than any capture may take, the waiting for another one included. */
const SNAPSHOT_DEADLINE_MS = 15 * 60_000;
const MAX_LABEL = 60;

export function createPublicApi(body: AgentContext, undo: () => void): Agent {
  const { sampler, events } = body;
  let stopping: Promise<void> | null = null;

  async function status(): Promise<Status> {
    return (await body.link?.request('status', null, STATUS_DEADLINE_MS)) ?? ownStatus(body);
  }
  async function snapshot(label: unknown): Promise<Snapshot> {
    return (await body.link?.request('snapshot', plainLabel(label), SNAPSHOT_DEADLINE_MS)) ?? noWatcher();
  }
  async function stop(): Promise<void> {
    await body.link?.request('stop', null, STOP_DEADLINE_MS);
    body.link = null;
    undo();
  }

  return {
    watchRegistry: (name, thing) => sampler.watchRegistry(name, thing),
    watchQueue: (name, thing, options) => sampler.watchQueue(name, thing, options),
    watchRooms: (name, rooms) => sampler.watchRooms(name, rooms),
    watchEmitter: (name, emitter) => sampler.watchEmitter(name, emitter),
    watchConnection: (socket, options) => sampler.watchConnection(socket, options),
    on: (event, listener) => events.on(event, listener),
    status: () => hold(status()),
    snapshot: (label) => hold(snapshot(label)),
    collectInto: (registry) => collect(body, registry),
    stop: () => (stopping ??= hold(stop())),
  };
}

/** Read when the application is scraped, from what the watcher last said: no thread is waited for. */
function collect(body: AgentContext, registry: RegistryLike): Dispose {
  const { collectInto, isRegistry } = require('../export/collect-into.ts') as typeof CollectIntoModule;
  const { metricsFor } = require('../export/metrics.ts') as typeof MetricsModule;
  if (!isRegistry(registry)) throw new TypeError('collectInto needs a Registry of prom-client');
  const { taken, dispose } = collectInto(
    registry,
    metricsFor(body.resolved.config.otelRuntime),
    () => body.metrics ?? Promise.reject(new Error('no sample yet')),
  );
  if (taken.length > 0) {
    body.log.warn(
      { code: 'WSGUARD_METRICS_TAKEN', taken },
      'metrics of these names were in the registry before',
    );
  }
  return dispose;
}

/** Part of a file's name. */
const plainLabel = (label: unknown): string =>
  (typeof label === 'string' ? label : 'manual').replace(/[^\w.-]+/g, '-').slice(0, MAX_LABEL) || 'manual';

const noWatcher = (): Snapshot => ({
  outcome: 'failed',
  code: 'WSGUARD_WATCHER_SILENT',
  reason: 'the watcher, which decides whether a snapshot may be taken, does not answer',
});

/** What this thread knows without its watcher. */
function ownStatus(body: AgentContext): Status {
  return composeStatus({
    watcher: body.link === null ? 'none' : 'silent',
    identity: body.identity,
    uptimeMs: body.bed.clock.wallMs() - body.startedWallMs,
    sample: body.sampling?.last() ?? null,
    verdicts: [],
    alerts: [...body.openAlerts.values()],
    timeToLimit: null,
    blind: [],
    noThreadReason: body.host?.noThreadReason ?? null,
  });
}
