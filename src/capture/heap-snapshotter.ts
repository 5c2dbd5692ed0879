/**
 * Takes a heap snapshot of this thread through the gate. The agent and `HeapAnalyzer` share it. The thread stops while V8
 * writes. No other way of taking a snapshot in the process has a shorter pause (docs/facts.md). A child process redacts
 * the file later.
 */
import { existsSync, openSync, closeSync, readSync, renameSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { getHeapSpaceStatistics, writeHeapSnapshot } from 'node:v8';
import { inspectorConnection } from '../core/inspector-connection.ts';
import { makePrivateFolder, removeFile } from '../core/folders.ts';
import { failureFrom } from '../core/outcome.ts';
import type {
  CaptureBudget,
  CaptureLimits,
  CaptureReadings,
  Clock,
  Failed,
  LearnedCost,
  Refused,
  UnfinishedSnapshot,
} from '../types/index.ts';
import { decideCapture } from './gate.ts';
import { smallObjectBytes } from './predict-cost.ts';
import { diskFreeBytes, snapshotName, temporaryName } from './snapshot-files.ts';

export interface HeapSnapshotterOptions {
  readonly budget: CaptureBudget;
  readonly limits: () => CaptureLimits;
  readonly clock: Clock;
  /** Calls `write` once. A caller can mark the pause as its own. */
  readonly duringPause?: <T>(write: () => T) => T;
  /** Node's `writeHeapSnapshot`, except in tests. */
  readonly writeSnapshot?: (file: string) => void;
}

export interface SnapshotRequest {
  readonly dir: string;
  readonly label: string;
  readonly filesKept: number;
  readonly isRunning: boolean;
}

/** `node_count` is in the first kilobytes of the file. */
const HEAD_BYTES = 8192;

export class HeapSnapshotter {
  readonly #options: HeapSnapshotterOptions;
  #learned: LearnedCost | null = null;

  constructor(options: HeapSnapshotterOptions) {
    this.#options = options;
  }

  /**
   * Writes the file when the gate allows it. With `budget.redact` it has a hidden temporary name, and the caller must
   * redact or remove it. Never throws.
   */
  take({ dir, label, filesKept, isRunning }: SnapshotRequest): UnfinishedSnapshot | Refused | Failed {
    const { budget, limits, duringPause = (write) => write() } = this.#options;
    const state = { isRunning, filesKept, learned: this.#learned };
    const decision = decideCapture(readCaptureInputs(dir, limits()), budget, state);
    if (decision.outcome === 'refused') return decision;
    const snapshot = duringPause(() => this.#write(dir, label));
    if (snapshot.outcome === 'written') this.#learned = snapshot.learned;
    return snapshot;
  }

  #write(dir: string, label: string): UnfinishedSnapshot | Failed {
    const { budget, clock, writeSnapshot = writeHeapSnapshot } = this.#options;
    let temporary: string | null = null;
    try {
      const folder = resolve(dir);
      makePrivateFolder(folder);
      const finalFile = unusedName(folder, clock.wallMs(), label);
      temporary = temporaryName(finalFile);
      const heapBefore = readHeap();
      const rssBefore = process.memoryUsage.rss();
      inspectorConnection.keepObjectIds();
      const startedMs = clock.nowMs();
      writeSnapshot(temporary);
      const pauseMs = clock.nowMs() - startedMs;
      const learned: LearnedCost = {
        nodes: readNodeCount(temporary),
        smallObjectBytes: smallObjectBytes(heapBefore),
        pauseMs,
        fileBytes: statSync(temporary).size,
        rssGrowthBytes: Math.max(0, process.memoryUsage.rss() - rssBefore),
      };
      if (!budget.redact) renameSync(temporary, finalFile);
      return {
        outcome: 'written',
        file: budget.redact ? temporary : finalFile,
        finalFile,
        method: 'inprocess',
        pauseMs: Math.round(pauseMs),
        bytes: learned.fileBytes,
        redacted: false,
        learned,
      };
    } catch (error) {
      if (temporary !== null) removeFile(temporary);
      return failureFrom(error);
    }
  }
}

/** Inputs to the capture decision, of this thread and of the disk of `dir`. Takes about 20 us. */
export function readCaptureInputs(dir: string, limits: CaptureLimits): CaptureReadings {
  const { rss, heapTotal, external } = process.memoryUsage();
  return {
    ...readHeap(),
    heapCapacityBytes: limits.heapCapacityBytes,
    containerBytes: limits.containerBytes,
    containerUsedBytes: limits.containerUsedBytes,
    availableBytes: limits.availableBytes,
    slackBytes: Math.max(0, rss - heapTotal - external),
    diskFreeBytes: diskFreeBytes(resolve(dir)),
    nodeMajor: Number.parseInt(process.versions.node, 10),
  };
}

function readHeap(): Pick<CaptureReadings, 'heapBytes' | 'largeObjectBytes' | 'oldSpaceBytes'> {
  const heap = { heapBytes: 0, largeObjectBytes: 0, oldSpaceBytes: 0 };
  for (const { space_name: name, space_used_size: bytes } of getHeapSpaceStatistics()) {
    heap.heapBytes += bytes;
    if (name.includes('large_object')) heap.largeObjectBytes += bytes;
    if (!name.startsWith('new_')) heap.oldSpaceBytes += bytes;
  }
  return heap;
}

/** Two snapshots within a millisecond would have the same name. */
function unusedName(dir: string, wallMs: number, label: string): string {
  for (let nameMs = wallMs; ; nameMs += 1) {
    const file = join(dir, snapshotName(nameMs, label));
    if (!existsSync(file)) return file;
  }
}

function readNodeCount(file: string): number {
  const head = Buffer.alloc(HEAD_BYTES);
  const descriptor = openSync(file, 'r');
  try {
    const length = readSync(descriptor, head, 0, HEAD_BYTES, 0);
    return Number(/"node_count":(\d+)/.exec(head.toString('latin1', 0, length))?.[1] ?? 0);
  } finally {
    closeSync(descriptor);
  }
}
