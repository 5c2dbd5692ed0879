/** What the machine and the CPU quota leave; the container's memory is a reading of the sample. */

import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { posix } from 'node:path';

type Read = (path: string) => string | null;

const CGROUPS = '/sys/fs/cgroup';

/** Physical memory that could be had without swapping, file cache included. */
export function availableBytes(read: Read = readText): number {
  const kib = /^MemAvailable:\s+(\d+)/m.exec(read('/proc/meminfo') ?? '')?.[1];
  return kib === undefined ? freemem() : Number(kib) * 1024;
}

/** Cores that the cgroup (v2 or v1) and those above it grant; null when none sets a bound. */
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

/** The process's group of a controller ('' is v2) and its parents; inside a container the namespace shows `/`. */
function groupDirs(controller: string, read: Read): string[] {
  const lines = (read('/proc/self/cgroup') ?? '').split('\n');
  const line = lines.find((text) => (text.split(':')[1] ?? '').split(',').includes(controller));
  if (line === undefined) return [];
  const dirs: string[] = [];
  let group = line.split(':').slice(2).join(':');
  for (; group !== '/' && group !== '.' && group !== ''; group = posix.dirname(group)) dirs.push(group);
  return [...dirs, ''].map((dir) => posix.join(CGROUPS, controller, dir));
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
