/**
 * Takes heap snapshots of the application thread, when the capture gate permits. A child process redacts the file later,
 * because redaction on this thread would block the server.
 */
import { getHeapStatistics } from 'node:v8';
import { decideCapture } from '../capture/gate.ts';
import { availableBytes } from '../core/cgroup.ts';
import { readCaptureInputs, writeInProcess } from '../capture/write.ts';
import type { Config } from '../config/schema.ts';
import type { HeapFlags } from '../sample/limits.ts';
import { createLimitsReader } from '../sample/limits.ts';
import type { CaptureBudget, Clock, Failed, LearnedCost, Refused, Taken } from '../types/index.ts';
import type { HeartbeatCounter } from './heartbeat-counter.ts';

/** A bound for one process. The watcher's daily quota is lower; only `agent.snapshot()` can reach this one. */
const MAX_FILES = 20;

export interface HeapSnapshotter {
  take(folder: string, label: string): Taken | Refused | Failed;
}

interface Deps {
  readonly config: Config;
  readonly clock: Clock;
  readonly heartbeat: HeartbeatCounter;
  readonly flags: HeapFlags;
  /** Called with each unredacted file: it must not outlive the process. */
  readonly onRawFile: (file: string) => void;
  /** The capture changes the next sample's memory and pauses. */
  readonly beforeCapture: () => void;
}

export function createHeapSnapshotter({
  config,
  clock,
  heartbeat,
  flags,
  onRawFile,
  beforeCapture,
}: Deps): HeapSnapshotter {
  const limits = createLimitsReader(flags);
  const budget: CaptureBudget = {
    method: config.snapshot,
    pauseBudgetMs: config.pauseBudgetMs,
    maxFiles: MAX_FILES,
    cooldownMs: 0,
    redact: config.redact === 'on',
  };
  let filesKept = 0;
  let learned: LearnedCost | null = null;

  return {
    take(folder, label) {
      const { heap_size_limit: heapLimitBytes } = getHeapStatistics();
      const readings = readCaptureInputs(folder, {
        ...limits.read(heapLimitBytes),
        availableBytes: availableBytes(),
      });
      const permit = decideCapture(readings, budget, {
        running: false,
        sinceLastMs: null,
        filesKept,
        learned,
      });
      if ('outcome' in permit) return permit;
      beforeCapture();
      const as = budget.redact ? 'raw' : 'final';
      const taken = heartbeat.duringCapture(() => writeInProcess({ dir: folder, label, as }, clock));
      if (taken.outcome === 'written') {
        filesKept += 1;
        learned = taken.learned;
        if (as === 'raw') onRawFile(taken.file);
      }
      return taken;
    },
  };
}
