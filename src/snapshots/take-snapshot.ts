/**
 * Takes one heap snapshot: decides, captures by the best method that works, stores the file. The agent's watcher and
 * `HeapAnalyzer` share it; they differ in how they reach the application thread.
 */

import { renameSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CaptureHistory } from '../capture/capture-history.ts';
import { decideCapture, type CaptureAllowed } from '../capture/gate.ts';
import type { WriteRequest } from '../capture/heap-snapshotter.ts';
import { redactionRssBytes, smallObjectBytes } from '../capture/predict-cost.ts';
import { temporaryName, unusedName } from '../capture/snapshot-files.ts';
import type { StoredSnapshot, StoreJob } from '../capture/store-snapshot.ts';
import { REDACTION } from '../child-process/entries.ts';
import type { Lock } from '../child-process/lock.ts';
import { makePrivateFolder, removeFile } from '../core/folders.ts';
import { failed, failureFrom, refused } from '../core/outcome.ts';
import type {
  CaptureBudget,
  CaptureReadings,
  CaptureState,
  Failed,
  Refused,
  Snapshot,
  UnfinishedSnapshot,
} from '../types/index.ts';
import { captureInto, type Fork, type ForkedCapture } from './forked-capture.ts';
import { finishSnapshot, waitForLock, type JobOptions } from './jobs.ts';

/** The application thread, from the thread that takes the snapshot. Null is no reply. */
export interface CaptureThread {
  readonly readings: (dir: string) => Promise<CaptureReadings | null>;
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
  readonly filesKept: number;
  readonly isRunning: boolean;
}

/** Chosen: the capture or analysis of another process of this directory must not cost the evidence of an alert. */
const LOCK_WAIT_MS = 120_000;
/** Chosen: a snapshot in the process takes at most its pause budget, which is ten minutes at most. */
const WRITE_HOLD_MS = 10 * 60_000;

/** Never rejects. */
export async function takeSnapshot(options: TakeOptions): Promise<Snapshot> {
  const { history, thread, folder } = options;
  const readings = await thread.readings(folder);
  if (readings === null) return NO_REPLY;
  const forkUnavailable = readings.forkUnavailable ?? history.forkOffBecause;
  const known = { ...readings, forkUnavailable };
  const decision = decide(known, options);
  if (decision.outcome === 'refused') return decision;
  const lock = await waitForLock(options, LOCK_WAIT_MS);
  if (lock === null)
    return refused('a snapshot or an analysis of another process of this directory is running');
  try {
    return decision.method === 'fork'
      ? await takeForked(decision, known, options, lock)
      : await takeInProcess(decision.notForkedBecause, options, lock);
  } catch (error) {
    return failureFrom(error);
  } finally {
    lock.release();
  }
}

function decide(readings: CaptureReadings, options: TakeOptions): CaptureAllowed | Refused {
  const { budget, history, filesKept, isRunning } = options;
  const state: CaptureState = { isRunning, filesKept, learned: history.learned };
  return decideCapture(readings, budget, state);
}

async function takeForked(
  { cost }: CaptureAllowed,
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
  const needBytes = redactionRssBytes(cost.fileBytes);
  const reader = { entry: REDACTION, job, needBytes, deadlineMs: READER_DEADLINE_MS };
  const removeUnfinished = (): void => void removeFile(to);
  process.once('exit', removeUnfinished);
  try {
    const capture = await captureInto(reader, { ...options, fork: options.thread.fork, cost, lock });
    if (capture.outcome !== 'captured') return await afterFailedFork(capture, readings, options, lock);
    const stored = JSON.parse(capture.stdout) as StoredSnapshot;
    renameSync(to, finalFile);
    history.addForked(learnedFrom(capture, stored, readings), cost);
    const { size } = statSync(finalFile);
    const pauseMs = Math.round(capture.pauseMs);
    return {
      outcome: 'written',
      file: finalFile,
      method: 'fork',
      pauseMs,
      bytes: size,
      redacted: budget.redact,
    };
  } finally {
    process.off('exit', removeUnfinished);
    removeUnfinished();
  }
}

/** Descriptor of the pipe in the process that reads it. */
const READER_INPUT = 3;
/** Chosen: longer than the deadline of any forked child. */
const READER_DEADLINE_MS = 10 * 60_000;

function learnedFrom(
  { pauseMs, child }: ForkedCapture,
  { nodes, unpackedBytes }: StoredSnapshot,
  readings: CaptureReadings,
): Parameters<CaptureHistory['addForked']>[0] {
  return {
    nodes,
    smallObjectBytes: smallObjectBytes(readings),
    residentBytes: readings.rssBytes,
    pauseMs,
    cpuMs: child.cpuMs ?? pauseMs,
    fileBytes: unpackedBytes,
    rssGrowthBytes: Math.max(0, (child.maxRssBytes ?? 0) - readings.rssBytes),
  };
}

const FORK_CODES = ['WSGUARD_FORK_DEADLINE', 'WSGUARD_FORK_FAILED', 'WSGUARD_FORK_UNAVAILABLE'];

/**
 * The process itself may write the snapshot when its budgets allow that. Not after a lack of memory: the child ended
 * itself for the server's sake, and a snapshot in the process needs as much.
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
  lock.holdUntil(clock.wallMs() + WRITE_HOLD_MS);
  const taken = await thread.write({ dir: folder, label, redact: budget.redact });
  if (taken === null) return NO_REPLY;
  if (taken.outcome !== 'written') return taken;
  history.addInProcess(taken.learned);
  const snapshot = await finishSnapshot(options, { taken, redact: budget.redact }, lock);
  return snapshot.outcome === 'written' && notForkedBecause !== null
    ? { ...snapshot, notForkedBecause }
    : snapshot;
}

const NO_REPLY = failed(
  'WSGUARD_CAPTURE_FAILED',
  'the application thread did not reply to the request for a snapshot',
);
