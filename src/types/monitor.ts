/** What `MemoryMonitor` answers. */

import type { MemoryStats } from './status.ts';
import type { Evidence, LeakKind } from './verdict.ts';

export interface LeakCheck {
  readonly detected: boolean;
  readonly growthBytesPerHour: number;
  /** `12 MB/h` */
  readonly hourlyGrowth: string;
  readonly timeToLimitMs: number | null;
  /** Minutes. */
  readonly estimatedTimeToOOM: number | null;
  /** What grows, most specific first. */
  readonly findings: readonly { kind: LeakKind; title: string; evidence: readonly Evidence[] }[];
}

export interface MemoryReport {
  readonly current: MemoryStats;
  /** Bytes. */
  readonly limit: number;
  readonly usagePercent: number;
  readonly leakDetection: LeakCheck | null;
  readonly samplesCollected: number;
  readonly registries: Readonly<Record<string, number>>;
}

export interface MemoryAlert {
  readonly usagePercent: number;
  readonly thresholdPercent: number;
  readonly current: MemoryStats;
}
