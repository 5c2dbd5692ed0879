/** Types that `MemoryMonitor` returns. */

import type { MemoryStats } from './status.ts';
import type { Evidence, LeakKind } from './verdict.ts';

/** The result of `checkForLeak()`. */
export interface LeakCheck {
  readonly detected: boolean;
  readonly growthBytesPerHour: number;
  /** `growthBytesPerHour` as text. */
  readonly hourlyGrowth: string;
  readonly timeToLimitMs: number | null;
  /** `timeToLimitMs` in minutes. */
  readonly estimatedTimeToOOM: number | null;
  /** Most specific kind first. */
  readonly findings: readonly { kind: LeakKind; title: string; evidence: readonly Evidence[] }[];
}

/** The result of `getReport()`. */
export interface MemoryReport {
  readonly current: MemoryStats;
  /** In bytes. */
  readonly limit: number;
  readonly usagePercent: number;
  readonly leakDetection: LeakCheck | null;
  readonly samplesCollected: number;
  readonly registries: Readonly<Record<string, number>>;
}

/** The value of the event `alert`. */
export interface MemoryAlert {
  readonly usagePercent: number;
  readonly thresholdPercent: number;
  readonly current: MemoryStats;
}
