/** May this process be stopped for a snapshot now? Everything is predicted from the number of objects. */

import type {
  CaptureBudget,
  CaptureCost,
  CaptureReadings,
  CaptureState,
  Headroom,
  LearnedCost,
  Refused,
} from '../types/index.ts';
import { redactionRssBytes } from './memory-estimate.ts';

export type CapturePermit = { readonly may: true; readonly method: 'inprocess'; readonly cost: CaptureCost };

const MIB = 1024 * 1024;

/** What Node and the packages bring: code, strings and maps, 66 to 92 bytes a node in 3 to 11 MB. */
const STARTUP_BYTES = 8 * MIB;
const STARTUP_BYTES_PER_NODE = 66;
/** What a server piles up: 33 to 41 bytes a node where it is small objects; nothing measured was denser. */
const DATA_BYTES_PER_NODE = 33;
/** Measured 61-75 on heaps full of data, 91-103 on idle ones (more edges a node). */
const FILE_BYTES_PER_NODE = 100;
/** Node major -> cost of one node: upper end of what was measured on 3 to 735 MB of live heap. */
const COST_PER_NODE: readonly { major: number; us: number; rssBytes: number }[] = [
  { major: 24, us: 3.4, rssBytes: 430 },
  { major: 22, us: 4.2, rssBytes: 460 },
];
const OLDEST = { us: 4.8, rssBytes: 480 };
/** V8's tables start so large. */
const RSS_FLOOR_BYTES = 16 * MIB;
/** Of memory that an earlier snapshot left with malloc; the second one reused nearly all of it. */
const REUSABLE_SHARE = 0.8;
/** A capture may use so much of the memory that is left. */
const HEADROOM_SHARE = 0.8;
const DISK_RESERVE_BYTES = 64 * MIB;
/** What arrives during the stop is handled at once afterwards, on a heap that must have room for it. */
const HEAP_RESERVE_BYTES = 8 * MIB;

const refused = (reason: string, needBytes?: number, haveBytes?: number): Refused => ({
  outcome: 'refused',
  reason,
  ...(needBytes === undefined ? {} : { needBytes: Math.round(needBytes) }),
  ...(haveBytes === undefined ? {} : { haveBytes: Math.round(haveBytes) }),
});

const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;

/** The smallest of the limits that are known; null where none is. */
export function headroomBytes(memory: Headroom): number | null {
  const { containerBytes, containerUsedBytes, availableBytes } = memory;
  const container =
    containerBytes === null || containerUsedBytes === null ? null : containerBytes - containerUsedBytes;
  if (container === null) return availableBytes;
  return Math.max(0, availableBytes === null ? container : Math.min(container, availableBytes));
}

/** Upper bounds; growth since the last snapshot is taken for the small objects that a leak is made of. */
function predictNodes(smallObjectBytes: number, learned: LearnedCost | null): number {
  const startupBytes = Math.min(smallObjectBytes, STARTUP_BYTES);
  const atMost =
    startupBytes / STARTUP_BYTES_PER_NODE + (smallObjectBytes - startupBytes) / DATA_BYTES_PER_NODE;
  if (learned === null) return atMost;
  const grownBytes = smallObjectBytes - learned.smallObjectBytes;
  if (grownBytes < 0) return (learned.nodes * smallObjectBytes) / learned.smallObjectBytes;
  return Math.min(atMost, learned.nodes + grownBytes / DATA_BYTES_PER_NODE);
}

export function predictCost(readings: CaptureReadings, taught: LearnedCost | null): CaptureCost {
  const learned = taught !== null && taught.nodes > 0 && taught.smallObjectBytes > 0 ? taught : null;
  const table = COST_PER_NODE.find(({ major }) => readings.nodeMajor >= major) ?? OLDEST;
  const nodes = predictNodes(smallObjects(readings), learned);
  const usPerNode = learned === null ? table.us : (learned.pauseMs * 1000) / learned.nodes;
  const fileBytesPerNode = learned === null ? FILE_BYTES_PER_NODE : learned.fileBytes / learned.nodes;
  const rssBytes = RSS_FLOOR_BYTES + nodes * table.rssBytes;
  const reusable =
    learned === null
      ? 0
      : Math.max(0, Math.min(learned.rssGrowthBytes, readings.slackBytes)) * REUSABLE_SHARE;
  return {
    nodes: Math.round(nodes),
    pauseMs: (nodes * usPerNode) / 1000,
    rssBytes: Math.max(RSS_FLOOR_BYTES, rssBytes - reusable),
    fileBytes: nodes * fileBytesPerNode,
  };
}

/** Live bytes outside the large-object space. */
export const smallObjects = (readings: Pick<CaptureReadings, 'heapBytes' | 'largeObjectBytes'>): number =>
  Math.max(0, readings.heapBytes - readings.largeObjectBytes);

function refusedByOrder(budget: CaptureBudget, state: CaptureState): Refused | null {
  if (budget.method === 'off') return refused('snapshots are switched off (WSGUARD_SNAPSHOT=off)');
  if (state.running) return refused('another snapshot is being taken');
  if (state.filesKept >= budget.maxFiles) {
    return refused(`${state.filesKept} snapshot files are kept, the bound is ${budget.maxFiles}`);
  }
  if (state.sinceLastMs !== null && state.sinceLastMs < budget.cooldownMs) {
    const leftS = Math.ceil((budget.cooldownMs - state.sinceLastMs) / 1000);
    return refused(`the last snapshot was too short a while ago, next one in ${leftS} s`);
  }
  return null;
}

export function decideCapture(
  readings: CaptureReadings,
  budget: CaptureBudget,
  state: CaptureState,
): CapturePermit | Refused {
  const byOrder = refusedByOrder(budget, state);
  if (byOrder !== null) return byOrder;
  const cost = predictCost(readings, state.learned);
  if (cost.pauseMs > budget.pauseBudgetMs) {
    return refused(
      `the process would stop for about ${Math.round(cost.pauseMs)} ms, the budget is ` +
        `${budget.pauseBudgetMs} ms (${budget.pauseSetting ?? 'WSGUARD_PAUSE_BUDGET_MS'})`,
    );
  }
  const heapLeftBytes = readings.heapCapacityBytes - readings.oldSpaceBytes;
  if (heapLeftBytes < HEAP_RESERVE_BYTES) {
    return refused('too near the heap limit to stop and catch up', HEAP_RESERVE_BYTES, heapLeftBytes);
  }
  const haveBytes = headroomBytes(readings);
  const afterwards = budget.redact ? redactionRssBytes(cost.fileBytes) : 0;
  const needBytes = (cost.rssBytes + afterwards) / HEADROOM_SHARE;
  if (haveBytes !== null && needBytes > haveBytes) {
    return refused(
      `about ${cost.nodes} objects take ${mib(needBytes)} of memory, ${mib(haveBytes)} are left`,
      needBytes,
      haveBytes,
    );
  }
  const diskBytes = cost.fileBytes + DISK_RESERVE_BYTES;
  if (readings.diskFreeBytes !== null && diskBytes > readings.diskFreeBytes) {
    return refused(
      `the file takes ${mib(diskBytes)} of disk, ${mib(readings.diskFreeBytes)} are left`,
      diskBytes,
      readings.diskFreeBytes,
    );
  }
  return { may: true, method: 'inprocess', cost };
}
