/**
 * Decides whether a heap snapshot may be taken now, and by which method: the process must survive it, and its pause must
 * fit the budget. Pure.
 */

import { formatBytes, formatCount, formatDuration } from '../core/format.ts';
import { refused } from '../core/outcome.ts';
import type {
  CaptureBudget,
  CaptureCost,
  CaptureMethod,
  CaptureReadings,
  CaptureState,
  Headroom,
  Refused,
} from '../types/index.ts';
import { MAX_DEADLINE_MS } from './forked-child.ts';
import { MAX_SPILL_MS, predictCost, predictSpill, redactionBytes } from './predict-cost.ts';

export interface CaptureAllowed {
  readonly outcome: 'allowed';
  readonly method: CaptureMethod;
  /** The predicted cost. */
  readonly cost: CaptureCost;
  /** Bound of the file to which working memory moves; null when memory is expected to suffice. */
  readonly maxSpillBytes: number | null;
  /** Why the snapshot is not taken in a forked process; null when it is. */
  readonly notForkedBecause: string | null;
}

const MIB = 1024 * 1024;
/** Chosen: the rest covers errors of the prediction and what the server allocates meanwhile. */
const USABLE_SHARE = 0.8;
/** Chosen: other writers share the disk. */
export const DISK_RESERVE_BYTES = 64 * MIB;
/** Chosen: messages that arrive during the pause are handled at once after it, and the heap needs room for them. */
const HEAP_RESERVE_BYTES = 8 * MIB;
/** Chosen: no client notices the stop of a fork, and a health check survives the stop of a snapshot in the process. */
const PAUSE_BUDGET_MS: Readonly<Record<CaptureMethod, number>> = { fork: 250, inprocess: 2000 };
/** Redacted snapshots compress to a seventh or less (measured). */
const MIN_GZIP_RATIO = 4;

export function decideCapture(
  readings: CaptureReadings,
  budget: CaptureBudget,
  state: CaptureState,
): CaptureAllowed | Refused {
  const settings = checkSettings(budget, state) ?? checkDirectory(readings);
  if (settings !== null) return settings;
  if (budget.method === 'inprocess') return decideInProcess(readings, budget, state);
  const forked = decideFork(readings, budget, state);
  if (forked.outcome === 'allowed' || budget.method === 'fork') return forked;
  const inProcess = decideInProcess(readings, budget, state);
  return inProcess.outcome === 'allowed'
    ? { ...inProcess, notForkedBecause: forked.reason }
    : bothRefused(forked, inProcess);
}

function decideFork(
  readings: CaptureReadings,
  budget: CaptureBudget,
  { learned }: CaptureState,
): CaptureAllowed | Refused {
  if (readings.forkUnavailable !== null) return refused(`cannot fork: ${readings.forkUnavailable}`);
  const cost = predictCost(readings, learned, 'fork');
  const pause = checkPause(cost, budget, 'fork');
  if (pause !== null) return pause;
  const duration = checkDuration(cost, readings);
  if (duration !== null) return duration;
  const shortage = checkMemory(cost, readings, true);
  if (shortage !== null) return decideSpill(cost, shortage, readings, budget);
  return checkDisk(cost.fileBytes / MIN_GZIP_RATIO, readings) ?? allowed('fork', cost);
}

/**
 * After a forked child ended itself for lack of memory: whether a second one may move its working memory to a file. The readings
 * are new ones.
 */
export const decideAfterShortage = (
  shortage: Refused,
  readings: CaptureReadings,
  budget: CaptureBudget,
  { learned }: CaptureState,
): CaptureAllowed | Refused =>
  decideSpill(predictCost(readings, learned, 'fork'), shortage, readings, budget);

/** The child's memory can move to a file where it does not fit: that takes less memory, more disk and more time. */
function decideSpill(
  cost: CaptureCost,
  shortage: Refused,
  readings: CaptureReadings,
  budget: CaptureBudget,
): CaptureAllowed | Refused {
  const off = budget.noSpillBecause ?? readings.spillUnavailable;
  if (off !== null) return { ...shortage, reason: `${shortage.reason}; it cannot move to a file: ${off}` };
  const spill = predictSpill(readings, cost);
  const isSlow = spill.timelyRssBytes > spill.rssBytes;
  const needBytes =
    Math.max(spill.rssBytes, spill.timelyRssBytes) + redactionBytes(cost.fileBytes, readings.nodeMajor);
  const haveBytes = headroomBytes(readings);
  if (haveBytes !== null && needBytes > haveBytes)
    return refused(
      `needs ${formatBytes(needBytes)} of memory ` +
        (isSlow ? `to end within ${formatDuration(MAX_SPILL_MS)} while` : 'also when') +
        ` the rest moves to a file, ${formatBytes(haveBytes)} available; ` +
        `${formatBytes(needBytes - haveBytes)} more would be enough`,
      { needBytes, haveBytes },
    );
  const disk = checkDisk(spill.fileBytes + cost.fileBytes / MIN_GZIP_RATIO, readings);
  return disk ?? { ...allowed('fork', cost), maxSpillBytes: spill.fileBytes };
}

