/** `memoryGuard`: sheds load before the process runs out of memory. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { createLimitsReader, readHeapFlags } from '../sample/limits.ts';
import { readMemory } from '../sample/memory.ts';
import { processMemory } from '../core/process-memory.ts';
import { createClock } from '../core/clock.ts';
import type { Clock, Dispose } from '../types/index.ts';
import { countAction } from './agent-registration.ts';
import { callSafely } from './call-safely.ts';
import { LeakEvidence, type ProvenLeak } from './leak-evidence.ts';
import { atLeast, checkOptions, TIMER } from './options.ts';
import { webSocketsOf, type WebSocketLike, type WebSocketList, type WebSocketServerLike } from './types.ts';

export interface MemoryPressure {
  readonly usedBytes: number;
  readonly thresholdBytes: number;
  /** Slow clients that this check terminated. */
  readonly terminated: number;
  /** The leak that the agent has proved, when it is the reason; else null. */
  readonly leak: ProvenLeak | null;
}

/** The open alert that proves the leak, and the time to the limit. */
export type ExitAdvice = ProvenLeak;

export interface MemoryGuardOptions {
  /**
   * Compared with the used heap together with the buffers outside it. Default: 85 % of what the old generation can grow
   * to, and 85 % of the container's memory limit, whichever is nearer.
   */
  readonly thresholdBytes?: number;
  /** Under pressure their upgrades get the answer 503. */
  readonly servers?: readonly Server[];
  /**
   * Under pressure the slow clients of these are terminated, those with the largest send buffer first. A server with
   * `clientTracking: false` has no list of its clients: pass its `ConnectionRegistry`.
   */
  readonly webSocketServers?: readonly (WebSocketServerLike | WebSocketList)[];
  /** Time between two checks. Default 5,000. */
  readonly intervalMs?: number;
  /**
   * With an agent in the process: also pressure when it has proved a leak and the limit is less than this away, whatever
   * `thresholdBytes` says. Default 60,000.
   */
  readonly shedBelowMs?: number;
  /** Called at the start of each period of pressure. */
  readonly onPressure?: (pressure: MemoryPressure) => void;
  /**
   * Called once when the agent has proved a leak and the limit is less than `exitBelowMs` away. Drain and exit here: a
   * planned exit loses no messages, an out-of-memory kill loses all.
   */
  readonly onExit?: (advice: ExitAdvice) => void;
  /** Default 600,000. */
  readonly exitBelowMs?: number;
  /**
   * Asked before `onExit`, so that the instances of a fleet do not exit together: resolve true for one of them at a time,
   * for example with `claimInRedis`. A refused claim is asked for again at the next check.
   */
  readonly claimExit?: () => Promise<boolean>;
}

/** The share at which the agent's alert `memory-threshold` becomes critical. */
const THRESHOLD_SHARE = 0.85;
/** Pressure ends below this share of the threshold, so that it does not begin and end with each garbage collection. */
const RELEASE_SHARE = 0.9;
const INTERVAL_MS = 5_000;
const EXIT_BELOW_MS = 600_000;
/** Clients that are refused come back to another process; much earlier than this, no limit needs it. */
const SHED_BELOW_MS = 60_000;
/** Clients with less in their send buffer are not slow, and ending them frees little. */
const MIN_SLOW_BYTES = 1 << 20;
/** The largest ones at each check; the next check sees what that freed. */
const MAX_TERMINATED = 50;
const UNAVAILABLE =
  'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

/**
 * The timer does not keep the process alive. Without an agent in the process `onExit` is never called. Memory that V8 has
 * not collected yet counts too, so the threshold should stay well above the normal use.
 */
