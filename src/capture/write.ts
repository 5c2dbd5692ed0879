/** The stop itself: a snapshot of this thread's heap, in the process. The caller asked the gate. */

import { existsSync, openSync, closeSync, readSync, renameSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { getHeapSpaceStatistics, writeHeapSnapshot } from 'node:v8';
import type { CaptureLimits, CaptureReadings, Clock, Failed, LearnedCost, Taken } from '../types/index.ts';
import { makePrivateFolder, removeFile } from '../core/folders.ts';
import { failureFrom } from '../core/outcome.ts';
import { smallObjects } from './gate.ts';
import { diskFreeBytes, snapshotName, temporaryName } from './snapshot-files.ts';

export interface WriteOrder {
  readonly dir: string;
  readonly label: string;
  /** `raw` keeps the temporary, hidden name: redaction makes the final file of it. */
  readonly as: 'raw' | 'final';
}

/** The counts stand in the first kilobytes. */
const HEAD_BYTES = 8192;

/** Stops the process for as long as it takes. Measured: no in-process way is shorter. */
export function writeInProcess(order: WriteOrder, clock: Clock): Taken | Failed {
  let temporary: string | null = null;
  try {
    const dir = resolve(order.dir);
    makePrivateFolder(dir);
    const finalFile = freeName(dir, clock.wallMs(), order.label);
    temporary = temporaryName(finalFile);
    const before = heapNow();
    const rssBefore = process.memoryUsage.rss();
    const startedMs = clock.nowMs();
    writeHeapSnapshot(temporary);
    const pauseMs = clock.nowMs() - startedMs;
    const learned: LearnedCost = {
      nodes: nodeCount(temporary),
      smallObjectBytes: smallObjects(before),
      pauseMs,
      fileBytes: statSync(temporary).size,
      rssGrowthBytes: Math.max(0, process.memoryUsage.rss() - rssBefore),
    };
    const file = order.as === 'raw' ? temporary : finalFile;
    if (order.as === 'final') renameSync(temporary, finalFile);
    return {
      outcome: 'written',
      file,
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

/** What the gate needs of this thread; some 20 us. `limits` come from who reads them anyway. */
export function readCaptureInputs(dir: string, limits: CaptureLimits): CaptureReadings {
  const { rss, heapTotal, external } = process.memoryUsage();
  return {
    ...heapNow(),
    heapCapacityBytes: limits.heapCapacityBytes,
    containerBytes: limits.containerBytes,
    containerUsedBytes: limits.containerUsedBytes,
    availableBytes: limits.availableBytes,
    rssBytes: rss,
    slackBytes: Math.max(0, rss - heapTotal - external),
    diskFreeBytes: diskFreeBytes(resolve(dir)),
    nodeMajor: Number.parseInt(process.versions.node, 10),
  };
}

function heapNow(): { heapBytes: number; largeObjectBytes: number; oldSpaceBytes: number } {
  const heap = { heapBytes: 0, largeObjectBytes: 0, oldSpaceBytes: 0 };
  for (const { space_name: name, space_used_size: bytes } of getHeapSpaceStatistics()) {
    heap.heapBytes += bytes;
    if (name.includes('large_object')) heap.largeObjectBytes += bytes;
    if (!name.startsWith('new_')) heap.oldSpaceBytes += bytes;
  }
  return heap;
}

function freeName(dir: string, wallMs: number, label: string): string {
  for (let atMs = wallMs; ; atMs += 1) {
    const file = join(dir, snapshotName(atMs, label));
    if (!existsSync(file)) return file;
  }
}

function nodeCount(file: string): number {
  const head = Buffer.alloc(HEAD_BYTES);
  const descriptor = openSync(file, 'r');
  try {
    const length = readSync(descriptor, head, 0, HEAD_BYTES, 0);
    return Number(/"node_count":(\d+)/.exec(head.toString('latin1', 0, length))?.[1] ?? 0);
  } finally {
    closeSync(descriptor);
  }
}
