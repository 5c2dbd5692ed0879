/** What wanting a snapshot needs to know: readings, budget, and what earlier snapshots taught. */

import type { Snapshot } from './alert.ts';

export type Written = Extract<Snapshot, { outcome: 'written' }>;
export type Refused = Extract<Snapshot, { outcome: 'refused' }>;
export type Failed = Extract<Snapshot, { outcome: 'failed' }>;

/** What memory there is, now. `null`: not known or no such limit. */
export interface Headroom {
  readonly containerBytes: number | null;
  readonly containerUsedBytes: number | null;
  /** Physical memory that could be had without swapping. */
  readonly availableBytes: number | null;
}

export interface CaptureLimits extends Headroom {
  readonly heapCapacityBytes: number;
}

export interface CaptureReadings extends CaptureLimits {
  /** Live heap as best known; `heapUsed` when there is nothing better (garbage makes it too high, never too low). */
  readonly heapBytes: number;
  /** Part of it in large objects: many bytes, few nodes. */
  readonly largeObjectBytes: number;
  readonly oldSpaceBytes: number;
  readonly rssBytes: number;
  /** RSS that V8's heap and external memory do not explain: what malloc keeps, and may use again. */
  readonly slackBytes: number;
  readonly diskFreeBytes: number | null;
  readonly nodeMajor: number;
}

export interface CaptureBudget {
  readonly method: 'auto' | 'inprocess' | 'off';
  readonly pauseBudgetMs: number;
  /** What a refusal says to raise, where it is not the agent's setting. */
  readonly pauseSetting?: string;
  readonly maxFiles: number;
  readonly cooldownMs: number;
  /** A redaction process follows, while malloc still keeps what the snapshot took. */
  readonly redact: boolean;
}

/** What this process's last snapshot was like: better than any table. */
export interface LearnedCost {
  readonly nodes: number;
  /** Heap outside the large-object space when it was taken. */
  readonly smallObjectBytes: number;
  readonly pauseMs: number;
  readonly fileBytes: number;
  /** How far RSS rose; V8 frees it to malloc, which keeps nearly all of it. */
  readonly rssGrowthBytes: number;
}

/** A snapshot just taken: `file` may still be the raw, hidden one of which redaction makes `finalFile`. */
export interface Taken extends Written {
  readonly finalFile: string;
  readonly learned: LearnedCost;
}

export interface CaptureState {
  readonly running: boolean;
  readonly sinceLastMs: number | null;
  readonly filesKept: number;
  readonly learned: LearnedCost | null;
}

export interface CaptureCost {
  readonly nodes: number;
  readonly pauseMs: number;
  readonly rssBytes: number;
  readonly fileBytes: number;
}

/** One line of the application, and what it allocated that still lives (an estimate from samples). */
export interface ProfileLine {
  readonly file: string;
  readonly line: number;
  readonly function: string | null;
  readonly bytes: number;
  /** Of all sampled bytes, 0 to 1. */
  readonly share: number;
}

export interface AllocationProfile {
  readonly intervalBytes: number;
  readonly totalBytes: number;
  readonly lines: readonly ProfileLine[];
}