export function memoryGuard(options: MemoryGuardOptions = {}, clock: Clock = createClock()): Dispose {
  checkOptions('memoryGuard', options, {
    thresholdBytes: atLeast(1),
    intervalMs: TIMER,
    shedBelowMs: atLeast(0),
    exitBelowMs: atLeast(0),
  });
  const { servers = [], webSocketServers = [], onPressure, shedBelowMs = SHED_BELOW_MS } = options;
  const readUse = createUseReader(options.thresholdBytes);
  const evidence = new LeakEvidence();
  const plannedExit = new PlannedExit(options);
  let isUnderPressure = false;

  function refuseUpgrade(_request: IncomingMessage, socket: Duplex): void {
    if (!isUnderPressure) return;
    countAction('memoryGuard', 'refused');
    // ws and engine.io leave a socket alone that is no longer writable.
    socket.on('error', () => undefined);
    socket.end(UNAVAILABLE);
  }
  function check(): void {
    const use = readUse();
    const wasUnderPressure = isUnderPressure;
    const { latest } = evidence;
    const leak = latest !== null && latest.timeToLimitMs < shedBelowMs ? latest : null;
    isUnderPressure =
      leak !== null || use.usedBytes > use.thresholdBytes * (wasUnderPressure ? RELEASE_SHARE : 1);
    if (isUnderPressure) {
      const terminated = terminateSlowClients(webSocketServers);
      if (!wasUnderPressure && onPressure !== undefined) {
        callSafely('memoryGuard onPressure', () => onPressure({ ...use, terminated, leak }));
      }
    }
    void evidence.refresh().then((proven) => plannedExit.consider(proven));
  }

  for (const server of servers) server.prependListener('upgrade', refuseUpgrade);
  const stopTimer = clock.every(options.intervalMs ?? INTERVAL_MS, check);
  return () => {
    stopTimer();
    for (const server of servers) server.off('upgrade', refuseUpgrade);
    evidence.stop();
    plannedExit.stop();
  };
}

interface MemoryUse {
  readonly usedBytes: number;
  readonly thresholdBytes: number;
}

function createUseReader(thresholdBytes: number | undefined): () => MemoryUse {
  if (thresholdBytes !== undefined) {
    return () => {
      const { heapUsed, external } = processMemory(undefined, process.memoryUsage);
      return { usedBytes: heapUsed + external, thresholdBytes };
    };
  }
  const limits = createLimitsReader(readHeapFlags());
  return () => {
    const { oldSpaceBytes, heapLimitBytes, rssBytes } = readMemory();
    const { heapCapacityBytes, containerBytes, containerUsedBytes } = limits.read(heapLimitBytes);
    const heap = { usedBytes: oldSpaceBytes, thresholdBytes: heapCapacityBytes * THRESHOLD_SHARE };
    if (containerBytes === null) return heap;
    const container = {
      usedBytes: containerUsedBytes ?? rssBytes,
      thresholdBytes: containerBytes * THRESHOLD_SHARE,
    };
    return shareOf(container) > shareOf(heap) ? container : heap;
  };
}

const shareOf = ({ usedBytes, thresholdBytes }: MemoryUse): number => usedBytes / thresholdBytes;

function terminateSlowClients(servers: readonly (WebSocketServerLike | WebSocketList)[]): number {
  const slow: WebSocketLike[] = [];
  for (const server of servers) {
    for (const ws of webSocketsOf(server)) if (ws.bufferedAmount >= MIN_SLOW_BYTES) slow.push(ws);
  }
  slow.sort((a, b) => b.bufferedAmount - a.bufferedAmount).splice(MAX_TERMINATED);
  for (const ws of slow) {
    ws.terminate();
    countAction('memoryGuard', 'terminated');
  }
  return slow.length;
}

/** Calls `onExit` once, when a proven leak is about to reach the limit and the claim is granted. */
class PlannedExit {
  readonly #options: MemoryGuardOptions;
  #state: 'watching' | 'claiming' | 'done' = 'watching';

  constructor(options: MemoryGuardOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#state = 'done';
  }

  consider(leak: ProvenLeak | null): void {
    const { onExit, exitBelowMs = EXIT_BELOW_MS, claimExit } = this.#options;
    if (onExit === undefined || this.#state !== 'watching') return;
    if (leak === null || leak.timeToLimitMs >= exitBelowMs) return;
    const exit = (): void => {
      this.#state = 'done';
      countAction('memoryGuard', 'exit');
      callSafely('memoryGuard onExit', () => onExit(leak));
    };
    if (claimExit === undefined) return exit();
    this.#state = 'claiming';
    const refuse = (): void => {
      if (this.#state === 'claiming') this.#state = 'watching';
    };
    // A claim that cannot be made, because Redis is away for example, counts as refused.
    // An async function, so that a claim that throws at once is refused like one that rejects.
    const claim = async (): Promise<boolean> => claimExit();
    claim().then((isGranted) => (isGranted && this.#state === 'claiming' ? exit() : refuse()), refuse);
  }
}
