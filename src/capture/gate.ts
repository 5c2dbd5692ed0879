/** Decides whether a heap snapshot may be taken now: the process must survive it and its pause fit the budget. Pure. */

import { formatBytes, formatCount } from '../core/format.ts';
import { refused } from '../core/outcome.ts';
import type {
  CaptureBudget,
  CaptureCost,
  CaptureReadings,
  CaptureState,
  Headroom,
  Refused,
} from '../types/index.ts';
import { predictCost, redactionRssBytes } from './predict-cost.ts';

export interface CaptureAllowed {
  readonly outcome: 'allowed';
  /** The predicted cost. */
  readonly cost: CaptureCost;
}

const MIB = 1024 * 1024;
/** Chosen: the rest covers errors of the prediction and what the server allocates meanwhile. */
const USABLE_SHARE = 0.8;
/** Chosen: other writers share the disk. */
const DISK_RESERVE_BYTES = 64 * MIB;
/** Chosen: messages that arrive during the pause are handled at once after it, and the heap needs room for them. */
const HEAP_RESERVE_BYTES = 8 * MIB;

export function decideCapture(
  readings: CaptureReadings,
  budget: CaptureBudget,
  state: CaptureState,
): CaptureAllowed | Refused {
  const cost = predictCost(readings, state.learned);
  return (
    checkSettings(budget, state) ??
    checkPause(cost, budget) ??
    checkHeap(readings) ??
    checkMemory(cost, readings, budget) ??
    checkDisk(cost, readings) ?? { outcome: 'allowed', cost }
  );
}

function checkSettings(budget: CaptureBudget, { isRunning, filesKept }: CaptureState): Refused | null {
  if (budget.method === 'off') return refused('snapshots are switched off (WSGUARD_SNAPSHOT=off)');
  if (isRunning) return refused('another snapshot is being taken');
  if (filesKept < budget.maxFiles) return null;
  return refused(`${filesKept} snapshot files are kept, the limit is ${budget.maxFiles}`);
}

/** In milliseconds, because the setting is. */
function checkPause(
  { pauseMs }: CaptureCost,
  { pauseBudgetMs, pauseSetting }: CaptureBudget,
): Refused | null {
  if (pauseMs <= pauseBudgetMs) return null;
  const setting = pauseSetting ?? 'WSGUARD_PAUSE_BUDGET_MS';
  return refused(
    `needs a pause of about ${formatCount(Math.round(pauseMs))} ms, ` +
      `the budget is ${formatCount(pauseBudgetMs)} ms (${setting})`,
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

/** V8 returns the snapshot's memory to malloc, which keeps it while the redaction process runs. */
function checkMemory(
  { rssBytes, fileBytes, nodes }: CaptureCost,
  readings: CaptureReadings,
  { redact }: CaptureBudget,
): Refused | null {
  const haveBytes = headroomBytes(readings);
  const needBytes = (rssBytes + (redact ? redactionRssBytes(fileBytes) : 0)) / USABLE_SHARE;
  if (haveBytes === null || needBytes <= haveBytes) return null;
  return refused(
    `needs ${formatBytes(needBytes)} of memory for about ${formatCount(nodes)} objects, ` +
      `${formatBytes(haveBytes)} available`,
    { needBytes, haveBytes },
  );
}

function checkDisk({ fileBytes }: CaptureCost, { diskFreeBytes }: CaptureReadings): Refused | null {
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
