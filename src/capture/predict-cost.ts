/**
 * Predicts what a heap snapshot costs (pause, memory, file) and what its analysis and its redaction need. V8 reports the
 * size of the heap but not its number of objects, and the cost depends on the objects. Pure.
 */

import type {
  CaptureCost,
  CaptureMethod,
  CaptureReadings,
  LearnedCost,
  LearnedCosts,
} from '../types/index.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Node and the packages bring code, strings and maps: 66 to 92 bytes per heap node in 3 to 11 MB (measured). */
const STARTUP_BYTES = 8 * MIB;
const STARTUP_BYTES_PER_NODE = 66;
/** A server's small objects take 33 to 41 bytes per heap node; nothing that was measured is denser. */
const DATA_BYTES_PER_NODE = 33;
/** Measured: 61 to 75 bytes of file per node on heaps full of data, 91 to 103 on idle ones (more edges per node). */
const FILE_BYTES_PER_NODE = 100;
/** Cost of one node by Node's major version: the upper end of measurements on 3 to 735 MB of live heap. */
const COST_PER_NODE: readonly { minMajor: number; us: number; rssBytes: number }[] = [
  { minMajor: 24, us: 3.4, rssBytes: 430 },
  { minMajor: 22, us: 4.2, rssBytes: 460 },
];
const COST_PER_NODE_BEFORE_22 = { us: 4.8, rssBytes: 480 };
/** Measured with `npm run bench -- snapshot-memory` on Node 20 to 26: 260 to 390. */
const FORK_RSS_BYTES_PER_NODE = 400;
/**
 * V8 makes a name for each index of the longest array or map of the heap, and keeps a buffer of 1 KiB for each (measured:
 * 590 MB for one map of 200,000 entries, 170 MB for as many objects in small arrays).
 */
const INDEX_NAME_BYTES = 1040;
const SLOT_BYTES = 8;
/**
 * Share of the slots in large objects that have such a name: arrays of more than 128 KiB are large objects, but so are long
 * strings, and not all slots are used. Measured: 0.4 to 0.8 with one map or array, 0 with many. A forked child
 * keeps the used part of each buffer only (native/src/name-buffers.c).
 */
const NAMED_SLOTS_SHARE: Readonly<Record<CaptureMethod, number>> = { fork: 0.02, inprocess: 0.75 };
/** V8's tables for a snapshot have this size at the start. */
const MIN_RSS_BYTES = 16 * MIB;
/** An earlier snapshot leaves its memory with malloc; a second snapshot reused nearly all of it (measured). */
const REUSABLE_SHARE = 0.8;

/** The kernel copies the page tables: 50 to 60 ms for each GiB of RSS, plus up to 28 ms to mark the heap (measured). */
const FORK_MS_PER_GIB = 75;
/** Reading the address ranges and the states of the threads: 2 to 4 ms (measured). */
const FORK_BASE_MS = 5;
/** The server copied 60 to 125 MB of pages in the first second after a fork, and nearly none later (measured). */
const MAX_COPIED_BYTES = 125 * MIB;

/**
 * With this much memory a heap of 40 MB was written in 26 s in a container of 300 MB (`npm run bench -- containers`). With less,
 * the file is read and written so often that a capture takes minutes.
 */
const SPILL_MEMORY_PER_HEAP_BYTE = 1.7;
const SPILL_BASE_BYTES = 40 * MIB;
/** Measured: 10 times the live heap. */
const SPILL_FILE_BYTES_PER_HEAP_BYTE = 12;

/**
 * Time for an object whose memory is in the file, with pages read and written again and again. Measured on a busy machine: 139 s for
 * a heap of 150 MB in a container of 1 GiB, of which the objects took a third (docs/captures.md).
 */
const SPILL_US_PER_NODE = 35;
/** Chosen: half of the longest deadline of a forked child, because a busy machine takes twice the time. */
export const MAX_SPILL_MS = 4 * 60_000;

