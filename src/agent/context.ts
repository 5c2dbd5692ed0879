/** The state that the parts of a running agent share on the application thread. */
import type { PreloadContext } from '../agent.ts';
import type { FromApp, Link, WatcherSetup } from '../channel.ts';
import { forkUnavailableReason } from '../capture/fork-support.ts';
import type { ResolvedConfig } from '../config/schema.ts';
import { noChildReason } from '../core/child-support.ts';
import { chooseFolder } from '../core/no-files.ts';
import type { MetricState } from '../export/metric.ts';
import type { Alert, Identity, Log } from '../types/index.ts';
import type { AgentEventEmitter } from './event-emitter.ts';
import type { HeartbeatCounter } from './heartbeat-counter.ts';
import type { Sampler } from './sampler.ts';
import type { SamplingLoop } from './sampling-loop.ts';
import type { WatcherHost } from './watcher-host.ts';

export interface AgentContext {
  readonly preload: PreloadContext;
  readonly resolved: ResolvedConfig;
  readonly identity: Identity;
  readonly log: Log;
  readonly sampler: Sampler;
  readonly events: AgentEventEmitter;
  readonly heartbeat: HeartbeatCounter;
  /** Keyed by alert id. The exit report and a restarted watcher need them. */
  readonly openAlerts: Map<string, Alert>;
  /** Snapshot files that may hold secrets because their redaction has not finished. */
  readonly rawFiles: Set<string>;
  readonly startedWallMs: number;
  /** The directory is set explicitly and writable: the watcher keeps state there across restarts. */
  readonly isDirSet: boolean;
  /** The reason why the agent writes no files; null when it may. */
  readonly noFilesReason: string | null;
  /** From the watcher's last acknowledgement. */
  metrics: MetricState | null;
  /** Null before the watcher starts, after `stop()`, and while the watcher pauses after several deaths. */
  link: Link<FromApp> | null;
  samplingLoop: SamplingLoop | null;
  watcherHost: WatcherHost | null;
}

/** The settings with the folder that the agent uses as `dir`, and what it may do there. */
export function withChosenFolder(
  resolved: ResolvedConfig,
): Pick<AgentContext, 'resolved' | 'isDirSet' | 'noFilesReason'> {
  const { config, sources } = resolved;
  const { dir, noFilesReason } = chooseFolder(config, process.argv?.[1] ?? null);
  return {
    resolved: { ...resolved, config: { ...config, dir } },
    noFilesReason,
    isDirSet: noFilesReason === null && ['file', 'code', 'env'].includes(sources.dir),
  };
}

export function createWatcherSetup(
  context: AgentContext,
  { noThreadReason, restarts }: Pick<WatcherSetup, 'noThreadReason' | 'restarts'>,
): WatcherSetup {
  const { resolved, identity, preload, heartbeat, startedWallMs, openAlerts, isDirSet, noFilesReason } =
    context;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(preload.env)) if (value !== undefined) env[name] = value;
  return {
    noThreadReason,
    restarts,
    config: resolved.config,
    identity,
    env,
    isDirSet,
    noFilesReason,
    forkUnavailable: forkUnavailableReason(),
    noChildReason: noChildReason(),
    startedWallMs,
    stderr: preload.stderr,
    heartbeat: noThreadReason === null ? heartbeat.memory : null,
    openAlerts: [...openAlerts.values()],
  };
}
