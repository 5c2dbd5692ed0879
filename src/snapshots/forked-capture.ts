/**
 * A forked capture from its preparation to its end. The order makes sure that everything that can fail has worked before
 * the server stops: the addon, the pipe, the process that reads from it. Works on every thread; only the fork itself runs on
 * the application thread.
 */

import { closeSync } from 'node:fs';
import { headroomBytes, type CaptureAllowed } from '../capture/gate.ts';
import {
  forkLimits,
  isShortOfMemory,
  isWorthRetrying,
  outcomeOfChild,
  waitForChild,
  type ForkLimits,
} from '../capture/forked-child.ts';
import { loadAddon, type ChildEnd, type NativeAddon } from '../capture/native-addon.ts';
import { openSpillFile } from '../capture/spill-file.ts';
import { smallObjectBytes } from '../capture/predict-cost.ts';
import { cpuShareFor } from '../core/cpu-share.ts';
import type { Lock } from '../child-process/lock.ts';
import type { ChildOutcome } from '../child-process/run-child.ts';
import { CgroupMemory, cpuQuotaCores } from '../core/cgroup.ts';
import { failed, failureFrom } from '../core/outcome.ts';
import type {
  CaptureCost,
  CaptureReadings,
  Failed,
  ForkedChild,
  ForkRequest,
  LearnedCost,
  Refused,
} from '../types/index.ts';
import { runTask, type JobOptions, type Task } from './jobs.ts';

/** Forks the application thread. Null when it did not reply. */
export type Fork = (request: ForkRequest) => Promise<ForkedChild | Refused | Failed | null>;

export interface ForkedCapture {
  readonly outcome: 'captured';
  readonly pauseMs: number;
  readonly child: ChildEnd;
  /** Output of the process that read the snapshot. */
  readonly stdout: string;
}

interface CaptureOptions extends JobOptions {
  readonly fork: Fork;
  readonly cost: CaptureCost;
  /** Bound of the file to which the child's memory moves; null without one. */
  readonly maxSpillBytes: number | null;
  readonly lock: Lock;
  /**
   * Asked before another fork, with the result of the child before: refused for lack of memory, or failed. Returns what another
   * child may use, or the outcome of the capture.
   */
  readonly decideAgain: (before: Refused | Failed) => Promise<CaptureAllowed | Refused | Failed>;
  /** Called when the child has its copy of the heap. */
  readonly onForked?: () => void;
}

/** Descriptor of the pipe in the process that reads the snapshot. */
export const READER_INPUT = 3;
/** Deadline of the process that reads a snapshot. Chosen: longer than the deadline of any forked child. */
export const READER_DEADLINE_MS = 10 * 60_000;
/** Chosen: the next child meets other threads at work, or has a file for its memory. One in 200 meets a lock (docs/captures.md). */
const MAX_ATTEMPTS = 3;
/** Chosen: the forked child ends within its outer margin after its reader, and a second reader starts at once. */
const BETWEEN_ATTEMPTS_MS = 30_000;
/** A request that the application thread finds later than this is void: the pipe may be closed already. */
const REQUEST_VALID_MS = 60_000;

/**
 * Forks a child that writes the heap snapshot into a pipe, from which `reader` gets it as `READER_INPUT`. Never rejects.
 */
export async function captureInto(
  reader: Task,
  options: CaptureOptions,
): Promise<ForkedCapture | Refused | Failed> {
  const addon = loadAddon();
  if ('outcome' in addon) return addon;
  const startedMs = options.clock.nowMs();
  let { cost, maxSpillBytes } = options;
  for (let attempt = 1; ; attempt += 1) {
    const result = await captureOnce(addon, reader, { ...options, cost, maxSpillBytes, startedMs });
    if (result.outcome !== 'captured') return result;
    const outcome = outcomeOf(result);
    if (outcome.outcome === 'captured' || attempt === MAX_ATTEMPTS) return outcome;
    const isRetried =
      isWorthRetrying(result.child) || (isShortOfMemory(result.child) && maxSpillBytes === null);
    if (!isRetried) return outcome;
    const again = await options.decideAgain(outcome);
    if (again.outcome !== 'allowed') return again;
    ({ cost, maxSpillBytes } = again);
  }
}

