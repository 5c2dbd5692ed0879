/** `MemoryMonitor` reports memory use, growth rate and time until the limit. Works without the agent. */

import { createClock } from './core/clock.ts';
import { createView } from './detect/detector.ts';
import { MEMORY_DETECTORS, runDetectors } from './detect/evaluate.ts';
import { History } from './detect/history.ts';
import { growthPerHour } from './detect/post-gc-trend.ts';
import { inScaledTime } from './detect/sample-row.ts';
import { formatBytes } from './core/format.ts';
import { createGuard, type Guard } from './core/guard.ts';
import { RegisteredCollections, type Watchable } from './hooks/registered-collections.ts';
import { memoryStats } from './report/memory-stats.ts';
import { Ring } from './core/ring.ts';
import { createLimitsReader, readHeapFlags } from './sample/limits.ts';
import { readMemory } from './sample/memory.ts';
import { ProcessProbes } from './sample/process-probes.ts';
import { UNKNOWN_SAMPLE } from './types/sample.ts';
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
  /** Time between two samples, 30 s by default. With a shorter one the detectors use shorter windows. */
  readonly intervalMs?: number;
  /** `alert` comes above this share of the heap capacity or of the container's limit; 0.8 by default. */
  readonly alertThreshold?: number;
  /** Samples that are kept; 100 by default, at least 10. */
  readonly maxHistory?: number;
  /** Replaces the heap capacity, which is what old space can grow to before the process dies. */
  readonly maxMemoryBytes?: number;
  /** Collections by name, whose sizes are watched for growth. */
  readonly registries?: Readonly<Record<string, Watchable>>;
}

interface Events {
  alert: (alert: MemoryAlert) => void;
  leak: (check: LeakCheck) => void;
}

/** Chosen: a growth rate of fewer samples is noise. */
const MIN_SAMPLES = 10;
/** With a shorter interval than this the detectors' windows shrink in proportion. */
const NOMINAL_INTERVAL_MS = 30_000;
/** Chosen: the next `alert` comes only after memory use fell to this share of the threshold. */
const REARM_SHARE = 0.9;

/**
 * Reports memory use, growth rate and time until the limit of this process. Its timer does not keep the process alive.
 *
 * @example
 * const monitor = new MemoryMonitor({ intervalMs: 30_000, alertThreshold: 0.8, registries: { clients } });
 * monitor.on('leak', ({ hourlyGrowth, findings }) => console.error(hourlyGrowth, findings[0]?.title));
 * monitor.on('alert', ({ usagePercent }) => console.error(`memory at ${usagePercent.toFixed(0)} %`));
 * monitor.start();
 */
export class MemoryMonitor {
  readonly #options: Required<Pick<MemoryMonitorOptions, 'intervalMs' | 'alertThreshold' | 'maxHistory'>>;
  readonly #maxMemoryBytes: number | null;
  readonly #timeScale: number;
  readonly #clock: Clock;
  readonly #guard: Guard = createGuard(() => undefined);
  readonly #flags = readHeapFlags();
  readonly #limits = createLimitsReader(this.#flags);
  readonly #registries = new RegisteredCollections(this.#guard);
  readonly #listeners = { alert: new Set<Events['alert']>(), leak: new Set<Events['leak']>() };
  readonly #samples: Ring<Sample>;
  readonly #history = new History();
  #probes: ProcessProbes | null = null;
  #stopTimer: Dispose | null = null;
  #seq = 0;
  #isAboveThreshold = false;
  #isLeaking = false;

  /**
   * `clock` is for tests.
   *
   * @throws TypeError with the code WSGUARD_MONITOR_ARGUMENT when an option is out of range.
   */
  constructor(options: MemoryMonitorOptions = {}, clock: Clock = createClock()) {
    const { intervalMs = 30_000, alertThreshold = 0.8, maxHistory = 100, maxMemoryBytes = null } = options;
    checkMinimum('intervalMs', intervalMs, 10);
    checkMinimum('maxHistory', maxHistory, MIN_SAMPLES);
    if (!(alertThreshold > 0 && alertThreshold <= 1))
      throw misuse('alertThreshold', 'a share above 0, at most 1');
    if (maxMemoryBytes !== null) checkMinimum('maxMemoryBytes', maxMemoryBytes, 1);
    this.#options = { intervalMs, alertThreshold, maxHistory };
    this.#maxMemoryBytes = maxMemoryBytes;
    this.#timeScale = Math.max(1, NOMINAL_INTERVAL_MS / intervalMs);
    this.#clock = clock;
    this.#samples = new Ring(maxHistory);
    for (const [name, thing] of Object.entries(options.registries ?? {})) this.#watchRegistry(name, thing);
  }

  /** Starts the sampling. A second call does nothing. */
  start(): void {
    if (this.#stopTimer !== null) return;
    this.#probes = new ProcessProbes({ clock: this.#clock, guard: this.#guard, flags: this.#flags });
    this.#stopTimer = this.#clock.every(
      this.#options.intervalMs,
      this.#guard.wrap('monitor', () => this.#takeSample()),
    );
  }

