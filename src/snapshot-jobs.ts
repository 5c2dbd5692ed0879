/** Composer: gate -> analysis or redaction in a watched child process -> value. Usable from any thread. */

import { renameSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runChild } from './child-process/run-child.ts';
import type { ChildOutcome } from './child-process/run-child.ts';
import { cpuQuotaCores } from './core/cgroup.ts';
import { removeFile } from './core/folders.ts';
import { failureFrom } from './core/outcome.ts';
import { headroomBytes } from './capture/gate.ts';
import { takeLock } from './child-process/lock.ts';
import type { Lock } from './child-process/lock.ts';
import { analysisRssBytes, childHeapMib, redactionRssBytes } from './capture/predict-cost.ts';
import { sweepLeftovers, temporaryName, unpackedBytes } from './capture/snapshot-files.ts';
import { cpuShareFor } from './child-process/cpu-share.ts';
import type { Analysis, Clock, Failed, Headroom, Refused, Snapshot, UnfinishedSnapshot } from './types/index.ts';

export interface ProcessOrder {
  /** Where the lock lies: one at a time among all who write there. */
  readonly dir: string;
  readonly limits: () => Headroom;
  readonly clock: Clock;
  readonly deadlineMs?: number;
  readonly onProgress?: (line: string) => void;
  /** Someone waits for the answer: the process stays until it is there. The agent never asks for that. */
  readonly keepAlive?: boolean;
}
export interface AnalysisOrder extends ProcessOrder {
  /** One, two or three snapshots in the order they were taken. */
  readonly files: readonly string[];
}
export interface FinishOrder extends ProcessOrder {
  readonly taken: UnfinishedSnapshot;
  readonly redact: boolean;
}
/** `command`: the same analysis on a machine that has the memory. */
export type AnalysisRefused = Refused & { readonly command: string };

const MIB = 1024 * 1024;
const DEADLINE_MS = 120_000;
/** A raw file must not be lost to an analysis that happens to run. */
const REDACTION_WAIT_MS = 120_000;
const LOCK_RETRY_MS = 250;
/** The child is ended when less than this is left to the server. */
const RESERVE_BYTES = 24 * MIB;
const HEADROOM_SHARE = 0.8;
/** How far beyond its prediction the child may go before it is ended. */
const OVERRUN = 1.3;

export const laptopCommand = (files: readonly string[]): string =>
  `npx -p @wsguard/agent wsguard analyse ${files.map((file) => quote(basename(file))).join(' ')}`;

export async function runAnalysis(order: AnalysisOrder): Promise<Analysis | AnalysisRefused | Failed> {
  const command = laptopCommand(order.files);
  let needBytes: number;
  try {
    needBytes = analysisRssBytes(order.files.map(unpackedBytes));
  } catch (error) {
    return failureFrom(error, 'WSGUARD_ANALYSIS_FAILED');
  }
  const job = { files: order.files };
  const outcome = await runGated(order, { entry: 'analyse/analysis-process.js', job, needBytes, waitMs: 0 });
  if (outcome.outcome === 'refused') return { ...outcome, command };
  if (outcome.outcome === 'failed') return outcome;
  return readAnalysis(outcome.stdout);
}

/** From what `writeInProcess` took to a `Snapshot`. With `redact` the raw file is taken away whatever happens. */
export async function finishSnapshot(order: FinishOrder): Promise<Snapshot> {
  const { file: raw, finalFile, method, pauseMs, bytes } = order.taken;
  if (!order.redact) return { outcome: 'written', file: raw, method, pauseMs, bytes, redacted: false };
  const redacted = temporaryName(`${finalFile}.redacted`);
  const clear = (): void => [raw, redacted].forEach(removeFile);
  process.once('exit', clear);
  try {
    const job = { from: raw, to: redacted, owner: process.pid };
    const needBytes = redactionRssBytes(bytes);
    const task = { entry: 'capture/redaction-process.js', job, needBytes, waitMs: REDACTION_WAIT_MS };
    const outcome = await runGated(order, task);
    if (outcome.outcome === 'refused') {
      return { ...outcome, reason: `not redacted, so not kept: ${outcome.reason}` };
    }
    if (outcome.outcome === 'failed') return outcome;
    renameSync(redacted, finalFile);
    const bytesLeft = statSync(finalFile).size;
    return { outcome: 'written', file: finalFile, method, pauseMs, bytes: bytesLeft, redacted: true };
  } catch (error) {
    return failureFrom(error);
  } finally {
    process.off('exit', clear);
    clear();
  }
}

interface Task {
  readonly entry: string;
  readonly job: unknown;
  readonly needBytes: number;
  /** For the lock. */
  readonly waitMs: number;
}

async function runGated(order: ProcessOrder, task: Task): Promise<ChildOutcome> {
  const { needBytes } = task;
  const haveBytes = headroomBytes(order.limits());
  if (haveBytes !== null && needBytes > (haveBytes - RESERVE_BYTES) * HEADROOM_SHARE) {
    const reason = `it needs about ${mib(needBytes)} of memory, ${mib(haveBytes)} are left`;
    return { outcome: 'refused', reason, needBytes, haveBytes: Math.round(haveBytes) };
  }
  const lock = await lockWithin(order, task.waitMs);
  if (lock === null) return { outcome: 'refused', reason: 'another analysis is running in this directory' };
  sweepLeftovers(order.dir, order.clock.wallMs());
  const share = cpuShareFor(cpuQuotaCores());
  try {
    return await runChild(
      {
        entry: join(__dirname, task.entry),
        job: task.job,
        heapMib: childHeapMib(needBytes),
        maxRssBytes: needBytes * OVERRUN,
        reserveBytes: RESERVE_BYTES,
        headroom: () => headroomBytes(order.limits()),
        deadlineMs: (order.deadlineMs ?? DEADLINE_MS) / share,
        share,
        onStart: lock.hold,
        keepAlive: order.keepAlive ?? false,
        ...(order.onProgress === undefined ? {} : { onProgress: order.onProgress }),
      },
      order.clock,
    );
  } finally {
    lock.release();
  }
}

async function lockWithin({ dir, clock }: ProcessOrder, waitMs: number): Promise<Lock | null> {
  const untilMs = clock.nowMs() + waitMs;
  for (;;) {
    const lock = takeLock(dir, clock.wallMs());
    if (lock !== null || clock.nowMs() >= untilMs) return lock;
    await new Promise<void>((resolve) => void clock.after(LOCK_RETRY_MS, resolve));
  }
}

function readAnalysis(text: string): Analysis | Failed {
  try {
    const analysis = JSON.parse(text) as Analysis;
    if (analysis.schema === 'wsguard.analysis/1') return analysis;
  } catch {
    // Said below.
  }
  return {
    outcome: 'failed',
    code: 'WSGUARD_ANALYSIS_FAILED',
    reason: 'the analysis process gave no answer',
  };
}

const quote = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;
