/** `status()` and what composers hand around. */

import type { Alert } from './alert.ts';
import type { Blind, ByTransport, ConnectionIds } from './sample.ts';
import type { Answer, Evidence, TimeToLimit } from './verdict.ts';

export type Stop = () => void;
export type Dispose = () => void;

export interface MemoryStats {
  readonly heapUsed: number;
  readonly heapTotal: number;
  readonly heapLimit: number;
  readonly rss: number;
  readonly external: number;
  readonly arrayBuffers: number;
  readonly mallocedMemory: number;
  readonly peakMallocedMemory: number;
  /** Old space as a share of the capacity that kills, 0 to 100. */
  readonly usagePercent: number;
  readonly registries: Readonly<Record<string, number>>;
}

export interface StatusVerdict {
  readonly detector: string;
  readonly answer: Answer;
  readonly evidence: readonly Evidence[];
  readonly because?: string;
  readonly missing?: string;
}

export interface Status {
  readonly watcher: 'running' | 'none' | 'silent';
  readonly service: string;
  readonly instance: string;
  readonly uptimeMs: number;
  readonly connections: {
    readonly active: number;
    readonly unanswering: number;
    readonly unaskable: number;
    readonly retained: number | null;
    readonly byTransport: ByTransport;
    readonly ids?: ConnectionIds;
  };
  readonly memory: MemoryStats;
  readonly timeToLimit: TimeToLimit | null;
  readonly verdicts: readonly StatusVerdict[];
  readonly alerts: readonly Alert[];
  readonly blind: readonly Blind[];
}

export interface Clock {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Epoch milliseconds. */
  wallMs(): number;
  /** Unref'd. */
  every(periodMs: number, task: () => void): Stop;
  /** Unref'd. */
  after(delayMs: number, task: () => void): Stop;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;
/** Messages are fixed sentences; values are fields with units. */
export type Log = Readonly<Record<LogLevel, (fields: LogFields, message: string) => void>>;
