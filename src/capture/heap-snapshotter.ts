/**
 * Takes heap snapshots of this thread: it writes them itself, or forks a child that does. The agent and `HeapAnalyzer` share
 * it. The thread stops while V8 writes; no other way of taking a snapshot in the process has a shorter pause
 * (docs/facts.md).
 */
import { openSync, closeSync, readSync, renameSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics, writeHeapSnapshot } from 'node:v8';
import { processMemory } from '../core/process-memory.ts';
import { cpuQuotaCores } from '../core/cgroup.ts';
import { cpuShareFor } from '../core/cpu-share.ts';
import { inspectorConnection } from '../core/inspector-connection.ts';
import { makePrivateFolder } from '../core/folders.ts';
import { NODE_MAJOR } from '../core/node-major.ts';
import { failureFrom } from '../core/outcome.ts';
import type {
  CaptureLimits,
  CaptureReadings,
  Clock,
  Failed,
  ForkedChild,
  ForkRequest,
  LearnedCost,
  Refused,
  UnfinishedSnapshot,
} from '../types/index.ts';
import { forkCapture } from './fork-capture.ts';
import { forkUnavailableReason } from './fork-support.ts';
import { smallObjectBytes } from './predict-cost.ts';
import {
  createRawFile,
  diskFreeBytes,
  nearestFolder,
  refusedDirectory,
  removeRawFile,
  unusedName,
} from './snapshot-files.ts';
import { spillUnavailableReason } from './spill-file.ts';

export interface HeapSnapshotterOptions {
  readonly limits: () => CaptureLimits;
  readonly clock: Clock;
  /** Calls `write` once. A caller can mark the pause as its own. */
  readonly duringPause?: <T>(write: () => T) => T;
  /** The same for the short pause of a fork. */
  readonly duringFork?: <T>(fork: () => T) => T;
  /** Node's `writeHeapSnapshot`, except in tests. */
  readonly writeSnapshot?: (file: string) => void;
}

export interface WriteRequest {
  readonly dir: string;
  readonly label: string;
  /** False: the file gets its final name at once. */
  readonly redact: boolean;
}

/** `node_count` is in the first kilobytes of the file. */
const HEAD_BYTES = 8192;

export class HeapSnapshotter {
  readonly #options: HeapSnapshotterOptions;
  #forkUnavailable: string | null | undefined;

  constructor(options: HeapSnapshotterOptions) {
    this.#options = options;
  }

  /** Inputs to the capture decision for a file in `dir`. `root` is the directory that must belong to this user. */
  readings(dir: string, root = dir): CaptureReadings {
    // It cannot change while the process runs.
    this.#forkUnavailable ??= forkUnavailableReason();
    const limits = this.#options.limits();
    return readCaptureInputs({ dir, root, limits, forkUnavailable: this.#forkUnavailable });
  }

  /**
   * Writes the file in this process. With `redact` it has a random name in a private folder, and the caller must redact or remove
   * it. Never throws.
   */
  write(request: WriteRequest): UnfinishedSnapshot | Failed {
    const { duringPause = (write) => write() } = this.#options;
    return duringPause(() => this.#write(request));
  }

  /** Forks a child that writes the snapshot into the pipe of the request. Never rejects. */
  fork(request: ForkRequest): Promise<ForkedChild | Refused | Failed> {
    const { clock, writeSnapshot = writeHeapSnapshot, duringFork = (fork) => fork() } = this.#options;
    return forkCapture(request, { clock, writeSnapshot, duringFork });
  }

  #write({ dir, label, redact }: WriteRequest): UnfinishedSnapshot | Failed {
    const { clock, writeSnapshot = writeHeapSnapshot } = this.#options;
    let temporary: string | null = null;
    try {
      const folder = resolve(dir);
      makePrivateFolder(folder);
      const finalFile = unusedName(folder, clock.wallMs(), label);
      temporary = createRawFile(folder);
      const heapBefore = readHeap();
      const rssBefore = residentBytes();
      inspectorConnection.keepObjectIds();
      const startedMs = clock.nowMs();
      writeSnapshot(temporary);
      const pauseMs = clock.nowMs() - startedMs;
      const learned: LearnedCost = {
        nodes: readNodeCount(temporary),
        smallObjectBytes: smallObjectBytes(heapBefore),
        residentBytes: rssBefore,
        pauseMs,
        cpuMs: pauseMs,
        fileBytes: Number(statSync(temporary, { bigint: true }).size),
        rssGrowthBytes: Math.max(0, residentBytes() - rssBefore),
      };
      if (!redact) {
        renameSync(temporary, finalFile);
        removeRawFile(temporary);
      }
      return {
        outcome: 'written',
        file: redact ? temporary : finalFile,
        finalFile,
        method: 'inprocess',
        pauseMs: Math.round(pauseMs),
        bytes: learned.fileBytes,
        redacted: false,
        learned,
      };
    } catch (error) {
      if (temporary !== null) removeRawFile(temporary);
      return failureFrom(error);
    }
  }
}

interface InputOptions {
  readonly dir: string;
  readonly root: string;
  readonly limits: CaptureLimits;
  readonly forkUnavailable: string | null;
}

/** Inputs to the capture decision, of this thread and of the disk of `dir`. Takes about 0.2 ms on a busy machine. */
function readCaptureInputs({ dir, root, limits, forkUnavailable }: InputOptions): CaptureReadings {
  const { heapTotal, external } = processMemory();
  const rssBytes = residentBytes();
  const { active, idle } = performance.eventLoopUtilization();
  return {
    ...readHeap(),
    heapCapacityBytes: limits.heapCapacityBytes,
    containerBytes: limits.containerBytes,
    containerUsedBytes: limits.containerUsedBytes,
    availableBytes: limits.availableBytes,
    slackBytes: Math.max(0, rssBytes - heapTotal - external),
    rssBytes,
    diskFreeBytes: diskFreeBytes(resolve(dir)),
    spillUnavailable: spillUnavailableReason(nearestFolder(resolve(root))),
    loop: { activeMs: active, atMs: active + idle },
    nodeMajor: NODE_MAJOR,
    cpuShare: cpuShareFor(cpuQuotaCores()),
    forkUnavailable,
    directoryRefused: refusedDirectory(resolve(root)),
  };
}

/** Without /proc the RSS is unknown, and V8's memory is a lower bound. */
function residentBytes(): number {
  const { rss, heapTotal, external } = processMemory();
  return Number.isNaN(rss) ? heapTotal + external : rss;
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
