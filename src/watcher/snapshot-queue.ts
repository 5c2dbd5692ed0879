/**
 * Takes and analyses snapshots for the watcher, one after the other. The application thread writes them; child
 * processes redact and analyse them.
 */
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CaptureHistory } from '../capture/capture-history.ts';
import { snapshotsOfDay } from '../capture/snapshot-files.ts';
import { runAnalysis, type JobOptions } from '../snapshots/jobs.ts';
import { renumberLike } from '../snapshots/renumber.ts';
import { takeCensus, type CensusRequest, type TakenCensus } from '../snapshots/take-census.ts';
import { takeSnapshot, type CaptureThread } from '../snapshots/take-snapshot.ts';
import { clearStaleLock, releaseLockOfThisProcess } from '../child-process/lock.ts';
import { addReading, afterRequest, isSnapshotDue, NOTHING_NEAR } from '../investigate/near-limit.ts';
import { reportedFingerprint } from '../deliver/retention.ts';
import { availableBytes, CgroupMemory } from '../core/cgroup.ts';
import { refused } from '../core/outcome.ts';
import type { FromWatcher, Link, WatcherSetup } from '../channel.ts';
import type { Config } from '../config/schema.ts';
import type {
  Analysis,
  CaptureBudget,
  Clock,
  Failed,
  Headroom,
  Log,
  Refused,
  Sample,
  Snapshot,
} from '../types/index.ts';
import { createClaims } from './claims.ts';
import type { WatcherContext } from './context.ts';

/** Longer than a snapshot takes of the largest heap that the gate allows, and than a request for a fork is valid. */
const SNAPSHOT_DEADLINE_MS = 10 * 60_000;
/** Chosen for a directory and a day, so that restarts and the workers of a cluster share it. A round has three snapshots. */
const MAX_FILES_PER_DAY = 24;
/** Chosen: two rounds of three. A process that restarts with the same leak all day adds nothing after that. */
const MAX_FILES_PER_LEAK_AND_DAY = 6;
const DAY_MS = 24 * 3_600_000;
/** Growth before this is warm-up: caches fill and V8 compiles code. */
const WARM_UP_MS = 10 * 60_000;
const NEAR_LIMIT_LABEL = 'near-limit';

export interface SnapshotQueue {
  /** `alertId` is null for the baseline and for snapshots that the application requests. */
  readonly take: (alertId: string | null, label: string) => Promise<Snapshot>;
  /** Resolves with the analysis, or with the reason why there is none. */
  readonly analyse: (files: readonly string[]) => Promise<Analysis | string>;
  /** Takes a census of containers. It waits for snapshots that are under way. */
  readonly takeCensus: (request: CensusRequest) => Promise<TakenCensus | Refused | Failed>;
  /**
   * Takes the snapshots that nobody requests: one after warm-up, when WSGUARD_SNAPSHOT_BASELINE is on, and one near a memory
   * limit. Call it with each sample.
   */
  readonly takeDue: (sample: Sample) => void;
}

interface Deps {
  readonly link: Link<FromWatcher>;
  /** Fingerprint of an open alert; null when there is no such alert. */
  readonly fingerprintOf: (alertId: string) => string | null;
  readonly onEnded: (snapshot: Snapshot, alertId: string | null) => void;
}

export function createSnapshotQueue(context: WatcherContext, deps: Deps): SnapshotQueue {
  const { setup, guard } = context;
  const { config } = setup;
  const jobs = createJobs(context, deps);
  let turn: Promise<unknown> = Promise.resolve();
  // The first watcher of this process has taken it.
  let isBaselineTaken = setup.restarts > 0;
  let nearLimit = NOTHING_NEAR;
  // Near a limit a snapshot in the process would be the end of it.
  const canFork = ['auto', 'fork'].includes(config.snapshot) && noForkReason(context) === null;

  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = turn.then(task);
    turn = done.catch(() => undefined);
    return done;
  }

  const enqueue = (alertId: string | null, label: string): Promise<Snapshot> =>
    inTurn(async () => {
      const snapshot = await jobs.take(alertId, label);
      deps.onEnded(snapshot, alertId);
      return snapshot;
    });

  function takeDueBaseline({ uptimeMs }: Sample): void {
    const isDue = config.snapshotBaseline !== 'off' && uptimeMs * config.timeScale >= WARM_UP_MS;
    if (isBaselineTaken || !isDue) return;
    isBaselineTaken = true;
    void guard.runAsync('baseline', () => enqueue(null, 'baseline'), null);
  }

  function takeNearLimit(sample: Sample): void {
    nearLimit = addReading(nearLimit, sample, config.timeScale);
    if (!isSnapshotDue(nearLimit)) return;
    nearLimit = afterRequest(nearLimit, true);
    const take = async (): Promise<void> => {
      const { outcome } = await enqueue(null, NEAR_LIMIT_LABEL);
      if (outcome !== 'written') nearLimit = afterRequest(nearLimit, false);
    };
    void guard.runAsync('near limit', take, undefined);
  }

  return {
    take: enqueue,
    takeCensus: (request) =>
      setup.noFilesReason === null
        ? inTurn(() => jobs.takeCensus(request))
        : Promise.resolve(refused(setup.noFilesReason)),
    takeDue(sample) {
      takeDueBaseline(sample);
      if (canFork) takeNearLimit(sample);
    },
    analyse: jobs.analyse,
  };
}

