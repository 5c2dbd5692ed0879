/**
 * Predicts what a heap snapshot costs (pause, memory, file) and what its analysis and its redaction need. V8 reports the
 * size of the heap but not its number of objects, and the cost depends on the objects. Pure.
 */

import type { CaptureCost, CaptureReadings, LearnedCost } from '../types/index.ts';

const MIB = 1024 * 1024;

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
/** V8's tables for a snapshot have this size at the start. */
const MIN_RSS_BYTES = 16 * MIB;
/** An earlier snapshot leaves its memory with malloc; a second snapshot reused nearly all of it (measured). */
const REUSABLE_SHARE = 0.8;

/** A Node process with the code of the analysis, before it reads a file. */
const CHILD_BASE_BYTES = 72 * MIB;
/** Measured on pairs of files of 18, 73, 225 and 678 MB together: a peak RSS of 85, 185, 368 and 890 MB. */
const ANALYSIS_BYTES_PER_FILE_BYTE = 1.25;
/** Redaction keeps a few bytes for each node and streams the rest. */
const REDACTION_BYTES_PER_FILE_BYTE = 0.3;
/** The part of the child's memory that is V8's heap; the rest are typed arrays outside it. */
const CHILD_HEAP_SHARE = 0.5;
/** Chosen: the code of the analysis needs some heap whatever the size of the file. */
const MIN_CHILD_HEAP_MIB = 96;

/** `learned` is the cost of this process's last snapshot, which predicts better than the table. */
export function predictCost(readings: CaptureReadings, learned: LearnedCost | null): CaptureCost {
  const last = learned !== null && learned.nodes > 0 && learned.smallObjectBytes > 0 ? learned : null;
  const perNode =
    COST_PER_NODE.find(({ minMajor }) => readings.nodeMajor >= minMajor) ?? COST_PER_NODE_BEFORE_22;
  const nodes = predictNodes(smallObjectBytes(readings), last);
  const usPerNode = last === null ? perNode.us : (last.pauseMs * 1000) / last.nodes;
  const fileBytesPerNode = last === null ? FILE_BYTES_PER_NODE : last.fileBytes / last.nodes;
  const reusableBytes =
    last === null ? 0 : Math.max(0, Math.min(last.rssGrowthBytes, readings.slackBytes)) * REUSABLE_SHARE;
  return {
    nodes: Math.round(nodes),
    pauseMs: (nodes * usPerNode) / 1000,
    rssBytes: Math.max(MIN_RSS_BYTES, MIN_RSS_BYTES + nodes * perNode.rssBytes - reusableBytes),
    fileBytes: nodes * fileBytesPerNode,
  };
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

/** Peak RSS of the process that redacts a file of this size. */
export const redactionRssBytes = (fileBytes: number): number =>
  Math.round(CHILD_BASE_BYTES + REDACTION_BYTES_PER_FILE_BYTE * fileBytes);

/** `--max-old-space-size` of a child process with this peak RSS. */
export const childHeapMib = (rssBytes: number): number =>
  Math.ceil(Math.max(MIN_CHILD_HEAP_MIB, (rssBytes * CHILD_HEAP_SHARE) / MIB));