function decideInProcess(
  readings: CaptureReadings,
  budget: CaptureBudget,
  { learned }: CaptureState,
): CaptureAllowed | Refused {
  const cost = predictCost(readings, learned, 'inprocess');
  return (
    checkPause(cost, budget, 'inprocess') ??
    checkHeap(readings) ??
    checkMemory(cost, readings, budget.redact) ??
    checkDisk(cost.fileBytes, readings) ??
    allowed('inprocess', cost)
  );
}

const allowed = (method: CaptureMethod, cost: CaptureCost): CaptureAllowed => ({
  outcome: 'allowed',
  method,
  cost,
  maxSpillBytes: null,
  notForkedBecause: null,
});

/** The bytes are those of the method that needs them; a fork is the one that an operator wants to have. */
function bothRefused(forked: Refused, inProcess: Refused): Refused {
  const { needBytes, haveBytes } = forked.needBytes === undefined ? inProcess : forked;
  const reason =
    forked.reason === inProcess.reason
      ? forked.reason
      : `in a forked process: ${forked.reason}; in this process: ${inProcess.reason}`;
  return needBytes === undefined || haveBytes === undefined
    ? refused(reason)
    : refused(reason, { needBytes, haveBytes });
}

function checkSettings(
  budget: CaptureBudget,
  { isRunning, filesKept, filesOfLeak = 0 }: CaptureState,
): Refused | null {
  const { maxFilesOfLeak = Infinity } = budget;
  if (budget.method === 'off') return refused('snapshots are switched off (WSGUARD_SNAPSHOT=off)');
  if (isRunning) return refused('another snapshot is being taken');
  if (filesOfLeak >= maxFilesOfLeak)
    return refused(
      `${filesOfLeak} snapshots of this leak were taken within a day, the limit is ${maxFilesOfLeak}`,
    );
  if (filesKept < budget.maxFiles) return null;
  return refused(`${filesKept} snapshot files are kept, the limit is ${budget.maxFiles}`);
}

const checkDirectory = ({ directoryRefused }: CaptureReadings): Refused | null =>
  directoryRefused === null ? null : refused(directoryRefused);

/** In milliseconds, because the setting is. */
function checkPause(
  { pauseMs }: CaptureCost,
  { pauseBudgetMs, pauseSetting }: CaptureBudget,
  method: CaptureMethod,
): Refused | null {
  const budgetMs = pauseBudgetMs ?? PAUSE_BUDGET_MS[method];
  if (pauseMs <= budgetMs) return null;
  const setting = pauseSetting ?? 'WSGUARD_PAUSE_BUDGET_MS';
  return refused(
    `needs a pause of about ${formatCount(Math.round(pauseMs))} ms, ` +
      `the budget is ${formatCount(budgetMs)} ms (${setting})`,
  );
}

/** A child with a part of a core would be ended at its deadline, after minutes of work. */
function checkDuration({ cpuMs }: CaptureCost, { cpuShare }: CaptureReadings): Refused | null {
  const durationMs = cpuMs / cpuShare;
  if (durationMs <= MAX_DEADLINE_MS) return null;
  return refused(
    `needs about ${formatDuration(durationMs)} with the ${cpuShare} of a CPU core that it may use, ` +
      `the limit is ${formatDuration(MAX_DEADLINE_MS)}`,
  );
}

function checkHeap({ heapCapacityBytes, oldSpaceBytes }: CaptureReadings): Refused | null {
  const haveBytes = heapCapacityBytes - oldSpaceBytes;
  if (haveBytes >= HEAP_RESERVE_BYTES) return null;
  const needBytes = HEAP_RESERVE_BYTES;
  return refused(
    `too little free heap: needs ${formatBytes(needBytes)}, ${formatBytes(haveBytes)} available`,
    { needBytes, haveBytes },
  );
}

/**
 * A forked child and its redaction run at the same time. After a snapshot in the process malloc keeps the memory while
 * the redaction runs.
 */
function checkMemory(
  { rssBytes, fileBytes, nodes }: CaptureCost,
  readings: CaptureReadings,
  hasRedaction: boolean,
): Refused | null {
  const haveBytes = headroomBytes(readings);
  const needBytes =
    (rssBytes + (hasRedaction ? redactionBytes(fileBytes, readings.nodeMajor) : 0)) / USABLE_SHARE;
  if (haveBytes === null || needBytes <= haveBytes) return null;
  return refused(
    `needs ${formatBytes(needBytes)} of memory for about ${formatCount(nodes)} objects, ` +
      `${formatBytes(haveBytes)} available`,
    { needBytes, haveBytes },
  );
}

function checkDisk(fileBytes: number, { diskFreeBytes }: CaptureReadings): Refused | null {
  const needBytes = fileBytes + DISK_RESERVE_BYTES;
  if (diskFreeBytes === null || needBytes <= diskFreeBytes) return null;
  return refused(`needs ${formatBytes(needBytes)} of disk space, ${formatBytes(diskFreeBytes)} available`, {
    needBytes,
    haveBytes: diskFreeBytes,
  });
}

/** Memory left for new allocations: the smaller of what the container and the machine have; null when unknown. */
export function headroomBytes({
  containerBytes,
  containerUsedBytes,
  availableBytes,
}: Headroom): number | null {
  if (containerBytes === null || containerUsedBytes === null) return availableBytes;
  const containerLeft = Math.max(0, containerBytes - containerUsedBytes);
  return availableBytes === null ? containerLeft : Math.min(containerLeft, availableBytes);
}