/** A Node process with the code of the analysis, before it reads a file. */
const CHILD_BASE_BYTES = 72 * MIB;
/** Measured on pairs of files of 18, 73, 225 and 678 MB together: a peak RSS of 85, 185, 368 and 890 MB. */
const ANALYSIS_BYTES_PER_FILE_BYTE = 1.25;
/** Measured with `npm run bench -- audit`, plus the syntax trees of source files. */
const CENSUS_BASE_BYTES = 128 * MIB;
const CENSUS_BYTES_PER_FILE_BYTE = 0.7;
/**
 * Redaction keeps 3 bytes for each node and a byte for each string, and streams the rest. Measured on files of 15, 85 and 220 MB
 * (docs/captures.md): 19, 27 and 33 MB of private memory with Node 20; on files of 15 and 85 MB 25 and 37 MB with Node 24 and 26. The
 * Node executable is in memory already, for the parent.
 */
const REDACTION_COST_BEFORE_24 = { baseBytes: 20 * MIB, bytesPerFileByte: 0.08 };
const REDACTION_COST = { baseBytes: 26 * MIB, bytesPerFileByte: 0.15 };
/** The part of the child's memory that is V8's heap; the rest are typed arrays outside it. */
const CHILD_HEAP_SHARE = 0.5;
/** Chosen: the code of the analysis needs some heap whatever the size of the file. */
const MIN_CHILD_HEAP_MIB = 96;

export interface SpillCost {
  readonly rssBytes: number;
  /** Memory with which the capture ends within `MAX_SPILL_MS`; it can be less than `rssBytes`. */
  readonly timelyRssBytes: number;
  readonly fileBytes: number;
}

/** A measured cost of this process predicts better than the table: the same method's, and for objects also the other's. */
export function predictCost(
  readings: CaptureReadings,
  learned: LearnedCosts,
  method: CaptureMethod,
): CaptureCost {
  const last = usable(learned[method]);
  const counted = last ?? usable(learned[method === 'fork' ? 'inprocess' : 'fork']);
  const perNode =
    COST_PER_NODE.find(({ minMajor }) => readings.nodeMajor >= minMajor) ?? COST_PER_NODE_BEFORE_22;
  const nodes = predictNodes(smallObjectBytes(readings), counted);
  const usPerNode = last === null ? perNode.us : (last.cpuMs * 1000) / last.nodes;
  const cpuMs = (nodes * usPerNode) / 1000;
  const rssBytesPerNode = method === 'fork' ? FORK_RSS_BYTES_PER_NODE : perNode.rssBytes;
  return {
    nodes: Math.round(nodes),
    pauseMs: method === 'fork' ? forkPauseMs(readings.rssBytes, last) : cpuMs,
    cpuMs,
    rssBytes:
      MIN_RSS_BYTES +
      Math.max(0, nodes * rssBytesPerNode - reusableBytes(readings, last, method)) +
      indexNamesBytes(readings, method) +
      (method === 'fork' ? Math.min(readings.rssBytes, MAX_COPIED_BYTES) : 0),
    fileBytes: nodes * (counted === null ? FILE_BYTES_PER_NODE : counted.fileBytes / counted.nodes),
  };
}

/** The need of a capture whose working memory moves to a file. */
export const predictSpill = (
  { heapBytes, cpuShare }: Pick<CaptureReadings, 'heapBytes' | 'cpuShare'>,
  cost: Pick<CaptureCost, 'nodes' | 'cpuMs' | 'rssBytes'>,
): SpillCost => ({
  timelyRssBytes: Math.round(cost.rssBytes * (1 - spillableShare(cost, cpuShare))),
  rssBytes: Math.round(SPILL_BASE_BYTES + SPILL_MEMORY_PER_HEAP_BYTE * heapBytes),
  fileBytes: Math.round(SPILL_FILE_BYTES_PER_HEAP_BYTE * heapBytes),
});

