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

/** Inputs to the capture decision. */
export interface CaptureReadings extends CaptureLimits {
  /** Used bytes of all heap spaces. Garbage counts too, so it is never lower than the live heap. */
  readonly heapBytes: number;
  /** The part of it in large objects: many bytes, few heap nodes. */
  readonly largeObjectBytes: number;
  readonly oldSpaceBytes: number;
  /** RSS beyond V8's heap and external memory: malloc keeps it and can use it again. */
  readonly slackBytes: number;
  readonly diskFreeBytes: number | null;
  readonly nodeMajor: number;
}

export interface CaptureBudget {
  /** WSGUARD_SNAPSHOT; `auto` is `inprocess`. */
  readonly method: 'auto' | 'inprocess' | 'off';
  readonly pauseBudgetMs: number;
  /** Name of the setting in a refusal; WSGUARD_PAUSE_BUDGET_MS when absent. */
  readonly pauseSetting?: string;
  readonly maxFiles: number;
  /** A redaction process follows, while malloc still keeps the memory of the snapshot. */
  readonly redact: boolean;
}

export interface CaptureState {
  readonly isRunning: boolean;
  readonly filesKept: number;
  readonly learned: LearnedCost | null;
}

/** The predicted cost of a snapshot. */
export interface CaptureCost {
  /** Objects, strings and other nodes of the heap graph. */
  readonly nodes: number;
  readonly pauseMs: number;
  /** Memory that the snapshot takes while it is written. */
  readonly rssBytes: number;
  readonly fileBytes: number;
}

/** The measured cost of this process's last snapshot. */
export interface LearnedCost {
  readonly nodes: number;
  /** Used heap outside the large-object space right before it. */
  readonly smallObjectBytes: number;
  readonly pauseMs: number;
  readonly fileBytes: number;
  /** Growth of the RSS. V8 frees the memory, but malloc keeps nearly all of it. */
  readonly rssGrowthBytes: number;
}

/** A snapshot before redaction. `file` is its hidden temporary name, or `finalFile` without redaction. */
export interface UnfinishedSnapshot extends Written {
  readonly finalFile: string;
  readonly learned: LearnedCost;
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
