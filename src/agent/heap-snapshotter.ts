/** A snapshot of this thread's heap, through the gate. Redaction is not done here: it would stop the server. */
import { getHeapStatistics } from 'node:v8';
import { decideCapture } from '../capture/gate.ts';
import { availableBytes } from '../core/cgroup.ts';
import { readCaptureInputs, writeInProcess } from '../capture/write.ts';
import type { Config } from '../config/schema.ts';
import type { HeapFlags } from '../sample/limits.ts';
import { createLimitsReader } from '../sample/limits.ts';
import type { CaptureBudget, Clock, Failed, LearnedCost, Refused, Taken } from '../types/index.ts';
import type { HeartbeatCounter } from './heartbeat-counter.ts';

/** Of this process; the watcher's quota of rounds is the narrower one. */
const MAX_FILES = 20;

export interface HeapSnapshotter {
  take(folder: string, label: string): Taken | Refused | Failed;
}

interface Deps {
  readonly config: Config;
  readonly clock: Clock;
  readonly beat: HeartbeatCounter;
  readonly flags: HeapFlags;
  /** A file that is not redacted yet, and must not be left behind. */
  readonly onRaw: (file: string) => void;
  /** Right before: what is read next is our own doing. */
  readonly onStop: () => void;
}

export function createHeapSnapshotter({ config, clock, beat, flags, onRaw, onStop }: Deps): HeapSnapshotter {
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
      onStop();
      const as = budget.redact ? 'raw' : 'final';
      const taken = beat.excuse(() => writeInProcess({ dir: folder, label, as }, clock));
      if (taken.outcome === 'written') {
        filesKept += 1;
        learned = taken.learned;
        if (as === 'raw') onRaw(taken.file);
      }
      return taken;
    },
  };
}