/** Share of the memory that can be in the file without a capture that takes too long. */
function spillableShare({ nodes, cpuMs }: Pick<CaptureCost, 'nodes' | 'cpuMs'>, cpuShare: number): number {
  const leftMs = MAX_SPILL_MS - cpuMs / cpuShare;
  return Math.min(1, Math.max(0, leftMs / ((nodes * SPILL_US_PER_NODE) / 1000)));
}

const usable = (learned: LearnedCost | null): LearnedCost | null =>
  learned !== null && learned.nodes > 0 && learned.smallObjectBytes > 0 ? learned : null;

function indexNamesBytes({ largeObjectBytes }: CaptureReadings, method: CaptureMethod): number {
  return (largeObjectBytes / SLOT_BYTES) * INDEX_NAME_BYTES * NAMED_SLOTS_SHARE[method];
}

/** A slow machine is slow at every fork, so the last pause counts when it was longer than the table says. */
function forkPauseMs(rssBytes: number, last: LearnedCost | null): number {
  const ratio = last === null ? 1 : Math.max(1, last.pauseMs / forkPauseMs(last.residentBytes, null));
  return (FORK_BASE_MS + (rssBytes / GIB) * FORK_MS_PER_GIB) * ratio;
}

/** A forked child gives its memory back when it ends, so nothing of it can be reused. */
function reusableBytes(
  { slackBytes }: CaptureReadings,
  last: LearnedCost | null,
  method: CaptureMethod,
): number {
  if (last === null || method === 'fork') return 0;
  return Math.max(0, Math.min(last.rssGrowthBytes, slackBytes)) * REUSABLE_SHARE;
}

/** An upper bound. The growth since the last snapshot counts as small objects, because a leak is made of these. */
function predictNodes(bytes: number, last: LearnedCost | null): number {
  const startupBytes = Math.min(bytes, STARTUP_BYTES);
  const maxNodes = startupBytes / STARTUP_BYTES_PER_NODE + (bytes - startupBytes) / DATA_BYTES_PER_NODE;
  if (last === null) return maxNodes;
  const grownBytes = bytes - last.smallObjectBytes;
  if (grownBytes < 0) return (last.nodes * bytes) / last.smallObjectBytes;
  return Math.min(maxNodes, last.nodes + grownBytes / DATA_BYTES_PER_NODE);
}

/** Bytes outside the large-object space. A large object has many bytes but is only one node. */
export const smallObjectBytes = (readings: Pick<CaptureReadings, 'heapBytes' | 'largeObjectBytes'>): number =>
  Math.max(0, readings.heapBytes - readings.largeObjectBytes);

/** Peak RSS of the process that analyses files of these unpacked sizes. */
export const analysisRssBytes = (fileBytes: readonly number[]): number =>
  Math.round(
    CHILD_BASE_BYTES + ANALYSIS_BYTES_PER_FILE_BYTE * fileBytes.reduce((sum, bytes) => sum + bytes, 0),
  );

/** Peak RSS of the process that takes a census of a snapshot of this size. */
export const censusRssBytes = (fileBytes: number): number =>
  Math.round(CENSUS_BASE_BYTES + CENSUS_BYTES_PER_FILE_BYTE * fileBytes);

/** Peak private memory of the process that redacts a file of this size. */
export function redactionBytes(fileBytes: number, nodeMajor: number): number {
  const { baseBytes, bytesPerFileByte } = nodeMajor < 24 ? REDACTION_COST_BEFORE_24 : REDACTION_COST;
  return Math.round(baseBytes + bytesPerFileByte * fileBytes);
}

/** `--max-old-space-size` of a child process with this peak RSS. */
export const childHeapMib = (rssBytes: number): number =>
  Math.ceil(Math.max(MIN_CHILD_HEAP_MIB, (rssBytes * CHILD_HEAP_SHARE) / MIB));
