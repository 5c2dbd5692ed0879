/** Facts about processes that the kernel or Node's permission model decides. */
import { readFileSync } from 'node:fs';

/**
 * True when Node's permission model allows `scope`, or is off. Call it on the application thread: Node does not pass
 * the model's flags to a Worker, so `process.permission` says nothing there.
 */
export function isAllowed(scope: 'worker' | 'inspector' | 'fs.write' | 'child', reference?: string): boolean {
  const { permission } = process as {
    permission?: { has(scope: string, reference?: string): boolean };
  };
  return permission === undefined || permission.has(scope, reference);
}

/** CPU time of the calling thread in seconds; null where neither Node nor the kernel tells it. */
export function threadCpuSeconds(): number | null {
  const { threadCpuUsage } = process as { threadCpuUsage?: () => NodeJS.CpuUsage };
  try {
    if (threadCpuUsage === undefined) {
      // The first number is the time on a CPU in nanoseconds.
      return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]) / 1e9;
    }
    const { user, system } = threadCpuUsage.call(process);
    return (user + system) / 1e6;
  } catch {
    return null;
  }
}

/** A process that has ended keeps its pid until its parent asks for its exit code, but it is not alive. */
export const isProcessAlive = (pid: number): boolean => isPidTaken(pid) && !hasEnded(pid);

/** Signal 0 only checks. EPERM means that the process exists and belongs to another user. */
export function isPidTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** False without /proc. */
function hasEnded(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}