  /** Stops the sampling. `start` continues with the samples so far. */
  stop(): void {
    this.#stopTimer?.();
    this.#probes?.stop();
    this.#stopTimer = this.#probes = null;
  }

  /**
   * Calls `listener` for each `alert` (memory use passed `alertThreshold`) or `leak` (a leak was detected; the next event
   * comes only after it was gone). An error that a listener throws is caught. Returns a function that removes the listener.
   *
   * @throws TypeError with the code WSGUARD_MONITOR_ARGUMENT for another event.
   */
  on<E extends keyof Events>(event: E, listener: Events[E]): Dispose {
    const listeners = this.#listeners[event] as Set<Events[E]> | undefined;
    if (listeners === undefined || typeof listener !== 'function')
      throw misuse('on', "'alert' or 'leak', and a function");
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Memory use at this moment, in bytes; `usagePercent` of the heap capacity, 0 to 100. */
  getMemoryStats(): MemoryStats {
    const memory = readMemory();
    return memoryStats(memory, this.#capacityOf(memory), this.#registries.read().registries);
  }

  /** Growth in bytes per hour, time until the limit in milliseconds, and findings. Null until there are ten samples. */
  checkForLeak(): LeakCheck | null {
    const samples = this.#samples.values;
    if (samples.length < MIN_SAMPLES) return null;
    const view = createView(this.#history);
    const left = view.forecast?.time ?? null;
    const findings = runDetectors(MEMORY_DETECTORS, view).flatMap((verdict) =>
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

  /** The memory use, the heap capacity in bytes and the result of `checkForLeak`. */
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

  #watchRegistry(name: string, thing: Watchable): void {
    try {
      this.#registries.watchRegistry(name, thing);
    } catch {
      throw misuse(`registries.${name}`, 'a Map, a Set, an Array or a function that returns a number');
    }
  }

  #takeSample(): void {
    if (this.#probes === null) return;
    const readings = this.#probes.read();
    const { limits } = readings;
    const sample: Sample = {
      ...UNKNOWN_SAMPLE,
      seq: (this.#seq += 1),
      atMs: this.#clock.nowMs(),
      wallMs: this.#clock.wallMs(),
      uptimeMs: this.#clock.nowMs(),
      ...readings,
      limits: { ...limits, heapCapacityBytes: this.#maxMemoryBytes ?? limits.heapCapacityBytes },
      ...this.#registries.read(),
    };
    this.#samples.push(sample);
    this.#history.append(inScaledTime(sample, this.#timeScale));
    this.#emitAlert(sample);
    this.#emitLeak();
  }

  #emitAlert({ memory, limits }: Sample): void {
    const { alertThreshold } = this.#options;
    const current = memoryStats(memory, limits.heapCapacityBytes, this.#registries.read().registries);
    const containerShare =
      (limits.containerUsedBytes ?? memory.rssBytes) / (limits.containerBytes ?? Infinity);
    const share = Math.max(current.usagePercent / 100, containerShare);
    const isAbove = share >= (this.#isAboveThreshold ? REARM_SHARE : 1) * alertThreshold;
    if (isAbove && !this.#isAboveThreshold)
      this.#emit('alert', { usagePercent: share * 100, thresholdPercent: alertThreshold * 100, current });
    this.#isAboveThreshold = isAbove;
  }

  #emitLeak(): void {
    const check = this.checkForLeak();
    const isLeaking = check?.detected === true;
    if (isLeaking && !this.#isLeaking) this.#emit('leak', check);
    this.#isLeaking = isLeaking;
  }

  #emit<E extends keyof Events>(event: E, payload: Parameters<Events[E]>[0]): void {
    // A copy: a loop over the set itself would also call a listener that is added meanwhile, and might never end.
    for (const listener of [...this.#listeners[event]])
      void call(listener as (value: typeof payload) => unknown, payload);
  }

  #capacityOf(memory: MemoryReading): number {
    return this.#maxMemoryBytes ?? this.#limits.read(memory.heapLimitBytes).heapCapacityBytes;
  }
}

/** A listener that throws or rejects must not end the server whose timer this is. The guard would switch all listeners off. */
async function call<Value>(listener: (value: Value) => unknown, value: Value): Promise<void> {
  try {
    await listener(value);
  } catch {
    // The class has no log.
  }
}

function checkMinimum(option: string, value: number, minimum: number): void {
  if (!(Number.isFinite(value) && value >= minimum)) throw misuse(option, `a number of at least ${minimum}`);
}

function misuse(option: string, expected: string): TypeError {
  const error = new TypeError(`wsguard: MemoryMonitor expects for ${option} ${expected}`);
  return Object.assign(error, { code: 'WSGUARD_MONITOR_ARGUMENT' });
}
