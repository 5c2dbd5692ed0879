/** Memory limits that bind this process: what old space may grow to, and the container's limit and usage. */

import { getHeapStatistics } from 'node:v8';
import { availableBytes, CgroupMemory, type ReadFile } from '../core/cgroup.ts';
import type { CaptureLimits, LimitsReading } from '../types/index.ts';

const MIB = 1024 * 1024;

/** V8 options of this process. The command line wins over NODE_OPTIONS. */
export interface HeapFlags {
  readonly execArgv: readonly string[];
  readonly nodeOptions: string;
  /** process.versions.v8 */
  readonly v8: string;
}

export interface LimitsReader {
  read(heapLimitBytes: number): LimitsReading;
}

/** The container's limit rarely changes while the process runs, so only every 20th reading reads it again. */
const LIMIT_EVERY_READINGS = 20;

export function createLimitsReader(
  flags: HeapFlags,
  source: { readFile?: ReadFile; physicalBytes?: number } = {},
): LimitsReader {
  const cgroup = new CgroupMemory(source.readFile, source.physicalBytes);
  let containerBytes: number | null = null;
  let readings = 0;
  return {
    read(heapLimitBytes) {
      if (readings % LIMIT_EVERY_READINGS === 0) containerBytes = cgroup.limitBytes();
      readings += 1;
      return {
        heapCapacityBytes: heapCapacityBytes(heapLimitBytes, flags),
        containerBytes,
        containerUsedBytes: cgroup.usedBytes(),
        containerOomKills: cgroup.oomKills(),
      };
    },
  };
}

/** Reads the limits that bind a heap snapshot of this thread: those of the process, and the memory of the machine. */
export function createCaptureLimits(flags: HeapFlags): () => CaptureLimits {
  const limits = createLimitsReader(flags);
  return () => ({
    ...limits.read(getHeapStatistics().heap_size_limit),
    availableBytes: availableBytes(),
  });
}

/** V8 options that this process was started with. */
export const readHeapFlags = (): HeapFlags => ({
  execArgv: process.execArgv,
  nodeOptions: process.env['NODE_OPTIONS'] ?? '',
  v8: process.versions.v8,
});

/**
 * Bytes that old space may grow to. `heap_size_limit` is max-old-space-size plus three semi-spaces, and a process dies
 * when old space reaches 0.93 to 0.98 of max-old-space-size.
 */
export function heapCapacityBytes(heapLimitBytes: number, flags: HeapFlags): number {
  const oldSpaceBytes = flagBytes('max-old-space-size', flags);
  if (oldSpaceBytes !== null && oldSpaceBytes <= heapLimitBytes) return oldSpaceBytes;
  const semiSpaceBytes =
    flagBytes('max-semi-space-size', flags) ?? defaultSemiSpaceBytes(heapLimitBytes, flags.v8);
  const capacityBytes = heapLimitBytes - 3 * semiSpaceBytes;
  return capacityBytes > 0 ? capacityBytes : heapLimitBytes;
}

/** V8 accepts dashes and underscores alike, and the last of several values is in force. */
function flagBytes(flag: string, { execArgv, nodeOptions }: HeapFlags): number | null {
  const pattern = new RegExp(`^--${flag.replaceAll('-', '[-_]')}=(\\d+)$`);
  const values = [...nodeOptions.split(/\s+/), ...execArgv].flatMap((word) => pattern.exec(word)?.[1] ?? []);
  const mebibytes = Number(values.at(-1) ?? 0);
  // V8 reads 0 as "not set".
  return mebibytes === 0 ? null : mebibytes * MIB;
}

/**
 * Default semi-space size, measured: at most 16 MiB on Node 20 and 22, 64 on 24 and 32 on 26. With little memory V8 takes
 * a power of two near old space / 128, / 32 and / 64.
 */
function defaultSemiSpaceBytes(heapLimitBytes: number, v8: string): number {
  const { maxMib, ratio } = semiSpaceRule(Number.parseInt(v8, 10));
  let bytes = maxMib * MIB;
  while (bytes > MIB && heapLimitBytes - 3 * bytes < ratio * bytes) bytes /= 2;
  return bytes;
}

function semiSpaceRule(v8Major: number): { maxMib: number; ratio: number } {
  if (v8Major >= 14) return { maxMib: 32, ratio: 64 };
  return v8Major === 13 ? { maxMib: 64, ratio: 32 } : { maxMib: 16, ratio: 128 };
}
