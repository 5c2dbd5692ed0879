/**
 * Takes a census of containers: the snapshot of a forked child goes through a pipe into the process that counts, and no
 * file is written. In the process, when the caller allows that, the raw file is removed after it was counted.
 */

import { join } from 'node:path';
import type { CaptureHistory } from '../capture/capture-history.ts';
import { decideCapture, type CaptureAllowed } from '../capture/gate.ts';
import { censusRssBytes } from '../capture/predict-cost.ts';
import { removeRawFile } from '../capture/snapshot-files.ts';
import { CENSUS } from '../child-process/entries.ts';
import type { Lock } from '../child-process/lock.ts';
import { failureFrom, refused } from '../core/outcome.ts';
import type { CaptureBudget, CaptureReadings, CensusResult, Failed, Refused } from '../types/index.ts';
import { READER_DEADLINE_MS, READER_INPUT, captureInto, learnedFrom } from './forked-capture.ts';
import { runTask, waitForLock, type JobOptions, type Task } from './jobs.ts';
import { NO_REPLY, type CaptureThread } from './take-snapshot.ts';

export interface CensusRequest {
  /** Rows of the census before; null for the first one. */
  readonly earlier: readonly { readonly key: string; readonly entries: number }[] | null;
  /** Whether the process may stop for a snapshot where it cannot be forked. */
  readonly mayStop: boolean;
  /**
   * Called at the time whose heap is counted. A census waits for snapshots that are under way, and the process that counts
   * can need a minute on a busy machine.
   */
  readonly onCaptured: () => void;
}

interface CensusOptions extends JobOptions, CensusRequest {
  readonly thread: CaptureThread;
  readonly budget: CaptureBudget;
  readonly history: CaptureHistory;
}

/** A census and how long the application thread was stopped for it. */
export interface TakenCensus extends CensusResult {
  readonly outcome: 'done';
  readonly pauseMs: number;
}

/** Chosen: a census can wait for the next time. */
const LOCK_WAIT_MS = 1_000;

/** Never rejects. */
export async function takeCensus(options: CensusOptions): Promise<TakenCensus | Refused | Failed> {
  const { thread, budget, dir, mayStop } = options;
  const readings = (await thread.readings(dir)) ?? NO_REPLY;
  if ('outcome' in readings) return readings;
  const decision = decide(readings, budget, options);
  if (decision.outcome === 'refused') return decision;
  if (decision.method !== 'fork' && !mayStop)
    return refused(`cannot fork: ${decision.notForkedBecause ?? 'WSGUARD_SNAPSHOT=inprocess'}`);
  const lock = await waitForLock(options, LOCK_WAIT_MS);
  if (lock === null)
    return refused('a snapshot or an analysis of another process of this directory is running');
  try {
    return decision.method === 'fork'
      ? await takeForked(decision, { ...options, readings }, lock)
      : await takeInProcess(options, lock);
  } catch (error) {
    return failureFrom(error);
  } finally {
    lock.release();
  }
}

/** A census can wait for a time with more memory, so it does not keep the disk busy. */
function decide(
  readings: CaptureReadings,
  budget: CaptureBudget,
  { history }: CensusOptions,
): CaptureAllowed | Refused {
  return decideCapture(
    { ...readings, forkUnavailable: readings.forkUnavailable ?? history.forkOffBecause },
    { ...budget, noSpillBecause: 'a census waits for memory' },
    { isRunning: false, filesKept: 0, learned: history.learned },
  );
}

/** A child that ended itself for lack of memory is not followed by another one. */
async function decideAgain(
  before: Refused | Failed,
  options: CensusOptions,
): Promise<CaptureAllowed | Refused | Failed> {
  if (before.outcome === 'refused') return before;
  const readings = (await options.thread.readings(options.dir)) ?? NO_REPLY;
  return 'outcome' in readings ? readings : decide(readings, { ...options.budget, method: 'fork' }, options);
}

const readerOf = (from: string | number, fileBytes: number, { earlier }: CensusOptions): Task => ({
  entry: CENSUS,
  job: { from, earlier },
  needBytes: censusRssBytes(fileBytes),
  deadlineMs: READER_DEADLINE_MS,
});

async function takeForked(
  { cost }: CaptureAllowed,
  options: CensusOptions & { readonly readings: CaptureReadings },
  lock: Lock,
): Promise<TakenCensus | Refused | Failed> {
  const { history, readings } = options;
  const reader = readerOf(READER_INPUT, cost.fileBytes, options);
  const capture = await captureInto(reader, {
    ...options,
    fork: options.thread.fork,
    cost,
    maxSpillBytes: null,
    decideAgain: (before) => decideAgain(before, options),
    lock,
    onForked: options.onCaptured,
  });
  if (capture.outcome !== 'captured') return capture;
  const taken = resultOf(capture.stdout, capture.pauseMs);
  // A census costs as much as a snapshot, so it corrects the prediction for one.
  const counted = { nodes: taken.census.nodes, unpackedBytes: taken.snapshotBytes };
  history.addForked(learnedFrom(capture, counted, readings), cost);
  return taken;
}

async function takeInProcess(options: CensusOptions, lock: Lock): Promise<TakenCensus | Refused | Failed> {
  const { thread, dir, history, onCaptured } = options;
  // With `redact` the file has a temporary name and is removed when the process exits.
  const taken = await thread.write({ dir: join(dir, 'audits'), label: 'audit', redact: true });
  if (taken === null) return NO_REPLY;
  if (taken.outcome !== 'written') return taken;
  onCaptured();
  history.addInProcess(taken.learned);
  try {
    const counted = await runTask(options, readerOf(taken.file, taken.bytes, options), lock);
    return counted.outcome === 'done' ? resultOf(counted.stdout, taken.pauseMs) : counted;
  } finally {
    removeRawFile(taken.file);
  }
}

function resultOf(stdout: string, pauseMs: number): TakenCensus {
  const result = JSON.parse(stdout) as CensusResult;
  return { outcome: 'done', ...result, pauseMs: Math.round(pauseMs) };
}