/** Each call starts its job at once. */
type Jobs = Pick<SnapshotQueue, 'take' | 'takeCensus' | 'analyse'>;

function createJobs(context: WatcherContext, { link, fingerprintOf }: Deps): Jobs {
  const { setup, clock } = context;
  const { config, noFilesReason, noChildReason } = setup;
  const { dir } = config;
  const limits = createHeadroomReader();
  const history = historyOf(setup, clock);
  const job = { dir, limits, clock, noChildReason };
  const thread = applicationThread(link);
  const budget = budgetOf(config);
  const takeClaim = createClaims(context);
  const renumber = createRenumbering(job, context.log);
  if (noFilesReason === null) {
    // The child of a watcher that died can wait for input for ever, and the lock with it.
    if (setup.restarts > 0) releaseLockOfThisProcess(dir);
    else clearStaleLock(dir, clock.wallMs());
  }

  async function take(alertId: string | null, label: string): Promise<Snapshot> {
    const snapshot = await takeOne(alertId, label);
    return alertId === null ? snapshot : renumber(alertId, snapshot);
  }

  async function takeOne(alertId: string | null, label: string): Promise<Snapshot> {
    const obstacle = snapshotObstacle(setup);
    if (obstacle !== null) return { outcome: 'refused', reason: obstacle };
    const fingerprint = alertId === null ? null : fingerprintOf(alertId);
    const isShared = alertId !== null && fingerprint !== null && takeClaim !== null;
    return takeSnapshot({
      thread,
      history,
      budget: label === NEAR_LIMIT_LABEL ? { ...budget, method: 'fork' } : budget,
      ...job,
      folder: join(dir, alertId ?? 'snapshots'),
      label,
      countFiles: () =>
        countFiles(fingerprint, snapshotsOfDay(dir, clock.wallMs(), DAY_MS / config.timeScale)),
      isRunning: false,
      // The application awaits a snapshot that it has requested.
      ...(alertId === null ? {} : { quietWaitScale: config.timeScale }),
      ...(isShared ? { claim: () => takeClaim({ alertId, fingerprint }) } : {}),
    });
  }

  return {
    take,
    takeCensus: (request) => takeCensus({ ...request, thread, history, budget, dir, limits, clock }),
    analyse: async (files) => analysisOrReason(await runAnalysis({ ...job, files })),
  };
}

/** The directory has the state, so the counts survive a restart and cover all of its processes. */
function countFiles(
  fingerprint: string | null,
  snapshots: ReturnType<typeof snapshotsOfDay>,
): { filesKept: number; filesOfLeak: number } {
  const folders = snapshots.map(({ file }) => dirname(file));
  const ofLeak = new Set(
    [...new Set(folders)].filter((folder) => reportedFingerprint(folder) === fingerprint),
  );
  return {
    filesKept: folders.length,
    filesOfLeak: fingerprint === null ? 0 : folders.filter((folder) => ofLeak.has(folder)).length,
  };
}

/** Gives a forked snapshot the object ids of the one before, of the same alert. Files of the process itself have them. */
function createRenumbering(
  job: JobOptions,
  log: Log,
): (alertId: string, snapshot: Snapshot) => Promise<Snapshot> {
  let earlier: { readonly alertId: string; readonly file: string } | null = null;
  return async (alertId, snapshot) => {
    if (snapshot.outcome !== 'written' || snapshot.method !== 'fork') return snapshot;
    const { file } = snapshot;
    const first = earlier?.alertId === alertId ? earlier.file : null;
    earlier = { alertId, file };
    if (first === null) return snapshot;
    const problem = await renumberLike(job, { earlier: first, file });
    if (problem === null) return { ...snapshot, bytes: Number(statSync(file, { bigint: true }).size) };
    log.info({ file, reason: problem.reason }, 'the object ids of a snapshot differ from those of the first');
    return snapshot;
  };
}

function analysisOrReason(analysis: Awaited<ReturnType<typeof runAnalysis>>): Analysis | string {
  if ('schema' in analysis) return analysis;
  return 'command' in analysis
    ? `${analysis.reason}; on another machine: ${analysis.command}`
    : analysis.reason;
}

/** Asked before the application is paused: without a child process the file could not be redacted. */
export const snapshotObstacle = ({ config, noFilesReason, noChildReason }: WatcherSetup): string | null =>
  noFilesReason ?? (config.redact === 'on' ? noChildReason : null);

/** The directory keeps the state only when the operator chose it. */
const historyOf = ({ config, isDirSet }: WatcherSetup, clock: Clock): CaptureHistory =>
  new CaptureHistory(isDirSet ? config.dir : null, clock);

/** Why the application thread is not forked: this process cannot be, or it did not work with this version of Node. */
export const noForkReason = ({ setup, clock }: WatcherContext): string | null =>
  setup.forkUnavailable ?? historyOf(setup, clock).forkOffBecause;

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

const budgetOf = ({ snapshot, pauseBudgetMs, spill, redact }: Config): CaptureBudget => ({
  method: snapshot,
  pauseBudgetMs,
  noSpillBecause: spill === 'off' ? 'WSGUARD_SPILL=off' : null,
  maxFiles: MAX_FILES_PER_DAY,
  maxFilesOfLeak: MAX_FILES_PER_LEAK_AND_DAY,
  redact: redact === 'on',
});
