/**
 * Reads the limits that the kernel puts on this process by its cgroup (version 1 or 2), memory and CPU, and the physical
 * memory that is left.
 */

import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';

/** The text of a file, or null when it cannot be read. */
export type ReadFile = (path: string) => string | null;

export const readTextFile: ReadFile = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

const MOUNT = '/sys/fs/cgroup';
/** Controller name of the one hierarchy of cgroup v2 in `/proc/self/cgroup`. */
const UNIFIED = '';

/** File names of the memory controller. `reclaimable` is the key in `stat` of the file cache that the kernel can drop. */
const MEMORY_V1 = {
  limit: 'memory.limit_in_bytes',
  usage: 'memory.usage_in_bytes',
  stat: 'memory.stat',
  reclaimable: 'total_inactive_file',
  events: 'memory.oom_control',
} as const;
const MEMORY_V2 = {
  limit: 'memory.max',
  usage: 'memory.current',
  stat: 'memory.stat',
  reclaimable: 'inactive_file',
  events: 'memory.events',
} as const;

/** A cgroup with a memory limit, and the files that show its use. */
export interface LimitedGroup {
  readonly usageFile: string;
  readonly statFile: string;
  readonly limitBytes: number;
}

/** Memory of the process's cgroup, from a machine with or without cgroups. */
export class CgroupMemory {
  readonly #readFile: ReadFile;
  readonly #physicalBytes: number;
  readonly #files: typeof MEMORY_V1 | typeof MEMORY_V2;
  readonly #folder: string | null;
  readonly #foldersAbove: readonly string[];

  constructor(readFile: ReadFile = readTextFile, physicalBytes: number = totalmem()) {
    this.#readFile = readFile;
    this.#physicalBytes = physicalBytes;
    const v1 = usableFolders(cgroupFolders('memory', readFile), MEMORY_V1.usage, readFile);
    const folders =
      v1.length > 0 ? v1 : usableFolders(cgroupFolders(UNIFIED, readFile), MEMORY_V2.usage, readFile);
    this.#files = v1.length > 0 ? MEMORY_V1 : MEMORY_V2;
    [this.#folder = null, ...this.#foldersAbove] = folders;
  }

  /**
   * The lowest limit of the group and of its ancestors; null when there is none. Version 1 writes "no limit" as a number
   * near 2^63 and version 2 as `max`, so a value at or above the physical memory is not a limit.
   */
  limitBytes(): number | null {
    const limits = this.limitedGroups().map(({ limitBytes }) => limitBytes);
    return limits.length === 0 ? null : Math.min(...limits);
  }

  /** The group and its ancestors that have a limit, from the inside out, with the files of their usage. */
  limitedGroups(): LimitedGroup[] {
    if (this.#folder === null) return [];
    const { limit, usage, stat } = this.#files;
    return [this.#folder, ...this.#foldersAbove].flatMap((folder) => {
      const limitBytes = Number.parseInt(this.#readFile(`${folder}/${limit}`) ?? '', 10);
      if (!(limitBytes > 0 && limitBytes < this.#physicalBytes)) return [];
      return [{ usageFile: `${folder}/${usage}`, statFile: `${folder}/${stat}`, limitBytes }];
    });
  }

  /** Memory in use without the file cache that the kernel can reclaim. */
  usedBytes(): number | null {
    const usage = Number.parseInt(this.#read(this.#files.usage) ?? '', 10);
    if (!Number.isFinite(usage)) return null;
    return Math.max(0, usage - (numberAfter(this.#files.reclaimable, this.#read(this.#files.stat)) ?? 0));
  }

  /** Processes of the group that the kernel's OOM killer ended. */
  oomKills(): number | null {
    return numberAfter('oom_kill', this.#read(this.#files.events));
  }

  /**
   * Share of the last 10 s in which at least one task of the group waited for memory (PSI), of the whole machine with
   * cgroup version 1; null where the kernel does not count it.
   */
  pressureShare(): number | null {
    const text = this.#read('memory.pressure') ?? this.#readFile('/proc/pressure/memory');
    const percent = /^some avg10=([\d.]+)/.exec(text ?? '')?.[1];
    return percent === undefined ? null : Number(percent) / 100;
  }

  #read(name: string): string | null {
    return this.#folder === null ? null : this.#readFile(`${this.#folder}/${name}`);
  }
}

/** Physical memory that is available without swapping, file cache included. */
export function availableBytes(readFile: ReadFile = readTextFile): number {
  const kib = /^MemAvailable:\s+(\d+)/m.exec(readFile('/proc/meminfo') ?? '')?.[1];
  return kib === undefined ? freemem() : Number(kib) * 1024;
}

/** CPU cores that the cgroup and its ancestors grant; null when none sets a quota. */
export function cpuQuotaCores(readFile: ReadFile = readTextFile): number | null {
  const quotas = [
    ...cgroupFolders(UNIFIED, readFile).map((folder) =>
      (readFile(`${folder}/cpu.max`) ?? '').trim().split(' ').map(Number),
    ),
    ...cgroupFolders('cpu', readFile).map((folder) => [
      Number(readFile(`${folder}/cpu.cfs_quota_us`)),
      Number(readFile(`${folder}/cpu.cfs_period_us`)),
    ]),
  ];
  const cores = quotas.flatMap(([quota = 0, period = 0]) =>
    quota > 0 && period > 0 ? [quota / period] : [],
  );
  return cores.length === 0 ? null : Math.min(...cores);
}

/** Folders of the process's group of a controller and of its ancestors, from the inside out. */
function cgroupFolders(controller: string, readFile: ReadFile): string[] {
  // `hierarchy:controllers:path`; the path itself may contain colons.
  const groups = (readFile('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  const group = groups.find(([, controllers]) => controllers?.split(',').includes(controller));
  if (group === undefined) return [];
  const names = group
    .slice(2)
    .join(':')
    .split('/')
    .filter((name) => name !== '' && name !== '..');
  const root = controller === UNIFIED ? MOUNT : `${MOUNT}/${controller}`;
  return Array.from({ length: names.length + 1 }, (_, count) =>
    [root, ...names.slice(0, names.length - count)].join('/'),
  );
}

/**
 * The folders from the innermost one that exists here. In a container the path may be that of the host, and the group
 * itself is mounted as the root.
 */
function usableFolders(folders: readonly string[], file: string, readFile: ReadFile): readonly string[] {
  const first = folders.findIndex((folder) => readFile(`${folder}/${file}`) !== null);
  return first === -1 ? [] : folders.slice(first);
}

function numberAfter(key: string, text: string | null): number | null {
  const line = text?.split('\n').find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? null : Number.parseInt(line.slice(key.length + 1), 10);
}
