/** `HeapAnalyzer`: gate -> snapshot -> redaction and analysis elsewhere. Usable alone, keeps nothing alive. */

import { getHeapStatistics } from 'node:v8';
import { finishSnapshot, runAnalysis } from './snapshot-jobs.ts';
import type { AnalysisRefused } from './snapshot-jobs.ts';
import { decideCapture } from './capture/gate.ts';
import { availableBytes } from './core/cgroup.ts';
import { listSnapshots, sweepLeftovers } from './capture/snapshot-files.ts';
import { readCaptureInputs, writeInProcess } from './capture/write.ts';
import { createClock } from './core/clock.ts';
import { removeFile } from './core/folders.ts';
import { createLimitsReader } from './sample/limits.ts';
import type {
  Analysis,
  CaptureLimits,
  CaptureReadings,
  CaptureState,
  Clock,
  Dispose,
  Failed,
  LearnedCost,
  Snapshot,
} from './types/index.ts';

export interface HeapAnalyzerOptions {
  readonly snapshotDir?: string;
  /** Longest stop that a snapshot may cause, as predicted. */
  readonly pauseBudgetMs?: number;
  /** Snapshots kept in the directory: beyond it automatic ones replace the oldest of theirs, others are refused. */
  readonly maxSnapshots?: number;
  /** Time between two snapshots of `watchMemory`. */
  readonly cooldownMs?: number;
  /** Masks values before the file gets its name. */
  readonly redact?: boolean;
  /** What became of each snapshot that nobody awaited: scheduled ones and those of `watchMemory`. */
  readonly onSnapshot?: (snapshot: Snapshot) => void;
  readonly clock?: Clock;
  readonly limits?: () => CaptureLimits;
}

interface Order {
  readonly label: string;
  readonly filesKept: number;
  /** A caller awaits it. */
  readonly keepAlive: boolean;
}

const LEAST_INTERVAL_MS = 10;
const MOST_INTERVAL_MS = 2 ** 31 - 1;
const MOST_FILES = 3;
const WATCH_EVERY_MS = 60_000;
/** Labels of the snapshots that nobody asked for by hand: these may be replaced. */
const SCHEDULED = 'scheduled';
const WATCHED = 'high-memory';

function liveLimits(): () => CaptureLimits {
  const limits = createLimitsReader({
    execArgv: process.execArgv,
    nodeOptions: process.env['NODE_OPTIONS'] ?? '',
    v8: process.versions.v8,
  });
  return () => ({
    ...limits.read(getHeapStatistics().heap_size_limit),
    availableBytes: availableBytes(),
  });
}

export class HeapAnalyzer {
  readonly snapshotDir: string;
  readonly #options: Required<Omit<HeapAnalyzerOptions, 'snapshotDir'>>;
  #count = 0;
  #running = false;
  #learned: LearnedCost | null = null;

  constructor(options: HeapAnalyzerOptions = {}) {
    this.snapshotDir = options.snapshotDir ?? './heap-snapshots';
    if (typeof this.snapshotDir !== 'string' || this.snapshotDir === '')
      throw misuse('snapshotDir', 'the path of a directory');
    this.#options = {
      pauseBudgetMs: options.pauseBudgetMs ?? 2000,
      maxSnapshots: options.maxSnapshots ?? 10,
      cooldownMs: options.cooldownMs ?? 3_600_000,
      redact: options.redact ?? true,
      onSnapshot: options.onSnapshot ?? (() => undefined),
      clock: options.clock ?? createClock(),
      limits: options.limits ?? liveLimits(),
    };
    sweepLeftovers(this.snapshotDir, this.#options.clock.wallMs());
  }

  /** Snapshots written by this object. */
  get snapshotCount(): number {
    return this.#count;
  }

  /** Stops the process for the time it takes, when the gate allows it. Never rejects. */
  takeSnapshot(label = 'manual'): Promise<Snapshot> {
    return this.#take({ label, filesKept: listSnapshots(this.snapshotDir).length, keepAlive: true });
  }

  /** One snapshot each period, as far as the gate allows it: `onSnapshot` is told either way. */
  scheduleSnapshots(intervalMs: number): Dispose {
    // A timer of no length, or of more than its 31 bits, fires all the time.
    if (!(intervalMs >= LEAST_INTERVAL_MS && intervalMs <= MOST_INTERVAL_MS))
      throw misuse('intervalMs', `a number from ${LEAST_INTERVAL_MS} to ${MOST_INTERVAL_MS}`);
    return this.#options.clock.every(intervalMs, () => void this.#takeAutomatic(SCHEDULED));
  }

