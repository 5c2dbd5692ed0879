/** Watches a forked child from any thread of its parent: its deadline, its end, and what its exit code means. */

import type { LimitedGroup } from '../core/cgroup.ts';
import { formatBytes } from '../core/format.ts';
import { failed, refused } from '../core/outcome.ts';
import type { CaptureCost, Clock, Failed, ForkRequest, MemoryGroup, Refused } from '../types/index.ts';
import {
  followLockWait,
  READ_ACTIVITY_MS,
  readChildActivity,
  waitsForever,
  type ChildActivity,
  type LockWait,
} from './lock-wait.ts';
import type { ChildEnd, NativeAddon } from './native-addon.ts';

const MIB = 1024 * 1024;
const POLL_MS = 25;
/** Chosen: the child ends itself at its deadline. A child that hangs before its set-up cannot. */
const OUTER_MARGIN_MS = 2_000;
/** Chosen: a machine under load takes several times the predicted CPU time. */
const MAX_CPU_OVERRUN = 10;
const MIN_CPU_MS = 30_000;
/**
 * Chosen: the time on the clock is only the outer bound. A machine at 20 times its CPU capacity gave the low priority of the
 * child less than a tenth of a core (measured).
 */
const MIN_DEADLINE_MS = 3 * 60_000;
const MAX_DEADLINE_OVERRUN = 20;
export const MAX_DEADLINE_MS = 8 * 60_000;
/** A part of each limit stays free: the server allocates while the child looks only every 10 ms. */
const RESERVE_SHARE = 0.08;
const MIN_RESERVE_BYTES = 16 * MIB;
/** Chosen: no server was killed in containers of 256 to 400 MB (`npm run bench -- containers`). */
const LAST_RESERVE_SHARE = 0.4;
/** Chosen: the process that reads the snapshot ends itself when less than 24 MiB are left. */
const MIN_SPILL_RESERVE_BYTES = 40 * MIB;
const MACHINE_RESERVE_BYTES = 64 * MIB;
/** `maxGrowthBytes` counts address space, of which V8 reserves more than it uses. */
const MAX_GROWTH_OVERRUN = 2;

export type ForkLimits = Omit<ForkRequest, 'output' | 'spillFile' | 'markedRanges' | 'validUntilWallMs'>;

interface AvailableResources {
  readonly groups: readonly LimitedGroup[];
  readonly cpuShare: number;
  readonly headroomBytes: number | null;
  /** Bound of the file to which memory moves; null without one. */
  readonly maxSpillBytes: number | null;
}

/** Limits of the child, from its predicted cost and from the memory and CPU that are available. */
export function forkLimits(cost: CaptureCost, available: AvailableResources): ForkLimits {
  const { groups, cpuShare, headroomBytes, maxSpillBytes } = available;
  const isSpilling = maxSpillBytes !== null;
  // With spilled memory the time depends on the disk, so only the outer bounds are known.
  const deadlineMs = isSpilling
    ? MAX_DEADLINE_MS
    : Math.min(MAX_DEADLINE_MS, (MIN_DEADLINE_MS + cost.cpuMs * MAX_DEADLINE_OVERRUN) / cpuShare);
  const cpuMs = isSpilling ? deadlineMs : MIN_CPU_MS + cost.cpuMs * MAX_CPU_OVERRUN;
  return {
    deadlineMs: Math.round(deadlineMs),
    maxCpuSeconds: Math.ceil(cpuMs / 1000),
    cpuShare,
    maxGrowthBytes: Math.round((headroomBytes ?? cost.rssBytes * MAX_GROWTH_OVERRUN) + (maxSpillBytes ?? 0)),
    maxSpillBytes: maxSpillBytes ?? 0,
    minAvailableBytes: MACHINE_RESERVE_BYTES,
    memoryGroups: groups.map((group) => limitsOfGroup(group, isSpilling)),
  };
}

/** With spilled memory the reserve is where moving begins. The child ends when a large part of the reserve is used too. */
function limitsOfGroup({ usageFile, statFile, limitBytes }: LimitedGroup, isSpilling: boolean): MemoryGroup {
  const minReserveBytes = isSpilling ? MIN_SPILL_RESERVE_BYTES : MIN_RESERVE_BYTES;
  const reserveBytes = Math.max(minReserveBytes, limitBytes * RESERVE_SHARE);
  const spillAboveBytes = Math.round(limitBytes - reserveBytes);
  return {
    usageFile,
    statFile,
    spillAboveBytes,
    maxUsedBytes: isSpilling ? Math.round(limitBytes - reserveBytes * LAST_RESERVE_SHARE) : spillAboveBytes,
  };
}

