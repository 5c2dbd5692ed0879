/**
 * Takes heap snapshots of the application thread with the agent's settings. A child process redacts the file later,
 * because redaction on this thread would block the server.
 */
import { HeapSnapshotter } from '../capture/heap-snapshotter.ts';
import type { Config } from '../config/schema.ts';
import { createCaptureLimits, type HeapFlags } from '../sample/limits.ts';
import type { Clock, Failed, Refused, UnfinishedSnapshot } from '../types/index.ts';
import type { HeartbeatCounter } from './heartbeat-counter.ts';

/** Chosen for one process. The watcher's daily quota is lower; only `agent.snapshot()` can reach this one. */
const MAX_FILES = 20;

export type TakeSnapshot = (folder: string, label: string) => UnfinishedSnapshot | Refused | Failed;

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

export function createHeapSnapshotter(deps: Deps): TakeSnapshot {
  const { config, clock, heartbeat, flags, onRawFile, beforeCapture } = deps;
  const redact = config.redact === 'on';
  const snapshotter = new HeapSnapshotter({
    budget: { method: config.snapshot, pauseBudgetMs: config.pauseBudgetMs, maxFiles: MAX_FILES, redact },
    limits: createCaptureLimits(flags),
    clock,
    duringPause(write) {
      beforeCapture();
      return heartbeat.duringCapture(write);
    },
  });
  let filesWritten = 0;
  return (folder, label) => {
    const snapshot = snapshotter.take({ dir: folder, label, filesKept: filesWritten, isRunning: false });
    if (snapshot.outcome !== 'written') return snapshot;
    filesWritten += 1;
    if (redact) onRawFile(snapshot.file);
    return snapshot;
  };
}
