/**
 * Runs the jobs that follow a snapshot, redaction and analysis, each in a supervised child process and only when there is
 * memory for it. Works on every thread.
 */

import { renameSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { headroomBytes } from '../capture/gate.ts';
import { analysisRssBytes, childHeapMib, redactionBytes } from '../capture/predict-cost.ts';
import { removeRawFile, sweepLeftovers, temporaryName, unpackedBytes } from '../capture/snapshot-files.ts';
import { cpuShareFor } from '../core/cpu-share.ts';
import { ANALYSIS, REDACTION, type ChildEntry } from '../child-process/entries.ts';
import { isLockedByThisProcess, takeLock, type Lock } from '../child-process/lock.ts';
import { runChild, type ChildOptions, type ChildOutcome } from '../child-process/run-child.ts';
import { noChildReason } from '../core/child-support.ts';
import { cpuQuotaCores } from '../core/cgroup.ts';
import { fileErrorText } from '../core/files.ts';
import { removeFile } from '../core/folders.ts';
import { formatBytes } from '../core/format.ts';
import { NODE_MAJOR } from '../core/node-major.ts';
import { failed, failureFrom, refused } from '../core/outcome.ts';
import { atExit } from '../core/process-events.ts';
import type {
  Analysis,
  Clock,
  Failed,
  Headroom,
  Refused,
  Snapshot,
  UnfinishedSnapshot,
} from '../types/index.ts';

export interface JobOptions {
  /** The directory of the lock. Processes that share it run one job at a time. */
  readonly dir: string;
  readonly limits: () => Headroom;
  readonly clock: Clock;
  /** The reason why no child process may be started. Without it the process is asked. */
  readonly noChildReason?: string | null;
  /** True: this process stays alive until the job is done, because a caller awaits it. The agent never sets it. */
  readonly keepAlive?: boolean;
}
export interface AnalysisOptions extends JobOptions {
  /** One, two or three snapshots in the order they were taken. */
  readonly files: readonly string[];
}
/** `command` runs the same analysis on a machine that has the memory. */
export type AnalysisRefused = Refused & { readonly command: string };

/** A job of a child process. It runs under a lock that the caller holds. */
export interface Task extends Pick<ChildOptions, 'input' | 'onReady' | 'onEnder'> {
  readonly entry: ChildEntry;
  readonly job: unknown;
  /** Predicted peak RSS. */
  readonly needBytes: number;
  readonly deadlineMs?: number;
}

const MIB = 1024 * 1024;
/** Chosen; divided by the CPU share of the child. */
const DEADLINE_MS = 120_000;
const LOCK_RETRY_MS = 250;
/** Longer than a job may run with most of a core. A job with less CPU makes the next one give up. */
const MAX_QUEUED_MS = 10 * 60_000;
/** Chosen: the child is ended when less memory is left for the server. */
const RESERVE_BYTES = 24 * MIB;
/** Chosen: the rest covers errors of the prediction and what the server allocates meanwhile. */
const USABLE_SHARE = 0.8;
/** Chosen: the child is ended when it takes more than this times the predicted memory. */
const MAX_OVERRUN = 1.3;

/** The shell command that analyses copies of these files in the current directory of another machine. */
const laptopCommand = (files: readonly string[]): string =>
  `npx -p @wsguard/agent wsguard analyse ${files.map((file) => quote(basename(file))).join(' ')}`;

/** Never rejects. */
export async function runAnalysis(options: AnalysisOptions): Promise<Analysis | AnalysisRefused | Failed> {
  const { files } = options;
  let needBytes: number;
  let current = '';
  try {
    const sizes = files.map((file) => unpackedBytes((current = file)));
    needBytes = analysisRssBytes(sizes);
  } catch (error) {
    return failed('WSGUARD_SNAPSHOT_UNREADABLE', `cannot read ${current}: ${fileErrorText(error)}`);
  }
  const outcome = await runAlone(options, { entry: ANALYSIS, job: { files }, needBytes });
  if (outcome.outcome === 'refused') return { ...outcome, command: laptopCommand(files) };
  return outcome.outcome === 'failed' ? outcome : readAnalysis(outcome.stdout);
}

/** Runs a job under the lock of the directory. Never rejects. */
export async function runAlone(options: JobOptions, task: Task): Promise<ChildOutcome> {
  const lock = await waitForLock(options, 0);
  if (lock === null)
    return refused('a snapshot or an analysis of another process of this directory is running');
  try {
    return await runTask(options, task, lock);
  } finally {
    lock.release();
  }
}

/** Redacts a snapshot of this process and gives it its final name. With `redact` the raw file is removed whatever happens. */
export async function finishSnapshot(
  options: JobOptions,
  { taken, redact }: { readonly taken: UnfinishedSnapshot; readonly redact: boolean },
  lock: Lock,
): Promise<Snapshot> {
  const { file: rawFile, finalFile, method, pauseMs, bytes } = taken;
  if (!redact) return { outcome: 'written', file: rawFile, method, pauseMs, bytes, redacted: false };
  const redactedFile = temporaryName(`${finalFile}.redacted`);
  const removeBoth = (): void => {
    removeFile(redactedFile);
    removeRawFile(rawFile);
  };
  const stopWaiting = atExit(removeBoth);
  try {
    const job = { from: rawFile, to: redactedFile, redact: true, gzip: false, owner: process.pid };
    const needBytes = redactionBytes(bytes, NODE_MAJOR);
    const task = { entry: REDACTION, job, needBytes };
    const outcome = await runTask(options, task, lock);
    if (outcome.outcome === 'refused')
      return { ...outcome, reason: `removed because it could not be redacted: ${outcome.reason}` };
    if (outcome.outcome === 'failed') return outcome;
    renameSync(redactedFile, finalFile);
    const { size } = statSync(finalFile, { bigint: true });
    return { outcome: 'written', file: finalFile, method, pauseMs, bytes: Number(size), redacted: true };
  } catch (error) {
    return failureFrom(error);
  } finally {
    stopWaiting();
    removeBoth();
  }
}

/** Runs a job when there is memory for it. Never rejects. */
export function runTask(
  { dir, limits, clock, keepAlive = false, noChildReason: noChildOption }: JobOptions,
  { entry, needBytes, deadlineMs = DEADLINE_MS, ...task }: Task,
  lock: Lock,
): Promise<ChildOutcome> {
  const noChild = noChildOption === undefined ? noChildReason() : noChildOption;
  if (noChild !== null) return Promise.resolve(refused(noChild));
  const haveBytes = headroomBytes(limits());
  if (haveBytes !== null && needBytes > (haveBytes - RESERVE_BYTES) * USABLE_SHARE) {
    const reason = `needs ${formatBytes(needBytes)} of memory, ${formatBytes(haveBytes)} available`;
    return Promise.resolve(refused(reason, { needBytes, haveBytes }));
  }
  sweepLeftovers(dir, clock.wallMs());
  const share = cpuShareFor(cpuQuotaCores());
  const options: ChildOptions = {
    ...task,
    script: entry.script,
    nodeFlags: entry.nodeFlags ?? [],
    heapMib: childHeapMib(needBytes),
    maxPrivateBytes: needBytes * MAX_OVERRUN,
    reserveBytes: RESERVE_BYTES,
    headroom: () => headroomBytes(limits()),
    deadlineMs: deadlineMs / share,
    share,
    onStart: lock.setChild,
    keepAlive,
  };
  return runChild(options, clock);
}

/**
 * Waits until the jobs of this process have ended, and up to `waitMs` for those of other processes. Null when it waited in
 * vain.
 */
export async function waitForLock({ dir, clock }: JobOptions, waitMs: number): Promise<Lock | null> {
  const startedMs = clock.nowMs();
  for (;;) {
    const lock = takeLock(dir, clock.wallMs());
    const maxMs = isLockedByThisProcess(dir) ? MAX_QUEUED_MS : waitMs;
    if (lock !== null || clock.nowMs() - startedMs >= maxMs) return lock;
    await new Promise<void>((resolve) => void clock.after(LOCK_RETRY_MS, resolve));
  }
}

function readAnalysis(text: string): Analysis | Failed {
  try {
    const analysis = JSON.parse(text) as Analysis;
    if (analysis.schema === 'wsguard.analysis/1') return analysis;
  } catch {
    // The text is not JSON, so the function returns the failure.
  }
  return failed('WSGUARD_ANALYSIS_FAILED', 'the analysis process wrote no result');
}

const quote = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
