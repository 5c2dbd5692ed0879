/** `HeapAnalyzer`: takes heap snapshots of this process and analyses snapshot files. Works without the agent. */

import { HeapSnapshotter, readCaptureInputs } from './capture/heap-snapshotter.ts';
import { listSnapshots, sweepLeftovers } from './capture/snapshot-files.ts';
import { createClock } from './core/clock.ts';
import { removeFile } from './core/folders.ts';
import { failed } from './core/outcome.ts';
import { createCaptureLimits, readHeapFlags } from './sample/limits.ts';
import { finishSnapshot, runAnalysis } from './snapshot-jobs.ts';
import type { AnalysisRefused } from './snapshot-jobs.ts';
import type { Analysis, CaptureLimits, Clock, Dispose, Failed, Snapshot } from './types/index.ts';

export interface HeapAnalyzerOptions {
  /** Directory of the files, `./heap-snapshots` by default. It is created with the first snapshot. */
  readonly snapshotDir?: string;
  /** A snapshot with a longer predicted pause is refused; 2000 ms by default. */
  readonly pauseBudgetMs?: number;
  /** Files that are kept, 10 by default. Beyond it an automatic snapshot replaces an older automatic one. */
  readonly maxSnapshots?: number;
  /** Minimum time between two snapshots of `watchMemory`, one hour by default. */
  readonly cooldownMs?: number;
  /** Masks the values of strings before the file gets its name; true by default. */
  readonly redact?: boolean;
  /** Called with the outcome of each automatic snapshot (`scheduleSnapshots`, `watchMemory`). */
  readonly onSnapshot?: (snapshot: Snapshot) => void;
  /** For tests. */
  readonly clock?: Clock;
  /** For tests. */
  readonly limits?: () => CaptureLimits;
}

interface Request {
  readonly label: string;
  readonly filesKept: number;
  /** The process stays alive until the snapshot is finished, because a caller awaits it. */
  readonly keepAlive: boolean;
}

/** `setInterval` fires without a pause for a period of 0, and for one that does not fit into 31 bits. */
const MIN_INTERVAL_MS = 10;
const MAX_INTERVAL_MS = 2 ** 31 - 1;
/** The analysis compares at most three snapshots. */
const MAX_FILES = 3;
const MEMORY_CHECK_MS = 60_000;
/** Labels of automatic snapshots. Only these files may be replaced. */
const SCHEDULED_LABEL = 'scheduled';
const HIGH_MEMORY_LABEL = 'high-memory';

/**
 * Takes heap snapshots of this process and analyses snapshot files in a child process. A snapshot that needs more memory,
 * disk space or time than is available is refused. Timers of this class do not keep the process alive.
 *
 * @example
 * const analyzer = new HeapAnalyzer({ snapshotDir: './heap-snapshots', pauseBudgetMs: 5_000 });
 * const before = await analyzer.takeSnapshot('before');
 * // ... run the load that you suspect ...
 * const after = await analyzer.takeSnapshot('after');
 * if (before.outcome === 'written' && after.outcome === 'written')
 *   console.log(await analyzer.analyse([before.file, after.file]));
 */
export class HeapAnalyzer {
  readonly snapshotDir: string;
  readonly #options: Required<Omit<HeapAnalyzerOptions, 'snapshotDir'>>;
  readonly #snapshotter: HeapSnapshotter;
  #count = 0;
  #isRunning = false;

