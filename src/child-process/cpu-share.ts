/** A CPU share for a child: a cgroup's quota is spent by every process in it, however nice they are. */

import type { Clock, Stop } from '../types/index.ts';

/** Short turns: the quota is counted per 100 ms, and one used up stops the server for the rest of it. */
const TURN_MS = 40;
const MIN_RUN_MS = 4;

/** How much of one core a child may have: little where the quota is below two cores, else all of it. */
export function cpuShareFor(quotaCores: number | null): number {
  if (quotaCores === null || quotaCores >= 2) return 1;
  return Math.max(0.1, quotaCores / 4);
}

/** Lets `pid` run for `share` of the time. The returned function lets it run on. */
export function throttle(pid: number, share: number, clock: Clock): Stop {
  if (share >= 1) return () => undefined;
  const runMs = Math.max(MIN_RUN_MS, TURN_MS * share);
  const haltMs = runMs / share - runMs;
  let stopTimer: Stop = () => undefined;
  const run = (): void => {
    if (signal(pid, 'SIGCONT')) stopTimer = clock.after(runMs, halt);
  };
  const halt = (): void => {
    if (signal(pid, 'SIGSTOP')) stopTimer = clock.after(haltMs, run);
  };
  run();
  return () => {
    stopTimer();
    signal(pid, 'SIGCONT');
  };
}

function signal(pid: number, name: 'SIGSTOP' | 'SIGCONT'): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
