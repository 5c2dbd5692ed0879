/**
 * Tells whether a forked child waits for a lock that nobody can release. The child has one thread, so a wait for another
 * thread never ends. Pure, but for the reading of /proc.
 */

import { readFileSync } from 'node:fs';

export interface ChildActivity {
  readonly cpuMs: number;
  /** Whether the child is in the system call in which threads wait for each other. */
  readonly isInFutex: boolean;
}

export interface LockWait {
  readonly atMs: number;
  readonly cpuMs: number;
  /** Time in which the child did nothing but wait for a lock. */
  readonly waitedMs: number;
}

/** A reading costs two files of /proc. */
export const READ_ACTIVITY_MS = 1_000;
/**
 * The time between two readings counts up to this only. A longer one means that this process itself was stopped or frozen, and
 * then the child was, too.
 */
const MAX_STEP_MS = 2 * READ_ACTIVITY_MS;
/**
 * The timer of the child's watchdog takes 0.3 to 0.5 % of a core while the child waits, with Node 20 (measured). Its wait for a CPU took
 * up to 36 % on a busy machine, so that does not count as work.
 */
const MAX_IDLE_CPU_SHARE = 0.05;
/** Chosen: a child that works is never in this system call, so few readings would do. */
const MIN_WAIT_MS = 10_000;

/**
 * A reading between two waits neither counts nor ends the wait: the watchdog of the child interrupts it every 10 ms. CPU time
 * ends it, because a child that works uses some.
 */
export function followLockWait(
  last: LockWait | null,
  { cpuMs, isInFutex }: ChildActivity,
  atMs: number,
): LockWait {
  const stepMs = last === null ? 0 : Math.max(0, atMs - last.atMs);
  const isIdle = last !== null && cpuMs - last.cpuMs <= stepMs * MAX_IDLE_CPU_SHARE;
  const waitedMs = isIdle ? last.waitedMs + (isInFutex ? Math.min(stepMs, MAX_STEP_MS) : 0) : 0;
  return { atMs, cpuMs, waitedMs };
}

export const waitsForever = ({ waitedMs }: LockWait): boolean => waitedMs >= MIN_WAIT_MS;

/** Number of the system call `futex`. */
const FUTEX: Readonly<Record<string, string>> = { x64: '202', arm64: '98' };

/** Null where the kernel does not tell. */
export function readChildActivity(pid: number): ChildActivity | null {
  try {
    // The nanoseconds on a CPU are the first number; the state is the word "running", or the number of a system call.
    const cpuMs = Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1e6;
    const call = readFileSync(`/proc/${pid}/syscall`, 'latin1').split(' ')[0];
    return Number.isNaN(cpuMs) ? null : { cpuMs, isInFutex: call === FUTEX[process.arch] };
  } catch {
    return null;
  }
}
