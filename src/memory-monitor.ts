/** MemoryMonitor: how full, how fast, how long. Usable alone; the same readings and tests as inside the agent. */

import { createClock } from './core/clock.ts';
import { registries as registryDetector } from './detect/registries.ts';
import type { Detector, View } from './detect/detector.ts';
import { external, native } from './detect/external.ts';
import { floor } from './detect/heap-growth.ts';
import { floorTrend, growthPerHour, recentFloors } from './detect/post-gc-heap.ts';
import { Counts } from './detect/growth.ts';
import { History, inScaledTime } from './detect/history.ts';
import { formatBytes } from './core/format.ts';
import { timeToLimit } from './detect/time-to-limit.ts';
import { createGuard, type Guard } from './core/guard.ts';
import { RegisteredCollections, type Watchable } from './hooks/registered-collections.ts';
import { memoryStats } from './report/memory-stats.ts';
import { Ring } from './core/ring.ts';
import { createLimitsReader } from './sample/limits.ts';
import { readMemory } from './sample/memory.ts';
import { ProcessProbes } from './sample/process-probes.ts';
import { UNKNOWN_CONNECTIONS } from './types/sample.ts';
import type {
  Clock,
  Dispose,
  LeakCheck,
  LeakKind,
  MemoryAlert,
  MemoryReading,
  MemoryReport,
  MemoryStats,
  Sample,
} from './types/index.ts';

export interface MemoryMonitorOptions {
  readonly intervalMs?: number;
  /** Share of the capacity that kills: old space of the heap, or the container's limit. */
  readonly alertThreshold?: number;
  readonly maxHistory?: number;
  /** Instead of the heap's capacity. */
  readonly maxMemoryBytes?: number;
  readonly registries?: Readonly<Record<string, Watchable>>;
}

interface Events {
  alert: (alert: MemoryAlert) => void;
  leak: (check: LeakCheck) => void;
}