interface WaitOptions {
  readonly addon: Pick<NativeAddon, 'waitForCapture' | 'endCapture'>;
  readonly clock: Clock;
  /** Reads /proc, except in tests. */
  readonly readActivity?: (pid: number) => ChildActivity | null;
}

/** Resolves with the end of the child. Never rejects. */
export function waitForChild(
  pid: number,
  deadlineMs: number,
  { addon, clock, readActivity = readChildActivity }: WaitOptions,
): Promise<ChildEnd> {
  const endAtMs = clock.nowMs() + deadlineMs + OUTER_MARGIN_MS;
  let wait: LockWait | null = null;
  let isStalled = false;
  const readWait = (): void => {
    const activity = readActivity(pid);
    if (activity === null) return;
    wait = followLockWait(wait, activity, clock.nowMs());
    isStalled = waitsForever(wait);
  };
  let readAtMs = clock.nowMs();
  return new Promise((resolve) => {
    const poll = (): void => {
      const end = addon.waitForCapture(pid);
      // A child can have ended by itself just before the signal.
      if (end !== null) return resolve(isStalled && end.signal === SIGKILL ? { ...end, isStalled } : end);
      if (!isStalled && clock.nowMs() >= readAtMs) {
        readAtMs = clock.nowMs() + READ_ACTIVITY_MS;
        readWait();
      }
      if (isStalled || clock.nowMs() > endAtMs) addon.endCapture(pid);
      clock.after(POLL_MS, poll);
    };
    poll();
  });
}

const SIGKILL = 9;
const SIGXCPU = 24;
/** SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. The others come from outside: the kernel, a user, Ctrl-C. */
const FAULT_SIGNALS = [4, 5, 6, 7, 8, 11, 31];
const EXIT_MEMORY = 82;
const EXIT_DEADLINE = 90;
const EXIT_SPILL_FILE = 91;
/** Exit codes of native/src/exit-codes.h: the child needed something of a thread that exists only in its parent. */
const DEAD_THREAD: Readonly<Record<number, string>> = {
  83: 'a condition',
  84: 'a lock',
  85: 'a read-write lock',
  86: 'a semaphore',
  87: 'the end',
};

/** A second attempt can succeed, because the threads then do something else. */
export const isWorthRetrying = ({ code = 0, isStalled = false }: ChildEnd): boolean =>
  isStalled || code in DEAD_THREAD;

/** The child needed more memory than was predicted. A second attempt can succeed when its memory moves to a file. */
export const isShortOfMemory = ({ code }: ChildEnd): boolean => code === EXIT_MEMORY;

/** Null when the child has written everything. When its end is unknown, the reader of its output decides. */
export function outcomeOfChild(end: ChildEnd): Refused | Failed | null {
  const { code, signal, lost, maxRssBytes } = end;
  if (lost !== undefined || code === 0) return null;
  if (end.isStalled === true)
    return failure('it waited for a lock of a thread that only the server has', 'WSGUARD_FORK_STALLED');
  if (code === EXIT_MEMORY) return refused(shortOfMemory(maxRssBytes));
  if (code === EXIT_SPILL_FILE)
    return refused('the forked process ended itself because the disk had no space for its working memory');
  if (code === EXIT_DEADLINE) return failure('its deadline passed', 'WSGUARD_FORK_DEADLINE');
  if (signal === SIGXCPU) return failure('it used up its CPU time', 'WSGUARD_FORK_DEADLINE');
  if (signal === SIGKILL)
    return failure(
      'it was killed: by its deadline, by the kernel for lack of memory, or by somebody',
      'WSGUARD_FORK_KILLED',
    );
  if (signal !== undefined)
    return FAULT_SIGNALS.includes(signal)
      ? failure(`V8 ended it with signal ${signal}`)
      : failure(`somebody ended it with signal ${signal}`, 'WSGUARD_FORK_KILLED');
  const thread = DEAD_THREAD[code ?? 0];
  return failure(
    thread === undefined ? `exit code ${code}` : `it waited for ${thread} of a thread that was working`,
  );
}

/** The pages that the child shares with the server count too. */
const shortOfMemory = (maxRssBytes: number | undefined): string =>
  'the forked process ended itself because memory ran short for the server' +
  (maxRssBytes === undefined ? '' : `; it had ${formatBytes(maxRssBytes)} then`);

const failure = (reason: string, code = 'WSGUARD_FORK_FAILED'): Failed =>
  failed(code, `the forked process wrote no complete snapshot: ${reason}`);
