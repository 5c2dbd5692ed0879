/** Counts the open file descriptors of this process, and reads their limit. */
import { readdir, readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import type { DescriptorsReading } from '../types/index.ts';

export interface DescriptorProbe {
  /** Null where the system gives no number. */
  read(): DescriptorsReading | null;
  /** The slow part: reads the limit, and lists the descriptors where the system has no faster way. */
  refresh(): Promise<void>;
  /** Why descriptors cannot be read here; null when they can. */
  unreadable(): string | null;
}

/** `node:fs/promises` would load Node's readline too: 90 kB of the application's heap (measured). */
const listFolder = promisify(readdir);
const LINUX = process.platform === 'linux';
const DESCRIPTOR_FOLDER = LINUX ? '/proc/self/fd' : '/dev/fd';
/** A listing creates a string per descriptor on the application thread, so a larger table is listed less often. */
const MAX_LISTED_EACH_TIME = 5_000;
const LIMIT_EVERY_REFRESHES = 10;

export function createDescriptorProbe(): DescriptorProbe {
  let listedCount: number | null = null;
  let limit: number | null = null;
  let refreshes = 0;
  let unreadable: string | null = null;
  return {
    read() {
      const open = unreadable === null ? (countByStat() ?? listedCount) : null;
      return open === null ? null : { open, limit };
    },
    async refresh() {
      if (process.platform === 'win32' || unreadable !== null) return;
      const isTenth = refreshes % LIMIT_EVERY_REFRESHES === 0;
      refreshes += 1;
      try {
        if (isTenth) limit = readSoftLimit();
        if (countByStat() !== null || (!isTenth && (listedCount ?? 0) > MAX_LISTED_EACH_TIME)) return;
        // The listing itself has one descriptor open.
        listedCount = (await listFolder(DESCRIPTOR_FOLDER)).length - 1;
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
        unreadable = `${DESCRIPTOR_FOLDER} cannot be read (${code})`;
      }
    },
    unreadable: () => unreadable,
  };
}

/** Since Linux 6.2 the size of this folder is the number of open descriptors. Older kernels report 0. */
function countByStat(): number | null {
  if (!LINUX) return null;
  const size = Number(statSync(DESCRIPTOR_FOLDER, { bigint: true, throwIfNoEntry: false })?.size ?? 0);
  return size > 0 ? size : null;
}

function readSoftLimit(): number | null {
  if (!LINUX) return null;
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return line?.[1] === undefined ? null : Number(line[1]);
}