/** The cost of a capture, for the prediction of the next one. */
export function learnedFrom(
  { pauseMs, child }: Pick<ForkedCapture, 'pauseMs' | 'child'>,
  { nodes, unpackedBytes }: { readonly nodes: number; readonly unpackedBytes: number },
  readings: CaptureReadings,
): LearnedCost {
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

interface Attempt {
  readonly outcome: 'captured';
  readonly pauseMs: number;
  readonly child: ChildEnd;
  readonly read: ChildOutcome;
}

async function captureOnce(
  addon: NativeAddon,
  reader: Task,
  options: CaptureOptions & { readonly startedMs: number },
): Promise<Attempt | Refused | Failed> {
  const pipe = addon.openPipe();
  const reading = startReader(reader, options, pipe.read);
  const early = await Promise.race([reading.ready, reading.done]);
  if (early !== null) {
    closeSync(pipe.write);
    return early.outcome === 'done' ? failed('WSGUARD_CAPTURE_FAILED', 'the reader ended early') : early;
  }
  // Last of all, because the ranges change while the server works.
  const markedRanges = await addon.scanMarkedRanges();
  const limits = limitsOf(options);
  const forked =
    markedRanges === null
      ? NOT_SCANNED
      : await forkWithSpillFile({ ...limits, output: pipe.write, markedRanges }, options);
  if (forked.outcome !== 'forked') {
    closeSync(pipe.write);
    reading.end(forked);
    await reading.done;
    return forked;
  }
  options.onForked?.();
  // A reader that failed takes nothing more, and the child would wait for it until its deadline.
  void reading.done.then(({ outcome }) => outcome !== 'done' && addon.endCapture(forked.pid));
  const child = await waitForChild(forked.pid, limits.deadlineMs, { addon, clock: options.clock });
  return { outcome: 'captured', pauseMs: forked.pauseMs, child, read: await reading.done };
}

/** The child has its own copy of the descriptor, so the file is gone when the child ends. */
async function forkWithSpillFile(
  request: Omit<ForkRequest, 'spillFile' | 'validUntilWallMs'>,
  { dir, maxSpillBytes, fork, clock }: CaptureOptions,
): Promise<ForkedChild | Refused | Failed> {
  let spillFile: number | null = null;
  try {
    if (maxSpillBytes !== null) spillFile = openSpillFile(dir);
    const validUntilWallMs = clock.wallMs() + REQUEST_VALID_MS;
    return (await fork({ ...request, spillFile, validUntilWallMs })) ?? NO_REPLY;
  } catch (error) {
    return failureFrom(error);
  } finally {
    if (spillFile !== null) closeSync(spillFile);
  }
}

/** All attempts have one deadline. */
function limitsOf(options: CaptureOptions & { readonly startedMs: number }): ForkLimits {
  const { cost, limits, maxSpillBytes, clock, startedMs } = options;
  const elapsedMs = Math.round(clock.nowMs() - startedMs);
  const ofChild = forkLimits(cost, {
    groups: new CgroupMemory().limitedGroups(),
    cpuShare: cpuShareFor(cpuQuotaCores()),
    headroomBytes: headroomBytes(limits()),
    maxSpillBytes,
  });
  return { ...ofChild, deadlineMs: Math.max(0, ofChild.deadlineMs - elapsedMs) };
}

/** Codes of a snapshot that ends too early, or before its first byte. */
const INCOMPLETE = ['WSGUARD_SNAPSHOT_TRUNCATED', 'WSGUARD_SNAPSHOT_NOT_ONE'];

/** A child that ends too early leaves its reader an incomplete snapshot, so the child's reason counts then. */
function outcomeOf({ pauseMs, child, read }: Attempt): ForkedCapture | Refused | Failed {
  const isIncomplete = read.outcome === 'failed' && INCOMPLETE.includes(read.code);
  const childOutcome = outcomeOfChild(child);
  if (childOutcome !== null && (isIncomplete || read.outcome === 'done')) return childOutcome;
  return read.outcome === 'done' ? { outcome: 'captured', pauseMs, child, stdout: read.stdout } : read;
}

const NO_REPLY = failed(
  'WSGUARD_CAPTURE_FAILED',
  'the application thread did not reply to the request for a fork',
);

const NOT_SCANNED = failed('WSGUARD_FORK_UNAVAILABLE', 'cannot fork: /proc/self/smaps cannot be read');

interface Reading {
  /** Resolves with null when the reader is ready for its input. */
  readonly ready: Promise<null>;
  readonly done: Promise<ChildOutcome>;
  readonly end: (reason: Refused | Failed) => void;
}

function startReader(reader: Task, options: CaptureOptions, input: number): Reading {
  let end: Reading['end'] = () => undefined;
  let done!: Promise<ChildOutcome>;
  const ready = new Promise<null>((resolve) => {
    const task: Task = { ...reader, input, onReady: () => resolve(null), onEnder: (ender) => (end = ender) };
    done = runTask(options, task, options.lock).then((outcome) => {
      // Without a child the lock would be free, and a second attempt may follow.
      options.lock.holdUntil(options.clock.wallMs() + BETWEEN_ATTEMPTS_MS);
      return outcome;
    });
  });
  // The reader has its own copy now. With this one the child would not notice that the reader is gone.
  closeSync(input);
  return { ready, done, end: (reason) => end(reason) };
}
