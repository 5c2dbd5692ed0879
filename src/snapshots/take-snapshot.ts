/**
 * Takes one heap snapshot: decides, captures by the best method that works, stores the file. The agent's watcher and
 * `HeapAnalyzer` share it; they differ in how they reach the application thread.
 */

import { renameSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CaptureHistory } from '../capture/capture-history.ts';
import { decideAfterShortage, decideCapture, type CaptureAllowed } from '../capture/gate.ts';
import type { WriteRequest } from '../capture/heap-snapshotter.ts';
import { redactionBytes } from '../capture/predict-cost.ts';
import { temporaryName, unusedName } from '../capture/snapshot-files.ts';
import type { StoredSnapshot, StoreJob } from '../capture/store-snapshot.ts';
import { REDACTION } from '../child-process/entries.ts';
import type { Lock } from '../child-process/lock.ts';
import { makePrivateFolder, removeFile } from '../core/folders.ts';
import { failed, failureFrom, refused } from '../core/outcome.ts';
import { atExit } from '../core/process-events.ts';
import type {
  CaptureBudget,
  CaptureReadings,
  CaptureState,
  Failed,
  Refused,
  Snapshot,
  UnfinishedSnapshot,
} from '../types/index.ts';
import { READER_DEADLINE_MS, READER_INPUT, captureInto, learnedFrom, type Fork } from './forked-capture.ts';
import { finishSnapshot, waitForLock, type JobOptions } from './jobs.ts';
import { waitForQuiet } from './quiet-wait.ts';

/** The application thread, from the thread that takes the snapshot. Null is no reply. */
export interface CaptureThread {
  readonly readings: (dir: string) => Promise<CaptureReadings | Failed | null>;
  readonly write: (request: WriteRequest) => Promise<UnfinishedSnapshot | Failed | null>;
  readonly fork: Fork;
}

export interface TakeOptions extends JobOptions {
  readonly thread: CaptureThread;
  readonly budget: CaptureBudget;
  readonly history: CaptureHistory;
  /** Folder of the file; `dir` is the directory of the lock. */
  readonly folder: string;
  readonly label: string;
  /** Counts the files for the quotas. */
  readonly countFiles: () => { readonly filesKept: number; readonly filesOfLeak?: number };
  readonly isRunning: boolean;
  /** Factor of the time scale. Absent: the capture does not wait for a quiet moment, because a caller awaits it. */
  readonly quietWaitScale?: number;
  /** Asked when the snapshot is allowed: whether this process takes it, of all with the same leak. */
  readonly claim?: () => Promise<Claim | Refused>;
}

/** The right to take the snapshot. */
interface Claim {
  readonly outcome: 'claimed';
  /** Why the snapshot is taken without asking the others; null when they were asked. */
  readonly notClaimedBecause: string | null;
  readonly end: (snapshot: Snapshot) => Promise<void>;
}

/** Chosen: the capture or analysis of another process of this directory must not cost the evidence of an alert. */
const LOCK_WAIT_MS = 120_000;
/** Chosen: a snapshot in the process takes at most its pause budget, which is ten minutes at most. */
const HOLD_MS = 10 * 60_000;

/** Never rejects. */
export async function takeSnapshot(options: TakeOptions): Promise<Snapshot> {
  const readings = await readNow(options);
  if ('outcome' in readings) return readings;
  const early = decide(readings, options);
  if (early.outcome === 'refused') return early;
  const decision = decide(await waitForQuietMoment(readings, early, options), options);
  if (decision.outcome === 'refused') return decision;
  const claim = await options.claim?.();
  if (claim?.outcome === 'refused') return claim;
  const snapshot = await takeUnderLock(options);
  await claim?.end(snapshot);
  const notClaimedBecause = claim?.notClaimedBecause ?? null;
  return snapshot.outcome === 'written' && notClaimedBecause !== null
    ? { ...snapshot, notClaimedBecause }
    : snapshot;
}

async function readNow({ thread, folder, history }: TakeOptions): Promise<CaptureReadings | Failed> {
  const readings = (await thread.readings(folder)) ?? NO_REPLY;
  if ('outcome' in readings) return readings;
  return { ...readings, forkUnavailable: readings.forkUnavailable ?? history.forkOffBecause };
}

/** Resolves with the last readings. */
function waitForQuietMoment(
  readings: CaptureReadings,
  { cost: { pauseMs } }: CaptureAllowed,
  options: TakeOptions,
): Promise<CaptureReadings> {
  const { quietWaitScale: timeScale, clock } = options;
  if (timeScale === undefined) return Promise.resolve(readings);
  return waitForQuiet(readings, { clock, timeScale, read: () => readNow(options), pauseMs });
}

