/**
 * The application thread's part of a heap snapshot with the agent's settings. The watcher decides, and child processes
 * redact: work for which this thread would stop longer.
 */
import { HeapSnapshotter, type WriteRequest } from '../capture/heap-snapshotter.ts';
import type { Config } from '../config/schema.ts';
import { createCaptureLimits, type HeapFlags } from '../sample/limits.ts';
import type {
  CaptureReadings,
  Clock,
  Failed,
  ForkedChild,
  ForkRequest,
  Refused,
  UnfinishedSnapshot,
} from '../types/index.ts';
import type { HeartbeatCounter } from './heartbeat-counter.ts';

export interface AppSnapshotter {
  readings(folder: string): CaptureReadings;
  write(request: WriteRequest): UnfinishedSnapshot | Failed;
  fork(request: ForkRequest): Promise<ForkedChild | Refused | Failed>;
}

interface Deps {
  readonly config: Config;
  readonly clock: Clock;
  readonly heartbeat: HeartbeatCounter;
  readonly flags: HeapFlags;
  /** Called with each unredacted file: it must not outlive the process. */
  readonly onRawFile: (file: string) => void;
  /** A snapshot in the process changes the next sample's memory and pauses. */
  readonly beforeCapture: () => void;
}

export function createHeapSnapshotter(deps: Deps): AppSnapshotter {
  const { config, clock, heartbeat, flags, onRawFile, beforeCapture } = deps;
  const snapshotter = new HeapSnapshotter({
    limits: createCaptureLimits(flags),
    clock,
    duringPause(write) {
      beforeCapture();
      return heartbeat.duringCapture(write);
    },
    duringFork: (fork) => heartbeat.duringCapture(fork),
  });
  return {
    readings: (folder) => snapshotter.readings(folder, config.dir),
    write(request) {
      const snapshot = snapshotter.write(request);
      if (snapshot.outcome === 'written' && request.redact) onRawFile(snapshot.file);
      return snapshot;
    },
    fork: (request) => snapshotter.fork(request),
  };
}
