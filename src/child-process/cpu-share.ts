/** Keeps a child process to its share of the CPU. */

import type { Clock, Stop } from '../types/index.ts';

/** The kernel counts the quota per 100 ms and halts the whole cgroup when it is used up, so turns are shorter. */
const TURN_MS = 40;
const MIN_RUN_MS = 4;

/** Lets `pid` run for `share` of the time by SIGSTOP and SIGCONT. The returned function ends that, and the process runs without pauses. */
export function throttle(pid: number, share: number, clock: Clock): Stop {
  if (share >= 1) return () => undefined;
  const runMs = Math.max(MIN_RUN_MS, TURN_MS * share);
  const haltMs = runMs / share - runMs;
  let stopTimer: Stop = () => undefined;
  const run = (): void => {
    if (send(pid, 'SIGCONT')) stopTimer = clock.after(runMs, halt);
  };
  const halt = (): void => {
    if (send(pid, 'SIGSTOP')) stopTimer = clock.after(haltMs, run);
  };
  run();
  return () => {
    stopTimer();
    send(pid, 'SIGCONT');
  };
}

/** False when the process has ended. */
function send(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
