import { readFileSync } from 'node:fs';

const MIB = 1024 ** 2;
/** Measured on Node 20: a server that lives within 0.9 GB dies of its Worker within 1.6 GB, not within 2. */
const WORKER_BYTES = 1_300 * MIB;

type Read = (path: string) => string;

/**
 * Whether `ulimit -v` leaves room for the ranges that a Worker's isolate reserves. Where it does not, V8 ends the whole
 * process: there is no error to catch.
 */
export function hasRoomForWorker(read: Read = (path) => readFileSync(path, 'latin1')): boolean {
  try {
    const limit = /^Max address space\s+(\d+)/m.exec(read('/proc/self/limits'))?.[1];
    if (limit === undefined) return true;
    const usedKib = /^VmSize:\s+(\d+)/m.exec(read('/proc/self/status'))?.[1];
    return usedKib !== undefined && Number(limit) - Number(usedKib) * 1024 >= WORKER_BYTES;
  } catch {
    // No /proc: such a limit cannot be told.
    return true;
  }
}