const MIN_SAMPLES = 10;
/** The detectors count in half minutes; who samples faster than that wants shorter windows, not fuller ones. */
const NOMINAL_INTERVAL_MS = 30_000;
/** An alert is said again only after the use fell by a tenth of its threshold. */
const REARM = 0.9;
/** What can be told without knowing the connections. */
const DETECTORS: readonly Detector[] = [registryDetector, external, native, floor];
export class MemoryMonitor {
  readonly #options: Required<Pick<MemoryMonitorOptions, 'intervalMs' | 'alertThreshold' | 'maxHistory'>>;
  readonly #maxMemoryBytes: number | null;
  readonly #timeScale: number;
  readonly #clock: Clock;
  readonly #guard: Guard = createGuard(() => undefined);
  readonly #flags = {
    execArgv: process.execArgv,
    nodeOptions: process.env['NODE_OPTIONS'] ?? '',
    v8: process.versions.v8,
  };
  readonly #limits = createLimitsReader(this.#flags);
  readonly #registries = new RegisteredCollections(this.#guard);
  readonly #listeners = { alert: new Set<Events['alert']>(), leak: new Set<Events['leak']>() };
  readonly #samples: Ring<Sample>;
  readonly #history = new History();
  #probes: ProcessProbes | null = null;
  #stopTimer: Dispose | null = null;
  #seq = 0;
  #isOver = false;
  #isLeaking = false;

  /** A clock of one's own is for tests. */
  constructor(options: MemoryMonitorOptions = {}, clock: Clock = createClock()) {
    const { intervalMs = 30_000, alertThreshold = 0.8, maxHistory = 100, maxMemoryBytes = null } = options;
    atLeast('intervalMs', intervalMs, 10);
    atLeast('maxHistory', maxHistory, MIN_SAMPLES);
    if (!(alertThreshold > 0 && alertThreshold <= 1))
      throw misuse('alertThreshold', 'a share above 0, at most 1');
    if (maxMemoryBytes !== null) atLeast('maxMemoryBytes', maxMemoryBytes, 1);
    this.#options = { intervalMs, alertThreshold, maxHistory };
    this.#maxMemoryBytes = maxMemoryBytes;
    this.#timeScale = Math.max(1, NOMINAL_INTERVAL_MS / intervalMs);
    this.#clock = clock;
    this.#samples = new Ring(maxHistory);
    for (const [name, thing] of Object.entries(options.registries ?? {}))
      this.#registries.watchRegistry(name, thing);
  }

  start(): void {
    if (this.#stopTimer !== null) return;
    this.#probes = new ProcessProbes({ clock: this.#clock, guard: this.#guard, flags: this.#flags });
    this.#stopTimer = this.#clock.every(
      this.#options.intervalMs,
      this.#guard.wrap('monitor', () => this.#take()),
    );
  }

  stop(): void {
    this.#stopTimer?.();
    this.#probes?.stop();
    this.#stopTimer = this.#probes = null;
  }

  on<E extends keyof Events>(event: E, listener: Events[E]): Dispose {
    const listeners = this.#listeners[event] as Set<Events[E]> | undefined;
    if (listeners === undefined || typeof listener !== 'function')
      throw misuse('on', "'alert' or 'leak', and a function");
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  getMemoryStats(): MemoryStats {
    const memory = readMemory();
    return memoryStats(memory, this.#capacityOf(memory), this.#registries.read().registries);
  }

  /** Null until there are ten samples. */
  checkForLeak(): LeakCheck | null {
    const samples = this.#samples.values;
    if (samples.length < MIN_SAMPLES) return null;
    const history = this.#history;
    const left = timeToLimit(history);
    const counts = new Counts(history);
    const trend = floorTrend(recentFloors(history));
    const view: View = { history, counts, trend, maxConnections: null, timeToLimit: left };
    const findings = DETECTORS.flatMap((detector) => detector.look(view)).flatMap((verdict) =>
      verdict.answer === 'found'
        ? [
            {
              kind: verdict.finding.kind as LeakKind,
              title: verdict.finding.title,
              evidence: verdict.evidence,
            },
          ]
        : [],
    );
    const growthBytesPerHour = growthPerHour(samples);
    const timeToLimitMs = left === null ? null : left.ms / this.#timeScale;
    return {
      detected: findings.length > 0,
      growthBytesPerHour,
      hourlyGrowth: `${formatBytes(growthBytesPerHour)}/h`,
      timeToLimitMs,
      estimatedTimeToOOM: timeToLimitMs === null ? null : timeToLimitMs / 60_000,
      findings,
    };
  }

  getReport(): MemoryReport {
    const memory = readMemory();
    const limit = this.#capacityOf(memory);
    const current = memoryStats(memory, limit, this.#registries.read().registries);
    return {
      current,
      limit,
      usagePercent: current.usagePercent,
      leakDetection: this.checkForLeak(),
      samplesCollected: this.#samples.values.length,
      registries: current.registries,
    };
  }

  #take(): void {
    if (this.#probes === null) return;
    const readings = this.#probes.read();
    const { limits } = readings;
    const sample: Sample = {
      seq: (this.#seq += 1),
      atMs: this.#clock.nowMs(),
      wallMs: this.#clock.wallMs(),
      uptimeMs: this.#clock.nowMs(),
      ...readings,
      limits: { ...limits, heapCapacityBytes: this.#maxMemoryBytes ?? limits.heapCapacityBytes },
      connections: UNKNOWN_CONNECTIONS,
      ...this.#registries.read(),
      emitters: [],
      marks: [],
      blind: [],
    };
    this.#samples.push(sample);
    this.#history.add(inScaledTime(sample, this.#timeScale));
    this.#tellAlert(sample);
    this.#tellLeak();
  }

  #tellAlert({ memory, limits }: Sample): void {
    const { alertThreshold } = this.#options;
    const current = memoryStats(memory, limits.heapCapacityBytes, this.#registries.read().registries);
    const inContainer = (limits.containerUsedBytes ?? memory.rssBytes) / (limits.containerBytes ?? Infinity);
    const share = Math.max(current.usagePercent / 100, inContainer);
    const isOver = share >= (this.#isOver ? REARM : 1) * alertThreshold;
    if (isOver && !this.#isOver)
      this.#emit('alert', { usagePercent: share * 100, thresholdPercent: alertThreshold * 100, current });
    this.#isOver = isOver;
  }

  #tellLeak(): void {
    const check = this.checkForLeak();
    const isLeaking = check?.detected === true;
    if (isLeaking && !this.#isLeaking) this.#emit('leak', check);
    this.#isLeaking = isLeaking;
  }

  #emit<E extends keyof Events>(event: E, payload: Parameters<Events[E]>[0]): void {
    for (const listener of this.#listeners[event])
      this.#guard.run(
        'monitor listener',
        () => (listener as (given: typeof payload) => void)(payload),
        undefined,
      );
  }

  #capacityOf(memory: MemoryReading): number {
    return this.#maxMemoryBytes ?? this.#limits.read(memory.heapLimitBytes).heapCapacityBytes;
  }
}

function atLeast(option: string, value: number, least: number): void {
  if (!(Number.isFinite(value) && value >= least)) throw misuse(option, `a number of at least ${least}`);
}

function misuse(option: string, expected: string): TypeError {
  const error = new TypeError(`wsguard: MemoryMonitor expects for ${option} ${expected}`);
  return Object.assign(error, { code: 'WSGUARD_MONITOR_ARGUMENT' });
}
