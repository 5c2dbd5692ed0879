import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { LimitsReading } from '../types/index.ts';
import { heapCapacityBytes, type HeapFlags } from './heap-capacity.ts';

export interface LimitsSource {
  /** The text of a file, null when there is none. */
  readonly readFile: (path: string) => string | null;
  readonly physicalBytes: number;
}

interface Cgroup {
  readonly limit: readonly string[];
  readonly used: string;
  readonly stat: string;
  /** The key of the reclaimable part in `stat`. */
  readonly reclaimable: string;
  readonly kills: string;
}

export interface Limits {
  read(heapLimitBytes: number): LimitsReading;
}

export function createLimits(flags: HeapFlags, source: LimitsSource = LIVE): Limits {
  const cgroup = findCgroup(source);
  let containerBytes = cgroup === null ? null : tightest(cgroup, source);
  let reads = 0;
  return {
    read(heapLimitBytes) {
      // A limit may be changed on a running container, but seldom is.
      if (cgroup !== null && reads++ % 20 === 0) containerBytes = tightest(cgroup, source);
      return {
        heapCapacityBytes: heapCapacityBytes(heapLimitBytes, flags),
        containerBytes,
        containerUsedBytes: cgroup === null ? null : usedBytes(cgroup, source),
        containerOomKills: cgroup === null ? null : field(source.readFile(cgroup.kills), 'oom_kill'),
      };
    },
  };
}

/** Inside a container the namespace shows its own group as the root; outside one the path leads to it. */
function findCgroup(source: LimitsSource): Cgroup | null {
  const groups = source.readFile('/proc/self/cgroup')?.split('\n') ?? [];
  const v1 = groups.find((line) => /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:/.test(line));
  const unified = groups.find((line) => line.startsWith('0::'));
  const inOrder = [...(v1 === undefined ? [] : [v1]), ...(unified === undefined ? [] : [unified])];
  for (const line of inOrder) {
    const path = line.slice(line.indexOf(':', line.indexOf(':') + 1) + 1);
    for (const folder of ancestors(path)) {
      const found = line === v1 ? cgroupV1(folder) : cgroupV2(folder);
      if (source.readFile(found.used) !== null) return found;
    }
  }
  return null;
}

const ancestors = (path: string): string[] => {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return parts.map((_, index) => `/${parts.slice(0, parts.length - index).join('/')}`).concat('');
};

const cgroupV2 = (path: string): Cgroup => {
  const folder = `/sys/fs/cgroup${path}`;
  return {
    // The tightest of the group and all above it binds.
    limit: ancestors(path).map((above) => `/sys/fs/cgroup${above}/memory.max`),
    used: `${folder}/memory.current`,
    stat: `${folder}/memory.stat`,
    reclaimable: 'inactive_file',
    kills: `${folder}/memory.events`,
  };
};

const cgroupV1 = (path: string): Cgroup => {
  const folder = `/sys/fs/cgroup/memory${path}`;
  return {
    limit: ancestors(path).map((above) => `/sys/fs/cgroup/memory${above}/memory.limit_in_bytes`),
    used: `${folder}/memory.usage_in_bytes`,
    stat: `${folder}/memory.stat`,
    reclaimable: 'total_inactive_file',
    kills: `${folder}/memory.oom_control`,
  };
};

/** v1 writes "no limit" as a number near 2^63, v2 as `max`: a value at or above physical memory is none. */
function tightest(cgroup: Cgroup, source: LimitsSource): number | null {
  const limits = cgroup.limit.map((path) => Number.parseInt(source.readFile(path) ?? '', 10));
  const lowest = Math.min(...limits.filter((limit) => limit > 0));
  return lowest < source.physicalBytes ? lowest : null;
}

function usedBytes(cgroup: Cgroup, source: LimitsSource): number | null {
  const used = Number.parseInt(source.readFile(cgroup.used) ?? '', 10);
  if (!Number.isFinite(used)) return null;
  return Math.max(0, used - (field(source.readFile(cgroup.stat), cgroup.reclaimable) ?? 0));
}

function field(text: string | null, key: string): number | null {
  const line = text?.split('\n').find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? null : Number.parseInt(line.slice(key.length + 1), 10);
}

const LIVE: LimitsSource = {
  readFile: (path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return null;
    }
  },
  physicalBytes: totalmem(),
};
