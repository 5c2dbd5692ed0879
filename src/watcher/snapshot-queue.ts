/**
 * Takes and analyses snapshots for the watcher, one after the other. The application thread writes them; child
 * processes redact and analyse them.
 */
import { join } from 'node:path';
import { CaptureHistory } from '../capture/capture-history.ts';
import { countSnapshotsOfDay } from '../capture/snapshot-files.ts';
import { runAnalysis } from '../snapshots/jobs.ts';
import { takeCensus, type CensusRequest, type TakenCensus } from '../snapshots/take-census.ts';
import { takeSnapshot, type CaptureThread } from '../snapshots/take-snapshot.ts';
import { clearStaleLock } from '../child-process/lock.ts';
import { availableBytes, CgroupMemory } from '../core/cgroup.ts';
import { refused } from '../core/outcome.ts';
import type { FromWatcher, Link, WatcherSetup } from '../channel.ts';
import type { Config } from '../config/schema.ts';
import type { Analysis, CaptureBudget, Failed, Headroom, Refused, Sample, Snapshot } from '../types/index.ts';
import type { WatcherContext } from './context.ts';

/** Longer than a snapshot takes of the largest heap that the gate allows, and than a request for a fork is valid. */
const SNAPSHOT_DEADLINE_MS = 10 * 60_000;
/** Chosen for a directory and a day, so that restarts and the workers of a cluster share it. A round has three snapshots. */
const MAX_FILES_PER_DAY = 24;
const DAY_MS = 24 * 3_600_000;
/** Growth before this is warm-up: caches fill and V8 compiles code. */
const WARM_UP_MS = 10 * 60_000;

export interface SnapshotQueue {
  /** `alertId` is null for the baseline and for snapshots that the application requests. */
  readonly take: (alertId: string | null, label: string) => Promise<Snapshot>;
  /** Resolves with the analysis, or with the reason why there is none. */
  readonly analyse: (files: readonly string[]) => Promise<Analysis | string>;
  /** Takes a census of containers. It waits for snapshots that are under way. */
  readonly takeCensus: (request: CensusRequest) => Promise<TakenCensus | Refused | Failed>;
  /** Takes one snapshot after warm-up, when WSGUARD_SNAPSHOT_BASELINE is on. Call it with each sample. */
  readonly takeDueBaseline: (sample: Sample) => void;
}

export function createSnapshotQueue(
  { setup, clock, guard }: WatcherContext,
  link: Link<FromWatcher>,
  onEnded: (snapshot: Snapshot, alertId: string | null) => void,
): SnapshotQueue {
  const { config, noFilesReason, noChildReason } = setup;
  const limits = createHeadroomReader();
  const dir = config.dir;
  const history = new CaptureHistory(setup.isDirSet ? dir : null);
  const job = { dir, limits, clock, noChildReason };
  const thread = applicationThread(link);
  const budget = budgetOf(config);
  let turn: Promise<unknown> = Promise.resolve();
  // The first watcher of this process has taken it.
  let isBaselineTaken = setup.restarts > 0;
  if (noFilesReason === null) clearStaleLock(dir, clock.wallMs());

  async function take(alertId: string | null, label: string): Promise<Snapshot> {
    const obstacle = obstacleTo(setup);
    if (obstacle !== null) return { outcome: 'refused', reason: obstacle };
    return takeSnapshot({
      thread,
      history,
      budget,
      ...job,
      folder: join(dir, alertId ?? 'snapshots'),
      label,
      filesKept: countSnapshotsOfDay(dir, clock.wallMs(), DAY_MS / config.timeScale),
      isRunning: false,
    });
  }

  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = turn.then(task);
    turn = done.catch(() => undefined);
    return done;
  }

  const enqueue = (alertId: string | null, label: string): Promise<Snapshot> =>
    inTurn(async () => {
      const snapshot = await take(alertId, label);
      onEnded(snapshot, alertId);
      return snapshot;
    });

  return {
    take: enqueue,
    takeCensus: (request) =>
      setup.noFilesReason === null
        ? inTurn(() => takeCensus({ ...request, thread, history, budget, dir, limits, clock }))
        : Promise.resolve(refused(setup.noFilesReason)),
    takeDueBaseline({ uptimeMs }) {
      const isDue = config.snapshotBaseline !== 'off' && uptimeMs * config.timeScale >= WARM_UP_MS;
      if (isBaselineTaken || !isDue) return;
      isBaselineTaken = true;
      void guard.runAsync('baseline', () => enqueue(null, 'baseline'), null);
    },
    analyse: async (files) => analysisOrReason(await runAnalysis({ ...job, files })),
  };
}

function analysisOrReason(analysis: Awaited<ReturnType<typeof runAnalysis>>): Analysis | string {
  if ('schema' in analysis) return analysis;
  return 'command' in analysis
    ? `${analysis.reason}; on another machine: ${analysis.command}`
    : analysis.reason;
}

/** Asked before the application is paused: without a child process the file could not be redacted. */
const obstacleTo = ({ config, noFilesReason, noChildReason }: WatcherSetup): string | null =>
  noFilesReason ?? (config.redact === 'on' ? noChildReason : null);

/** It reads anew each time, because a child process is checked against it ten times a second. */
function createHeadroomReader(): () => Headroom {
  const cgroup = new CgroupMemory();
  return () => ({
    containerBytes: cgroup.limitBytes(),
    containerUsedBytes: cgroup.usedBytes(),
    availableBytes: availableBytes(),
  });
}

const applicationThread = (link: Link<FromWatcher>): CaptureThread => ({
  readings: (folder) => link.request('captureReadings', folder, SNAPSHOT_DEADLINE_MS),
  write: (request) => link.request('snapshot', request, SNAPSHOT_DEADLINE_MS),
  fork: (request) => link.request('fork', request, SNAPSHOT_DEADLINE_MS),
});

const budgetOf = ({ snapshot, pauseBudgetMs, redact }: Config): CaptureBudget => ({
  method: snapshot,
  pauseBudgetMs,
  maxFiles: MAX_FILES_PER_DAY,
  redact: redact === 'on',
});