  /** @throws TypeError with the code WSGUARD_ANALYZER_ARGUMENT when `snapshotDir` is not a path. */
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
      limits: options.limits ?? createCaptureLimits(readHeapFlags()),
    };
    const { pauseBudgetMs, maxSnapshots: maxFiles, redact, clock, limits } = this.#options;
    const budget = {
      method: 'inprocess',
      pauseBudgetMs,
      pauseSetting: 'pauseBudgetMs',
      maxFiles,
      redact,
    } as const;
    this.#snapshotter = new HeapSnapshotter({ budget, limits, clock });
    sweepLeftovers(this.snapshotDir, clock.wallMs());
  }

  /** Number of snapshots that this object has written. */
  get snapshotCount(): number {
    return this.#count;
  }

  /**
   * Writes `heap-<epoch ms>-<label>.heapsnapshot`. The process stops for `pauseMs` of the result. Never rejects: the
   * outcome is `written`, `refused` (with the reason, and the bytes needed and available) or `failed` (with a code).
   */
  takeSnapshot(label = 'manual'): Promise<Snapshot> {
    return this.#take({ label, filesKept: listSnapshots(this.snapshotDir).length, keepAlive: true });
  }

  /**
   * Requests a snapshot each `intervalMs`; `onSnapshot` gets each outcome. Returns a function that ends the schedule.
   *
   * @throws TypeError with the code WSGUARD_ANALYZER_ARGUMENT for less than 10 ms or more than 2^31 - 1 ms.
   */
  scheduleSnapshots(intervalMs: number): Dispose {
    if (!(intervalMs >= MIN_INTERVAL_MS && intervalMs <= MAX_INTERVAL_MS))
      throw misuse('intervalMs', `a number from ${MIN_INTERVAL_MS} to ${MAX_INTERVAL_MS}`);
    return this.#options.clock.every(intervalMs, () => void this.#takeAutomatic(SCHEDULED_LABEL));
  }

  /**
   * Requests a snapshot when old space is above `thresholdPercent` of the capacity that kills the process, and then not
   * again for `cooldownMs`. It checks once a minute. Returns a function that ends the watch.
   *
   * @throws TypeError with the code WSGUARD_ANALYZER_ARGUMENT unless 0 < thresholdPercent <= 100.
   */
  watchMemory(thresholdPercent: number): Dispose {
    if (!(thresholdPercent > 0 && thresholdPercent <= 100))
      throw misuse('thresholdPercent', 'a percentage above 0, at most 100');
    const { clock, cooldownMs, limits } = this.#options;
    let lastMs: number | null = null;
    return clock.every(MEMORY_CHECK_MS, () => {
      const nowMs = clock.nowMs();
      if (lastMs !== null && nowMs - lastMs < cooldownMs) return;
      const { oldSpaceBytes, heapCapacityBytes } = readCaptureInputs(this.snapshotDir, limits());
      if (oldSpaceBytes < (heapCapacityBytes * thresholdPercent) / 100) return;
      lastMs = nowMs;
      void this.#takeAutomatic(HIGH_MEMORY_LABEL);
    });
  }

  /**
   * Analyses one snapshot (what retains the memory) or compares two or three in the order they were taken (what grows),
   * in a child process. Never rejects: without enough memory the outcome is `refused`, and its `command` runs the same
   * analysis on another machine.
   */
  analyse(files: string | readonly string[]): Promise<Analysis | AnalysisRefused | Failed> {
    const values: readonly unknown[] = typeof files === 'string' ? [files] : files;
    const names = values.filter((file) => typeof file === 'string');
    // JavaScript callers pass the `file` of a refused snapshot, which is undefined.
    if (names.length < values.length || names.length === 0 || names.length > MAX_FILES) {
      const reason = `expected the names of one to three files, got ${values.map((file) => String(file)).join(', ')}`;
      return Promise.resolve(failed('WSGUARD_ANALYSIS_FAILED', reason));
    }
    const { limits, clock } = this.#options;
    return runAnalysis({ files: names, dir: this.snapshotDir, limits, clock, keepAlive: true });
  }

  /** The same as `analyse`. */
  analyze(files: string | readonly string[]): Promise<Analysis | AnalysisRefused | Failed> {
    return this.analyse(files);
  }

  async #takeAutomatic(label: string): Promise<void> {
    const kept = listSnapshots(this.snapshotDir);
    // The first automatic snapshot stays, because growth is measured against it.
    const [, oldest] = kept.filter(
      ({ file }) => file.includes(`-${SCHEDULED_LABEL}.`) || file.includes(`-${HIGH_MEMORY_LABEL}.`),
    );
    const replaces = kept.length >= this.#options.maxSnapshots && oldest !== undefined;
    const filesKept = replaces ? kept.length - 1 : kept.length;
    const snapshot = await this.#take({ label, filesKept, keepAlive: false });
    if (snapshot.outcome === 'written' && replaces) removeFile(oldest.file);
    try {
      this.#options.onSnapshot(snapshot);
    } catch {
      // A listener that throws must not end the server whose timer this is.
    }
  }

  async #take({ label, filesKept, keepAlive }: Request): Promise<Snapshot> {
    const { clock, limits, redact } = this.#options;
    const dir = this.snapshotDir;
    const taken = this.#snapshotter.take({ dir, label, filesKept, isRunning: this.#isRunning });
    if (taken.outcome !== 'written') return taken;
    this.#isRunning = true;
    try {
      const snapshot = await finishSnapshot({ taken, redact, dir, limits, clock, keepAlive });
      if (snapshot.outcome === 'written') this.#count += 1;
      return snapshot;
    } finally {
      this.#isRunning = false;
    }
  }
}

function misuse(argument: string, expected: string): TypeError {
  const error = new TypeError(`wsguard: HeapAnalyzer expects for ${argument} ${expected}`);
  return Object.assign(error, { code: 'WSGUARD_ANALYZER_ARGUMENT' });
}