  /** A snapshot when old space exceeds this share of the capacity that kills; then not again for the cooldown. */
  watchMemory(thresholdPercent: number): Dispose {
    if (!(thresholdPercent > 0 && thresholdPercent <= 100))
      throw misuse('thresholdPercent', 'a percentage above 0, at most 100');
    const { clock, cooldownMs } = this.#options;
    let lastMs: number | null = null;
    return clock.every(WATCH_EVERY_MS, () => {
      const nowMs = clock.nowMs();
      if (lastMs !== null && nowMs - lastMs < cooldownMs) return;
      const { oldSpaceBytes, heapCapacityBytes: capacity } = this.#read();
      if (oldSpaceBytes < (capacity * thresholdPercent) / 100) return;
      lastMs = nowMs;
      void this.#takeAutomatic(WATCHED);
    });
  }

  /** One file: what holds the memory; two or three in order: what grows. In a process of its own. */
  analyse(files: string | readonly string[]): Promise<Analysis | AnalysisRefused | Failed> {
    const given: readonly unknown[] = typeof files === 'string' ? [files] : files;
    const names = given.filter((file) => typeof file === 'string');
    // A snapshot that was refused has no file, and JavaScript passes that on.
    if (names.length < given.length || names.length === 0 || names.length > MOST_FILES) {
      const reason = `one to three names of files, not ${given.map((file) => String(file)).join(', ')}`;
      return Promise.resolve({ outcome: 'failed', code: 'WSGUARD_ANALYSIS_FAILED', reason });
    }
    return runAnalysis({
      files: names,
      dir: this.snapshotDir,
      limits: this.#options.limits,
      clock: this.#options.clock,
      keepAlive: true,
    });
  }

  analyze(files: string | readonly string[]): Promise<Analysis | AnalysisRefused | Failed> {
    return this.analyse(files);
  }

  async #takeAutomatic(label: string): Promise<void> {
    const kept = listSnapshots(this.snapshotDir);
    // The first one stays: growth is seen against it.
    const [, ...replaceable] = kept.filter(
      ({ file }) => file.includes(`-${SCHEDULED}.`) || file.includes(`-${WATCHED}.`),
    );
    const oldest = replaceable[0];
    const full = kept.length >= this.#options.maxSnapshots;
    const filesKept = full && oldest !== undefined ? kept.length - 1 : kept.length;
    const snapshot = await this.#take({ label, filesKept, keepAlive: false });
    if (snapshot.outcome === 'written' && full && oldest !== undefined) removeFile(oldest.file);
    try {
      this.#options.onSnapshot(snapshot);
    } catch {
      // A fault of the listener is not one of the server whose timer this is.
    }
  }

  #read(): CaptureReadings {
    return readCaptureInputs(this.snapshotDir, this.#options.limits());
  }

  async #take({ label, filesKept, keepAlive }: Order): Promise<Snapshot> {
    const { clock, limits, maxSnapshots, pauseBudgetMs, redact } = this.#options;
    const state: CaptureState = {
      running: this.#running,
      sinceLastMs: null,
      filesKept,
      learned: this.#learned,
    };
    const budget = {
      method: 'inprocess',
      pauseBudgetMs,
      pauseSetting: 'pauseBudgetMs',
      maxFiles: maxSnapshots,
      cooldownMs: 0,
      redact,
    } as const;
    const permit = decideCapture(this.#read(), budget, state);
    if ('outcome' in permit) return permit;
    this.#running = true;
    try {
      const dir = this.snapshotDir;
      const taken = writeInProcess({ dir, label, as: redact ? 'raw' : 'final' }, clock);
      if (taken.outcome === 'failed') return taken;
      this.#learned = taken.learned;
      const snapshot = await finishSnapshot({ taken, redact, dir, limits, clock, keepAlive });
      if (snapshot.outcome === 'written') this.#count += 1;
      return snapshot;
    } finally {
      this.#running = false;
    }
  }
}

function misuse(argument: string, expected: string): TypeError {
  const error = new TypeError(`wsguard: HeapAnalyzer expects for ${argument} ${expected}`);
  return Object.assign(error, { code: 'WSGUARD_ANALYZER_ARGUMENT' });
}
