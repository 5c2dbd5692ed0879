import { readFileSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import type { DescriptorsReading } from '../types/index.ts';

export interface Descriptors {
  /** Null where the system does not tell. */
  read(): DescriptorsReading | null;
  /** The slow part, off the application's thread: the limit, and a listing where nothing cheaper tells. */
  refresh(): Promise<void>;
  /** Why they cannot be read here. */
  blind(): string | null;
}

const LINUX = process.platform === 'linux';
const OWN_TABLE = LINUX ? '/proc/self/fd' : '/dev/fd';
/** Listing a large table makes as many strings on the application's thread; then only each tenth refresh does. */
const MANY = 5_000;
const SELDOM = 10;

export function createDescriptors(): Descriptors {
  let listed: number | null = null;
  let limit: number | null = null;
  let refreshes = 0;
  let denied: string | null = null;
  return {
    read() {
      const open = denied === null ? (countAtOnce() ?? listed) : null;
      return open === null ? null : { open, limit };
    },
    async refresh() {
      if (process.platform === 'win32' || denied !== null) return;
      const seldom = refreshes++ % SELDOM === 0;
      try {
        if (seldom) limit = softLimit();
        if (countAtOnce() !== null || (!seldom && (listed ?? 0) > MANY)) return;
        // The listing itself holds one.
        listed = (await readdir(OWN_TABLE)).length - 1;
      } catch (error) {
        denied = (error as NodeJS.ErrnoException).code ?? 'unreadable';
      }
    },
    blind: () => denied,
  };
}

/** Since Linux 6.2 the size of this directory is the number of open descriptors; 0 before. */
function countAtOnce(): number | null {
  if (!LINUX) return null;
  const size = statSync(OWN_TABLE, { throwIfNoEntry: false })?.size ?? 0;
  return size > 0 ? size : null;
}

function softLimit(): number | null {
  if (!LINUX) return null;
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return line?.[1] === undefined ? null : Number(line[1]);
}
