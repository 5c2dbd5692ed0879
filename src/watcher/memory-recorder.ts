/**
 * Notes the memory of the process four times a second in the black box: a process can fill its memory and be killed
 * between two samples. Runs in the watcher thread, which goes on while the application thread is blocked.
 */
import { CgroupMemory } from '../core/cgroup.ts';
import { processMemory } from '../core/process-memory.ts';
import type { Guard } from '../core/guard.ts';
import type { Clock, MemoryPoint, Stop } from '../types/index.ts';

const PERIOD_MS = 250;

export interface MemoryRecorderDeps {
  readonly clock: Clock;
  readonly guard: Guard;
  /** The heap of the application thread at its last heartbeat; zeros before the first one. */
  readonly readHeap: () => Pick<MemoryPoint, 'heapUsedBytes' | 'externalBytes'>;
  readonly write: (point: MemoryPoint) => void;
  readonly cgroup?: Pick<CgroupMemory, 'usedBytes' | 'oomKills' | 'pressureShare'>;
}

export function startMemoryRecorder(deps: MemoryRecorderDeps): Stop {
  const { clock, guard, readHeap, write, cgroup = new CgroupMemory() } = deps;
  const note = (): void => {
    const heap = readHeap();
    // Before the first heartbeat. A later point would look like growth from nothing.
    if (heap.heapUsedBytes === 0) return;
    const { rss: rssBytes } = processMemory();
    // Without /proc.
    if (Number.isNaN(rssBytes)) return;
    write({
      wallMs: clock.wallMs(),
      rssBytes,
      ...heap,
      containerUsedBytes: cgroup.usedBytes(),
      containerOomKills: cgroup.oomKills(),
      pressureShare: cgroup.pressureShare(),
    });
  };
  return clock.every(PERIOD_MS, guard.wrap('black box', note));
}
