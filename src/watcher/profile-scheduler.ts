/**
 * The rung below a snapshot: while a leak is suspected, a coarse allocation profile runs on the application's thread.
 * It tells which line makes what stays; no file is written and nothing stops.
 */
import type { Link, FromWatcher } from '../channel.ts';
import type { AllocationProfile, Clock } from '../types/index.ts';

/** A suspicion that comes and goes does not start and stop it each time. */
const LINGER_MS = 15 * 60_000;
const DEADLINE_MS = 30_000;

export interface Profiler {
  consider(isSuspected: boolean): void;
  /** Ends it and gives what it saw; null where none ran. The next suspicion starts another. */
  take(): Promise<AllocationProfile | null>;
}

export function createProfiler(link: Link<FromWatcher>, clock: Clock, timeScale: number): Profiler {
  let suspectedAtMs: number | null = null;

  async function take(): Promise<AllocationProfile | null> {
    if (suspectedAtMs === null) return null;
    suspectedAtMs = null;
    return link.request('profile', 'stop', DEADLINE_MS);
  }

  return {
    take,
    consider(isSuspected) {
      const nowMs = clock.nowMs();
      if (isSuspected) {
        if (suspectedAtMs === null) void link.request('profile', 'start', DEADLINE_MS);
        suspectedAtMs = nowMs;
      } else if (suspectedAtMs !== null && nowMs - suspectedAtMs > LINGER_MS / timeScale) {
        void take();
      }
    },
  };
}
