/** Decides whether the watcher can run in a Worker of its own. */
import { readdirSync, statSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import { readSmallRegularFile } from '../core/files.ts';
import { isAllowed } from '../core/process.ts';

const MIB = 1024 ** 2;
/** Measured on Node 20: a server that needs 0.9 GB of address space dies of its Worker within 1.6 GB, not within 2 GB. */
const WORKER_ADDRESS_SPACE_BYTES = 1_300 * MIB;
/** Files of /proc are a few KiB. */
const MAX_PROC_BYTES = 64 * 1024;

/** The options that this process was started with. */
export interface StartFlags {
  readonly execArgv: readonly string[];
  readonly nodeOptions: string;
}

type ReadFile = (path: string) => string;

/** Null when a Worker can start. */
export function noThreadReason(config: Config, flags: StartFlags): string | null {
  if (config.thread === 'off') return 'WSGUARD_THREAD=off';
  if (isFromStartupSnapshot(flags))
    return 'a process from a startup snapshot (--snapshot-blob) can abort with a Worker';
  if (!isAllowed('worker')) return 'Workers are forbidden by --permission';
  if (!hasAddressSpaceForWorker()) return 'the address space limit (ulimit -v) leaves no room for a Worker';
  if (!hasDescriptorsForWorker()) return 'the descriptor limit (ulimit -n) leaves no room for a Worker';
  return isWorkingDirectoryDeleted()
    ? 'the working directory was deleted, and a Worker cannot start without it'
    : null;
}

/**
 * True when `ulimit -v` leaves room for the address ranges that V8 reserves for a Worker. Where it does not, V8 ends the
 * whole process and there is no error to catch.
 */
export function hasAddressSpaceForWorker(
  readFile: ReadFile = (path) => readSmallRegularFile(path, MAX_PROC_BYTES),
): boolean {
  try {
    const limit = /^Max address space\s+(\d+)/m.exec(readFile('/proc/self/limits'))?.[1];
    if (limit === undefined) return true;
    const usedKib = /^VmSize:\s+(\d+)/m.exec(readFile('/proc/self/status'))?.[1];
    return usedKib !== undefined && Number(limit) - Number(usedKib) * 1024 >= WORKER_ADDRESS_SPACE_BYTES;
  } catch {
    // Without /proc the limit is unknown.
    return true;
  }
}

/**
 * Node 22, 24 and 26 abort in native code when a Worker of such a process loads `node:net`, which the watcher does:
 * `Assertion failed: shutdown_wrap_template_.IsEmpty()`.
 */
export const isFromStartupSnapshot = ({ execArgv, nodeOptions }: StartFlags): boolean =>
  /(?:^|\s)--snapshot-blob(?:[\s=]|$)/.test(`${execArgv.join(' ')} ${nodeOptions}`);

const DESCRIPTOR_FOLDER = '/proc/self/fd';
/** A Worker keeps 4 descriptors open, and uses more for a short time. Connections could not use these. */
const WORKER_DESCRIPTORS = 32;
/** Listing the descriptors takes longer, the more there are. */
const MAX_COUNTED_LIMIT = 256;

/** False only under a very low limit. Without /proc the limit is unknown. */
export function hasDescriptorsForWorker(
  readFile: ReadFile = (path) => readSmallRegularFile(path, MAX_PROC_BYTES),
  countOpen: () => number = () => readdirSync(DESCRIPTOR_FOLDER).length,
): boolean {
  try {
    const limit = Number(/^Max open files\s+(\d+)/m.exec(readFile('/proc/self/limits'))?.[1] ?? Infinity);
    return limit > MAX_COUNTED_LIMIT || limit - countOpen() >= WORKER_DESCRIPTORS;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'EMFILE';
  }
}

/** process.cwd() is cached on the main thread and still returns a deleted directory. A Worker asks the system and fails. */
function isWorkingDirectoryDeleted(): boolean {
  try {
    statSync(process.cwd(), { bigint: true });
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
