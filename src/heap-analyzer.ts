/** `HeapAnalyzer`: takes heap snapshots of this process and analyses snapshot files. Works without the agent. */

import { MessageChannel } from 'node:worker_threads';
import { CaptureHistory } from './capture/capture-history.ts';
import { HeapSnapshotter } from './capture/heap-snapshotter.ts';
import { listSnapshots, sweepLeftovers } from './capture/snapshot-files.ts';
import { noChildReason } from './core/child-support.ts';
import { createClock } from './core/clock.ts';
import { removeFile } from './core/folders.ts';
import { failed, refused } from './core/outcome.ts';
import { createCaptureLimits, readHeapFlags } from './sample/limits.ts';
import { runAnalysis } from './snapshots/jobs.ts';
import type { AnalysisRefused } from './snapshots/jobs.ts';
import { takeSnapshot, type CaptureThread } from './snapshots/take-snapshot.ts';
import type {
  Analysis,
  CaptureBudget,
  CaptureLimits,
  Clock,
  Dispose,
  Failed,
  Snapshot,
} from './types/index.ts';

export interface HeapAnalyzerOptions {
  /** Directory of the files, `./heap-snapshots` by default. It is created with the first snapshot. */
  readonly snapshotDir?: string;
  /**
   * `fork`: in a forked copy of the process, which stops it for some milliseconds (Linux only). `inprocess`: in the process,
   * which stops it for 75 to 130 ms per MB of small objects. `auto`, the default: with a fork where that works.
   */
  readonly method?: 'auto' | 'fork' | 'inprocess';
  /** A snapshot with a longer predicted pause is refused; 250 ms with a fork and 2000 ms in the process by default. */
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
  /** Asked when the snapshot is decided about, because other processes can share the directory. */
  readonly filesKept: () => number;
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

const STEPS = ['start', 'loaded', 'drained'] as const;
export type ProcedureStep = (typeof STEPS)[number];

/** The three snapshots of `HeapAnalyzer.procedure()`. */
export class SnapshotProcedure {
  readonly #analyzer: HeapAnalyzer;
  readonly #files = new Map<ProcedureStep, string>();

  constructor(analyzer: HeapAnalyzer) {
    this.#analyzer = analyzer;
  }

  /** Takes the snapshot of one step. A step may be taken again; the last one counts. Never rejects. */
  async take(step: ProcedureStep): Promise<Snapshot> {
    if (!STEPS.includes(step))
      return failed('WSGUARD_ANALYZER_ARGUMENT', `expected one of ${STEPS.join(', ')}, got ${String(step)}`);
    const snapshot = await this.#analyzer.takeSnapshot(step);
    if (snapshot.outcome === 'written') this.#files.set(step, snapshot.file);
    return snapshot;
  }

  /** Compares `drained` with `start`, in a child process. Never rejects. */
  compare(): Promise<Analysis | AnalysisRefused | Failed> {
    const missing = STEPS.filter((step) => !this.#files.has(step));
    if (missing.length > 0) {
      const reason = `no snapshot of ${missing.join(', ')} was written`;
      return Promise.resolve(failed('WSGUARD_ANALYZER_ARGUMENT', reason));
    }
    return this.#analyzer.analyse([this.#files.get('start')!, this.#files.get('drained')!]);
  }
}

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
  readonly #options: Required<Omit<HeapAnalyzerOptions, 'snapshotDir' | 'method' | 'pauseBudgetMs'>>;
  readonly #snapshotter: HeapSnapshotter;
  readonly #budget: CaptureBudget;
  readonly #history: CaptureHistory;
  #count = 0;
  #isRunning = false;

  /** @throws TypeError with the code WSGUARD_ANALYZER_ARGUMENT for an option with a value that cannot be used. */
  constructor(options: HeapAnalyzerOptions = {}) {
    this.snapshotDir = options.snapshotDir ?? './heap-snapshots';
    checkOptions(options, this.snapshotDir);
    this.#options = {
      maxSnapshots: options.maxSnapshots ?? 10,
      cooldownMs: options.cooldownMs ?? 3_600_000,
      redact: options.redact ?? true,
      onSnapshot: options.onSnapshot ?? (() => undefined),
      clock: options.clock ?? createClock(),
      limits: options.limits ?? createCaptureLimits(readHeapFlags()),
    };
    const { maxSnapshots: maxFiles, redact, clock, limits } = this.#options;
    this.#budget = {
      method: options.method ?? 'auto',
      pauseBudgetMs: options.pauseBudgetMs ?? null,
      pauseSetting: 'pauseBudgetMs',
      noSpillBecause: null,
      maxFiles,
      redact,
    };
    this.#snapshotter = new HeapSnapshotter({ limits, clock });
    this.#history = new CaptureHistory(null, clock);
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
    return this.#take({ label, filesKept: () => listSnapshots(this.snapshotDir).length, keepAlive: true });
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
    const { clock, cooldownMs } = this.#options;
    let lastMs: number | null = null;
    return clock.every(MEMORY_CHECK_MS, () => {
      const nowMs = clock.nowMs();
      if (lastMs !== null && nowMs - lastMs < cooldownMs) return;
      const { oldSpaceBytes, heapCapacityBytes } = this.#snapshotter.readings(this.snapshotDir);
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
      const received = values.length === 0 ? 'none' : values.map((file) => String(file)).join(', ');
      const reason = `expected the names of one to three files, got ${received}`;
      return Promise.resolve(failed('WSGUARD_ANALYSIS_FAILED', reason));
    }
    const { limits, clock } = this.#options;
    return runAnalysis({ files: names, dir: this.snapshotDir, limits, clock, keepAlive: true });
  }

