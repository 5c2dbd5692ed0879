/** Types of `agent.status()`, and the clock and log that all parts use. */

import type { Alert } from './alert.ts';
import type { Blind, ByTransport, ConnectionIds } from './sample.ts';
import type { Answer, Evidence, TimeToLimit } from './verdict.ts';

export type Stop = () => void;
/** Undoes the call that returned it. Further calls do nothing. */
export type Dispose = () => void;

/** Sizes in bytes. */
export interface MemoryStats {
  readonly heapUsed: number;
  readonly heapTotal: number;
  readonly heapLimit: number;
  readonly rss: number;
  readonly external: number;
  readonly arrayBuffers: number;
  readonly mallocedMemory: number;
  readonly peakMallocedMemory: number;
  /** Old space in percent of its capacity, at which the process dies: 0 to 100. */
  readonly usagePercent: number;
  /** Entries by registry. */
  readonly registries: Readonly<Record<string, number>>;
}

/** The latest answer of one detector. */
export interface StatusVerdict {
  readonly detector: string;
  readonly answer: Answer;
  readonly evidence: readonly Evidence[];
  readonly because?: string;
  /** The data that the detector lacks for a decision. */
  readonly missing?: string;
}

export interface Status {
  /** `none`: no watcher thread. `silent`: it did not reply within 2 s. */
  readonly watcher: 'running' | 'none' | 'silent';
  readonly service: string;
  readonly instance: string;
  readonly uptimeMs: number;
  readonly connections: {
    readonly active: number;
    /** Probed without a reply. */
    readonly unanswering: number;
    /** Cannot be probed: SSE, long polling, unknown upgrades, pings switched off. */
    readonly unaskable: number;
    /** Closed, and still in memory after two major GCs; null before two were seen. */
    readonly retained: number | null;
    readonly byTransport: ByTransport;
    readonly ids?: ConnectionIds;
  };
  readonly memory: MemoryStats;
  readonly timeToLimit: TimeToLimit | null;
  readonly verdicts: readonly StatusVerdict[];
  readonly alerts: readonly Alert[];
  /** Everything that the agent cannot see in this process. */
  readonly blind: readonly Blind[];
}

export interface Clock {
  /** Monotonic milliseconds; only differences have a meaning. */
  nowMs(): number;
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** Repeats `task` with an unref'd timer. */
  every(periodMs: number, task: () => void): Stop;
  /** Runs `task` once with an unref'd timer. */
  after(delayMs: number, task: () => void): Stop;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;
/** Messages are constant; variable values go into fields, whose names end with their unit. */
export type Log = Readonly<Record<LogLevel, (fields: LogFields, message: string) => void>>;
