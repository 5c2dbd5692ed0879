/** Types of heap snapshots and allocation profiles: inputs to the capture decision, its budget and its results. */

import type { Snapshot } from './alert.ts';

export type Written = Extract<Snapshot, { outcome: 'written' }>;
export type Refused = Extract<Snapshot, { outcome: 'refused' }>;
export type Failed = Extract<Snapshot, { outcome: 'failed' }>;

/** Memory that is left for new allocations. `null`: unknown, or there is no such limit. */
export interface Headroom {
  readonly containerBytes: number | null;
  readonly containerUsedBytes: number | null;
  /** Physical memory that is available without swapping. */
  readonly availableBytes: number | null;
}

export interface CaptureLimits extends Headroom {
  /** Old space that kills the process when it is full. */
  readonly heapCapacityBytes: number;
}

/** A copy of the process writes the snapshot, or the application thread does. */
export type CaptureMethod = Written['method'];

/** Inputs to the capture decision. */
export interface CaptureReadings extends CaptureLimits {
  /** Used bytes of all heap spaces. Garbage counts too, so it is never lower than the live heap. */
  readonly heapBytes: number;
  /** The part of it in large objects: many bytes, few heap nodes. */
  readonly largeObjectBytes: number;
  readonly oldSpaceBytes: number;
  /** RSS beyond V8's heap and external memory: malloc keeps it and can use it again. */
  readonly slackBytes: number;
  readonly rssBytes: number;
  readonly diskFreeBytes: number | null;
  /** Why working memory cannot move to a file of the directory; null when it can. */
  readonly spillUnavailable: string | null;
  /** For how long the event loop has worked since its start, and the time of this reading by the same clock. */
  readonly loop: { readonly activeMs: number; readonly atMs: number };
  readonly nodeMajor: number;
  /** Share of one core that a forked child may use. */
  readonly cpuShare: number;
  /** Why this process cannot be forked for a capture; null when it can. */
  readonly forkUnavailable: string | null;
  /** Why no snapshot may be written to the directory; null when one may. */
  readonly directoryRefused: string | null;
}

export interface CaptureBudget {
  /** WSGUARD_SNAPSHOT. `auto` forks where that is possible, and else writes in the process. */
  readonly method: CaptureMethod | 'auto' | 'off';
  /** Null: the default of each method. */
  readonly pauseBudgetMs: number | null;
  /** Name of the setting in a refusal; WSGUARD_PAUSE_BUDGET_MS when absent. */
  readonly pauseSetting?: string;
  /** Why the working memory of a fork may not move to a file when memory is short; null when it may. */
  readonly noSpillBecause: string | null;
  readonly maxFiles: number;
  /** The part of them that one leak may take. Absent: no such limit. */
  readonly maxFilesOfLeak?: number;
  /** A redaction process follows, while malloc still keeps the memory of the snapshot. */
  readonly redact: boolean;
}

export interface CaptureState {
  readonly isRunning: boolean;
  readonly filesKept: number;
  /** Files of alerts with the same fingerprint, within a day. */
  readonly filesOfLeak?: number;
  readonly learned: LearnedCosts;
}

/** The predicted cost of a snapshot. */
export interface CaptureCost {
  /** Objects, strings and other nodes of the heap graph. */
  readonly nodes: number;
  /** How long the application thread stops. */
  readonly pauseMs: number;
  /** CPU time for writing the snapshot. */
  readonly cpuMs: number;
  /** Memory that the snapshot takes while it is written. */
  readonly rssBytes: number;
  readonly fileBytes: number;
}

/** The measured cost of a snapshot. */
export interface LearnedCost {
  readonly nodes: number;
  /** Used heap outside the large-object space right before it. */
  readonly smallObjectBytes: number;
  /** RSS right before it. The pause of a fork depends on it. */
  readonly residentBytes: number;
  readonly pauseMs: number;
  /** CPU time of the process that wrote it. */
  readonly cpuMs: number;
  /** Without compression. */
  readonly fileBytes: number;
  /** Growth of the RSS. V8 frees the memory, but malloc keeps nearly all of it. */
  readonly rssGrowthBytes: number;
}
/** The cost of this process's last snapshot of each method. */
export type LearnedCosts = Readonly<Record<CaptureMethod, LearnedCost | null>>;

/** A snapshot before redaction. `file` is its hidden temporary name, or `finalFile` without redaction. */
export interface UnfinishedSnapshot extends Written {
  readonly finalFile: string;
  readonly learned: LearnedCost;
}

/** A cgroup with a memory limit. The forked child ends itself above `maxUsedBytes`. */
export interface MemoryGroup {
  readonly usageFile: string;
  readonly statFile: string;
  /** Above it memory moves to the spill file, when there is one. */
  readonly spillAboveBytes: number;
  readonly maxUsedBytes: number;
}

/** The fork of a capture. Every thread of the process can prepare it; the application thread executes it. */
export interface ForkRequest {
  /** Descriptor of the pipe into which the child writes the snapshot. */
  readonly output: number;
  /** Descriptor of the file for working memory that does not fit; null: the child ends itself instead. */
  readonly spillFile: number | null;
  readonly maxSpillBytes: number;
  /** Address ranges that V8 has marked "not for a fork": pairs of 64-bit numbers. */
  readonly markedRanges: ArrayBuffer;
  /** The descriptor may be closed after this time. */
  readonly validUntilWallMs: number;
  readonly deadlineMs: number;
  readonly maxCpuSeconds: number;
  /** Share of one CPU core that the child may use, 0 to 1. */
  readonly cpuShare: number;
  /** Bound of the child's new memory, in address space. */
  readonly maxGrowthBytes: number;
  /** The child ends itself when the machine has less memory available. */
  readonly minAvailableBytes: number;
  readonly memoryGroups: readonly MemoryGroup[];
}

export interface ForkedChild {
  readonly outcome: 'forked';
  readonly pid: number;
  /** How long the application thread was blocked. */
  readonly pauseMs: number;
}

/** One line of code and the bytes that it allocated, estimated from samples. */
export interface ProfileLine {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly function: string | null;
  readonly bytes: number;
  /** Share of all sampled bytes, 0 to 1. */
  readonly share: number;
}

export interface AllocationProfile {
  /** V8 takes one sample for each so many allocated bytes on average. */
  readonly intervalBytes: number;
  readonly totalBytes: number;
  /**
   * True: the bytes grew between two readings. False: there was one reading, and they are all live bytes, the working set
   * included.
   */
  readonly isGrowth: boolean;
  /** Largest first. */
  readonly lines: readonly ProfileLine[];
}
