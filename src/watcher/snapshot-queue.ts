/**
 * Takes and analyses snapshots for the watcher, one after the other. The application thread writes them; child
 * processes redact and analyse them.
 */
import { join } from 'node:path';
import { finishSnapshot, runAnalysis } from '../snapshot-jobs.ts';
import { clearStaleLock } from '../child-process/lock.ts';
import { availableBytes, CgroupMemory } from '../core/cgroup.ts';
import type { FromWatcher, Link } from '../channel.ts';
import type { Analysis, Headroom, Sample, Snapshot } from '../types/index.ts';
import type { WatcherContext } from './context.ts';

/** Longer than a snapshot takes of the largest heap that the gate allows. */
const SNAPSHOT_DEADLINE_MS = 10 * 60_000;
/** Growth before this is warm-up: caches fill and V8 compiles code. */
const WARM_UP_MS = 10 * 60_000;

export interface SnapshotQueue {
  /** `alertId` is null for the baseline and for snapshots that the application requests. */
  readonly take: (alertId: string | null, label: string) => Promise<Snapshot>;
  /** Resolves with the analysis, or with the reason why there is none. */
  readonly analyse: (files: readonly string[]) => Promise<Analysis | string>;
  /** Takes one snapshot after warm-up, when WSGUARD_SNAPSHOT_BASELINE is on. Call it with each sample. */
  readonly takeDueBaseline: (sample: Sample) => void;
}

export function createSnapshotQueue(
  { setup, clock, guard }: WatcherContext,
  link: Link<FromWatcher>,
  onEnded: (snapshot: Snapshot, alertId: string | null) => void,
): SnapshotQueue {
  const { config } = setup;
  const cgroup = new CgroupMemory();
  // Read anew each time, because a child process is checked against it ten times a second.
  const limits = (): Headroom => ({
    containerBytes: cgroup.limitBytes(),
    containerUsedBytes: cgroup.usedBytes(),
    availableBytes: availableBytes(),
  });
  const dir = config.dir;
  let turn: Promise<unknown> = Promise.resolve();
  // The first watcher of this process has taken it.
  let isBaselineTaken = setup.restarts > 0;
  if (setup.noFilesReason === null) clearStaleLock(dir, clock.wallMs());

  async function take(alertId: string | null, label: string): Promise<Snapshot> {
    if (setup.noFilesReason !== null) return { outcome: 'refused', reason: setup.noFilesReason };
    const folder = join(dir, alertId ?? 'snapshots');
    const taken = await link.request('snapshot', { folder, label }, SNAPSHOT_DEADLINE_MS);
    if (taken === null) return NO_REPLY;
    if (taken.outcome !== 'written') return taken;
    return finishSnapshot({ taken, redact: config.redact === 'on', dir, limits, clock });
  }

  function enqueue(alertId: string | null, label: string): Promise<Snapshot> {
    const done = turn.then(async () => {
      const snapshot = await take(alertId, label);
      onEnded(snapshot, alertId);
      return snapshot;
    });
    turn = done.catch(() => undefined);
    return done;
  }

  return {
    take: enqueue,
    takeDueBaseline({ uptimeMs }) {
      const isDue = config.snapshotBaseline !== 'off' && uptimeMs * config.timeScale >= WARM_UP_MS;
      if (isBaselineTaken || !isDue) return;
      isBaselineTaken = true;
      void guard.runAsync('baseline', () => enqueue(null, 'baseline'), null);
    },
    async analyse(files) {
      const analysis = await runAnalysis({ files, dir, limits, clock });
      if ('schema' in analysis) return analysis;
      return 'command' in analysis
        ? `${analysis.reason}; on another machine: ${analysis.command}`
        : analysis.reason;
    },
  };
}

const NO_REPLY: Snapshot = {
  outcome: 'failed',
  code: 'WSGUARD_CAPTURE_FAILED',
  reason: 'the application thread did not reply to the request for a snapshot',
};