  /** The same as `analyse`. */
  analyze(files: string | readonly string[]): Promise<Analysis | AnalysisRefused | Failed> {
    return this.analyse(files);
  }

  /**
   * Three snapshots that separate a leak from load: `start` before the clients connect, `loaded` while they are connected,
   * `drained` after all have gone. What `drained` has and `start` had not is leaked.
   *
   * @example
   * const procedure = analyzer.procedure();
   * await procedure.take('start');
   * // ... 1,000 clients connect ...
   * await procedure.take('loaded');
   * // ... and disconnect ...
   * await procedure.take('drained');
   * console.log(await procedure.compare());
   */
  procedure(): SnapshotProcedure {
    return new SnapshotProcedure(this);
  }

  async #takeAutomatic(label: string): Promise<void> {
    const kept = listSnapshots(this.snapshotDir);
    // The first automatic snapshot stays, because growth is measured against it.
    const [, oldest] = kept.filter(
      ({ file }) => file.includes(`-${SCHEDULED_LABEL}.`) || file.includes(`-${HIGH_MEMORY_LABEL}.`),
    );
    const replaces = kept.length >= this.#options.maxSnapshots && oldest !== undefined;
    const filesKept = (): number => listSnapshots(this.snapshotDir).length - (replaces ? 1 : 0);
    const snapshot = await this.#take({ label, filesKept, keepAlive: false });
    if (snapshot.outcome === 'written' && replaces) removeFile(oldest.file);
    try {
      this.#options.onSnapshot(snapshot);
    } catch {
      // A listener that throws must not end the server whose timer this is.
    }
  }

  async #take({ label, filesKept, keepAlive }: Request): Promise<Snapshot> {
    const { clock, limits } = this.#options;
    const dir = this.snapshotDir;
    const noChild = this.#budget.redact ? noChildReason() : null;
    if (noChild !== null) return refused(noChild);
    const isRunning = this.#isRunning;
    const letExit = keepAlive ? stayAlive() : () => undefined;
    const countFiles = (): { filesKept: number } => ({ filesKept: filesKept() });
    const options = { dir, folder: dir, label, countFiles, isRunning, limits, clock, keepAlive };
    this.#isRunning = true;
    try {
      const snapshot = await takeSnapshot({
        ...options,
        thread: this.#thread(),
        budget: this.#budget,
        history: this.#history,
      });
      if (snapshot.outcome === 'written') this.#count += 1;
      return snapshot;
    } finally {
      this.#isRunning = isRunning;
      letExit();
    }
  }

  /** The same thread takes the snapshot and decides about it. */
  #thread(): CaptureThread {
    const snapshotter = this.#snapshotter;
    return {
      readings: (dir) => Promise.resolve(snapshotter.readings(dir)),
      write: (request) => Promise.resolve(snapshotter.write(request)),
      fork: (request) => snapshotter.fork(request),
    };
  }
}

const METHODS: readonly unknown[] = ['auto', 'fork', 'inprocess'];

/** A JavaScript caller may pass anything. A wrong budget would refuse every snapshot, or none. */
function checkOptions(options: HeapAnalyzerOptions, snapshotDir: unknown): void {
  const { method = 'auto', redact = true, onSnapshot = () => undefined } = options;
  if (typeof snapshotDir !== 'string' || snapshotDir === '')
    throw misuse('snapshotDir', 'the path of a directory');
  if (!METHODS.includes(method)) throw misuse('method', `one of ${METHODS.join(', ')}`);
  if (typeof redact !== 'boolean') throw misuse('redact', 'true or false');
  if (typeof onSnapshot !== 'function') throw misuse('onSnapshot', 'a function');
  checkMinimum('pauseBudgetMs', options.pauseBudgetMs, 0);
  checkMinimum('maxSnapshots', options.maxSnapshots, 1);
  checkMinimum('cooldownMs', options.cooldownMs, 0);
}

/** Infinity is a budget without a limit. */
function checkMinimum(option: string, value: unknown, minimum: number): void {
  if (value !== undefined && !(typeof value === 'number' && value >= minimum))
    throw misuse(option, `a number of at least ${minimum}`);
}

/** The child of a fork does not keep its parent alive. A port with a listener does. */
function stayAlive(): Dispose {
  const { port1 } = new MessageChannel();
  port1.on('message', () => undefined);
  return () => port1.close();
}

function misuse(argument: string, expected: string): TypeError {
  const error = new TypeError(`wsguard: HeapAnalyzer expects for ${argument} ${expected}`);
  return Object.assign(error, { code: 'WSGUARD_ANALYZER_ARGUMENT' });
}
