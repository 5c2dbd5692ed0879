/** Memory and processor that the container leaves: cgroup v2 and v1, own group and those above it. */

import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import type { Headroom } from '../types.ts';

type Read = (path: string) => string | null;

const ROOT = '/sys/fs/cgroup';
/** Above any machine: v1 writes 2^63 rounded to a page for "none". */
const NO_LIMIT_BYTES = 2 ** 53;

interface MemoryFiles {
  readonly limit: string;
  readonly used: string;
  readonly cache: RegExp;
}
const V2: MemoryFiles = { limit: 'memory.max', used: 'memory.current', cache: /^inactive_file (\d+)/m };
const V1: MemoryFiles = {
  limit: 'memory.limit_in_bytes',
  used: 'memory.usage_in_bytes',
  cache: /^total_inactive_file (\d+)/m,
};

export function readHeadroom(read: Read = readText): Headroom {
  const availableKib = /^MemAvailable:\s+(\d+)/m.exec(read('/proc/meminfo') ?? '')?.[1];
  const levels = [
    ...groupDirs('', read).map((dir) => memoryAt(dir, V2, read)),
    ...groupDirs('memory', read).map((dir) => memoryAt(dir, V1, read)),
  ].filter((level) => level !== null);
  // Whichever group is fullest is the one whose limit kills.
  const [tightest] = levels.sort((a, b) => a.limit - a.used - (b.limit - b.used));
  return {
    containerBytes: tightest?.limit ?? null,
    containerUsedBytes: tightest?.used ?? null,
    availableBytes: availableKib === undefined ? process.availableMemory() : Number(availableKib) * 1024,
  };
}

/** Cores that the cgroup grants; null when it sets no bound. */
export function cpuQuotaCores(read: Read = readText): number | null {
  const quotas = [
    ...groupDirs('', read).map((dir) => (read(`${dir}/cpu.max`) ?? '').trim().split(' ').map(Number)),
    ...groupDirs('cpu', read).map((dir) => [
      Number(read(`${dir}/cpu.cfs_quota_us`)),
      Number(read(`${dir}/cpu.cfs_period_us`)),
    ]),
  ];
  const cores = quotas.flatMap(([quota, period]) => (quota! > 0 && period! > 0 ? [quota! / period!] : []));
  return cores.length === 0 ? null : Math.min(...cores);
}

/** What old space may really grow to: heap_size_limit holds three semi-spaces beside it. */
export function heapCapacityBytes(): number {
  const flags = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  const semiSpaceMib = Number(/--max[-_]semi[-_]space[-_]size[= ](\d+)/.exec(flags)?.[1] ?? 16);
  return getHeapStatistics().heap_size_limit - 3 * semiSpaceMib * 1024 * 1024;
}

function memoryAt(dir: string, files: MemoryFiles, read: Read): { limit: number; used: number } | null {
  const limit = Number(read(`${dir}/${files.limit}`) ?? Number.NaN);
  const used = Number(read(`${dir}/${files.used}`) ?? Number.NaN);
  if (!(limit > 0 && limit < NO_LIMIT_BYTES) || Number.isNaN(used)) return null;
  // File cache is given back on demand; a snapshot just written fills it.
  const cache = Number(files.cache.exec(read(`${dir}/memory.stat`) ?? '')?.[1] ?? 0);
  return { limit, used: Math.max(0, used - cache) };
}

/** The process's group of a controller ('' is v2) and its parents, as directories that may exist. */
function groupDirs(controller: string, read: Read): string[] {
  const groups = read('/proc/self/cgroup') ?? '';
  const line = groups.split('\n').find((text) => (text.split(':')[1] ?? '').split(',').includes(controller));
  if (line === undefined) return [];
  const dirs: string[] = [];
  let group = line.split(':').slice(2).join(':');
  for (; group !== '/' && group !== '.' && group !== ''; group = posix.dirname(group)) dirs.push(group);
  return [...dirs, ''].map((dir) => posix.join(ROOT, controller, dir));
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
