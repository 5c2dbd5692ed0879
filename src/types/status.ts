/** Types of `agent.status()`. docs/api.md describes them. */

import type { Alert } from './alert.ts';
import type { Blind, ByTransport, ConnectionIds } from './sample.ts';
import type { Answer, Evidence, TimeToLimit } from './verdict.ts';

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
