/** `ActiveResources` counts what the application keeps open on this thread: timers, handles by type, threads, descriptors. */
import { statSync } from 'node:fs';
import { lazy } from '../../core/lazy.ts';
import { isAllowed } from '../../core/process.ts';
import type { Blind, Culprit, ResourceCounts, ResourceType } from '../../types/index.ts';
import type * as LocateResourcesModule from './locate-resources.ts';
import { countTimers, findTimerLists, type TimerLists } from './timer-lists.ts';

export interface ActiveResourcesDeps {
  readonly nodeClearTimeout: object;
  readonly timeScale: number;
}

/** Counts that other parts of the agent know. */
interface OpenCounts {
  readonly acceptedSockets: number;
  /** Null where the system gives no number. */
  readonly descriptors: number | null;
}

/** Node's names in `process.getActiveResourcesInfo()`. TCP sockets and pipes are counted apart. */
const TYPE_OF_HANDLE: Readonly<Record<string, ResourceType>> = {
  ProcessWrap: 'child_process',
  UDPWrap: 'udp_socket',
  FSEventWrap: 'file_watcher',
  StatWatcher: 'file_watcher',
  MessagePort: 'message_port',
};
/** Sessions are kept for up to half an hour (docs/detection.md), so a timer that ends one is no leak before. */
const MAX_TIMEOUT_MS = 30 * 60_000;
/** The growth of each list of timers is its growth since the count that is at least this old. */
const BASELINE_MS = 30 * 60_000;
/** A server has tens of durations. Random ones would be thousands. */
const MAX_BASELINE_DURATIONS = 200;
/** Each list is located by itself, because the list that grew most can belong to Node or to a package. */
const MAX_LOCATED_LISTS = 5;

/** Most processes never have an alert. */
const locateModule = lazy(() => require('./locate-resources.ts') as typeof LocateResourcesModule);

interface TimerBaseline {
  readonly atMs: number;
  readonly counts: ReadonlyMap<number, number>;
}

export class ActiveResources {
  readonly #timeScale: number;
  readonly #timerLists: TimerLists | null;
  /** The older one is compared with, and the newer one takes its place after a while. */
  #baselines: readonly TimerBaseline[] = [];

  constructor({ nodeClearTimeout, timeScale }: ActiveResourcesDeps) {
    this.#timeScale = timeScale;
    this.#timerLists = isAllowed('inspector') ? timerLists(nodeClearTimeout) : null;
  }

  read(open: OpenCounts, nowMs: number): ResourceCounts {
    const handles = countHandles(open.acceptedSockets);
    const threads = countThreads();
    const { descriptors, acceptedSockets } = open;
    return {
      ...handles,
      ...(this.#timerLists === null ? {} : this.#countTimers(this.#timerLists, nowMs)),
      ...(threads === null ? {} : { thread: threads }),
      ...(descriptors === null ? {} : { descriptor: Math.max(0, descriptors - acceptedSockets) }),
    };
  }

  /** The callback of a timer or the listener of a handle that most resources of the type share. Null without one. */
  locate(type: string): Culprit | null {
    const { locateHandles, locateTimers } = locateModule();
    if (type !== 'timer') return locateHandles(type);
    const lists = this.#timerLists;
    return lists === null ? null : locateTimers(lists, this.#durationsByGrowth(lists), this.#maxTimeoutMs);
  }

  blind(): Blind[] {
    return this.#timerLists === null
      ? [{ what: 'timers', why: "the inspector does not show Node's lists of timers" }]
      : [];
  }

  get #maxTimeoutMs(): number {
    return MAX_TIMEOUT_MS / this.#timeScale;
  }

  #countTimers(lists: TimerLists, nowMs: number): ResourceCounts {
    const counts = new Map<number, number>();
    let timer = 0;
    let timeout = 0;
    countTimers(lists, this.#maxTimeoutMs, (durationMs, count, timeouts) => {
      timer += count;
      timeout += timeouts;
      if (count > 0 && counts.size < MAX_BASELINE_DURATIONS) counts.set(durationMs, count);
    });
    const [, newer = null] = this.#baselines;
    const first = this.#baselines[0] ?? { atMs: nowMs, counts };
    const isDue = newer === null || nowMs - newer.atMs >= BASELINE_MS / this.#timeScale;
    if (isDue) this.#baselines = [newer ?? first, { atMs: nowMs, counts }];
    return { timer, timeout };
  }

  /** The durations whose lists grew, the fastest first. */
  #durationsByGrowth(lists: TimerLists): number[] {
    const before = this.#baselines[0]?.counts;
    const growth: { durationMs: number; count: number }[] = [];
    countTimers(lists, this.#maxTimeoutMs, (durationMs, count) => {
      growth.push({ durationMs, count: count - (before?.get(durationMs) ?? 0) });
    });
    return growth
      .filter(({ count }) => count > 0)
      .toSorted((a, b) => b.count - a.count)
      .slice(0, MAX_LOCATED_LISTS)
      .map(({ durationMs }) => durationMs);
  }
}

/** Null also in a Node without the inspector. The other resources are counted there. */
function timerLists(nodeClearTimeout: object): TimerLists | null {
  try {
    return findTimerLists(nodeClearTimeout);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return null;
  }
}

/** Node lists neither unref'd handles, such as idle sockets of an http agent, nor handles of other threads. */
function countHandles(acceptedSockets: number): ResourceCounts {
  const counts: Partial<Record<ResourceType, number>> = {
    child_process: 0,
    udp_socket: 0,
    file_watcher: 0,
    message_port: 0,
  };
  let tcpSockets = 0;
  let pipes = 0;
  for (const handle of process.getActiveResourcesInfo()) {
    if (handle === 'TCPSocketWrap') tcpSockets += 1;
    else if (handle === 'PipeWrap') pipes += 1;
    const type = TYPE_OF_HANDLE[handle];
    if (type !== undefined) counts[type] = (counts[type] ?? 0) + 1;
  }
  // A server can accept connections on a Unix socket, whose handles are pipes.
  const acceptedPipes = Math.max(0, acceptedSockets - tcpSockets);
  return {
    ...counts,
    outgoing_socket: Math.max(0, tcpSockets - acceptedSockets),
    pipe: Math.max(0, pipes - acceptedPipes),
  };
}

/** The folder has one subfolder for each thread, and each subfolder adds a link. Null outside Linux. */
function countThreads(): number | null {
  if (process.platform !== 'linux') return null;
  try {
    const threads = Number(statSync('/proc/self/task', { bigint: true }).nlink) - 2;
    return threads > 0 ? threads : null;
  } catch {
    // Without /proc, or denied by `--permission`.
    return null;
  }
}