/** Decides once more, because captures of other processes may have taken minutes, memory and the last files of the quota. */
async function takeUnderLock(options: TakeOptions): Promise<Snapshot> {
  const lock = await waitForLock(options, LOCK_WAIT_MS);
  if (lock === null)
    return refused('a snapshot or an analysis of another process of this directory is running');
  try {
    // The application thread may be blocked, and the lock names no child yet.
    lock.holdUntil(options.clock.wallMs() + HOLD_MS);
    const readings = await readNow(options);
    if ('outcome' in readings) return readings;
    const decision = decide(readings, options);
    if (decision.outcome === 'refused') return decision;
    return decision.method === 'fork'
      ? await takeForked(decision, readings, options, lock)
      : await takeInProcess(decision.notForkedBecause, options, lock);
  } catch (error) {
    return failureFrom(error);
  } finally {
    lock.release();
  }
}

const decide = (readings: CaptureReadings, options: TakeOptions): CaptureAllowed | Refused =>
  decideCapture(readings, options.budget, stateOf(options));

const stateOf = ({ history, countFiles, isRunning }: TakeOptions): CaptureState => ({
  isRunning,
  ...countFiles(),
  learned: history.learned,
});

/** Whether another child may be forked after one that ended without a snapshot. The server has gone on since, so it is read again. */
async function decideAgain(
  before: Refused | Failed,
  options: TakeOptions,
): Promise<CaptureAllowed | Refused | Failed> {
  const readings = await readNow(options);
  if ('outcome' in readings) return readings;
  return before.outcome === 'refused'
    ? decideAfterShortage(before, readings, options.budget, stateOf(options))
    : decideCapture(readings, { ...options.budget, method: 'fork' }, stateOf(options));
}

async function takeForked(
  { cost, maxSpillBytes }: CaptureAllowed,
  readings: CaptureReadings,
  options: TakeOptions,
  lock: Lock,
): Promise<Snapshot> {
  const { budget, history, label, clock } = options;
  const folder = resolve(options.folder);
  makePrivateFolder(folder);
  const finalFile = `${unusedName(folder, clock.wallMs(), label)}.gz`;
  const to = temporaryName(`${finalFile}.redacted`);
  const job: StoreJob = { from: READER_INPUT, to, redact: budget.redact, gzip: true, owner: process.pid };
  const needBytes = redactionBytes(cost.fileBytes, readings.nodeMajor);
  const reader = { entry: REDACTION, job, needBytes, deadlineMs: READER_DEADLINE_MS };
  const removeUnfinished = (): void => void removeFile(to);
  const stopWaiting = atExit(removeUnfinished);
  try {
    const capture = await captureInto(reader, {
      ...options,
      fork: options.thread.fork,
      cost,
      maxSpillBytes,
      decideAgain: (before) => decideAgain(before, options),
      lock,
    });
    if (capture.outcome !== 'captured') return await afterFailedFork(capture, readings, options, lock);
    const stored = JSON.parse(capture.stdout) as StoredSnapshot;
    renameSync(to, finalFile);
    history.addForked(learnedFrom(capture, stored, readings), cost);
    const { size } = statSync(finalFile, { bigint: true });
    const pauseMs = Math.round(capture.pauseMs);
    return {
      outcome: 'written',
      file: finalFile,
      method: 'fork',
      pauseMs,
      bytes: Number(size),
      redacted: budget.redact,
    };
  } finally {
    stopWaiting();
    removeUnfinished();
  }
}

const FORK_CODES = [
  'WSGUARD_FORK_DEADLINE',
  'WSGUARD_FORK_FAILED',
  'WSGUARD_FORK_STALLED',
  'WSGUARD_FORK_UNAVAILABLE',
];

/**
 * The process itself may write the snapshot when its budgets allow that. Not after a lack of memory: the child ended
 * itself for the server's sake or was killed, and a snapshot in the process needs as much.
 */
async function afterFailedFork(
  outcome: Refused | Failed,
  readings: CaptureReadings,
  options: TakeOptions,
  lock: Lock,
): Promise<Snapshot> {
  const { budget, history } = options;
  if (outcome.outcome === 'failed' && outcome.code === 'WSGUARD_FORK_FAILED')
    history.addCrash(outcome.reason);
  const isAboutFork =
    outcome.outcome === 'refused'
      ? outcome.reason.startsWith('cannot fork')
      : FORK_CODES.includes(outcome.code);
  if (budget.method === 'fork' || !isAboutFork) return outcome;
  const decision = decide(readings, { ...options, budget: { ...budget, method: 'inprocess' } });
  return decision.outcome === 'refused' ? outcome : takeInProcess(outcome.reason, options, lock);
}

async function takeInProcess(
  notForkedBecause: string | null,
  options: TakeOptions,
  lock: Lock,
): Promise<Snapshot> {
  const { thread, folder, label, budget, history, clock } = options;
  lock.holdUntil(clock.wallMs() + HOLD_MS);
  const taken = await thread.write({ dir: folder, label, redact: budget.redact });
  if (taken === null) return NO_REPLY;
  if (taken.outcome !== 'written') return taken;
  history.addInProcess(taken.learned);
  const snapshot = await finishSnapshot(options, { taken, redact: budget.redact }, lock);
  return snapshot.outcome === 'written' && notForkedBecause !== null
    ? { ...snapshot, notForkedBecause }
    : snapshot;
}

export const NO_REPLY = failed(
  'WSGUARD_CAPTURE_FAILED',
  'the application thread did not reply to the request for a snapshot',
);
