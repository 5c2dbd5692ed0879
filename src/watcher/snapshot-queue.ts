/**
 * Takes and analyses snapshots for the watcher, one after the other. The application's thread writes them; child
 * processes redact and analyse them.
 */
import { join } from 'node:path';
import { finishSnapshot, runAnalysis } from '../snapshot-jobs.ts';
import { clearStaleLock } from '../child-process/lock.ts';
import { availableBytes, CgroupMemory } from '../core/cgroup.ts';
import type { FromWatcher, Link, WatcherSetup } from '../channel.ts';
import type { Analysis, Clock, Headroom, Snapshot } from '../types/index.ts';

/** Longer than a snapshot takes of the largest heap that the gate allows. */
const SNAPSHOT_DEADLINE_MS = 10 * 60_000;

interface Deps {
  readonly setup: WatcherSetup;
  readonly clock: Clock;
  readonly link: Link<FromWatcher>;
  readonly onEnded: (snapshot: Snapshot, alertId: string | null) => void;
}

export interface SnapshotQueue {
  /** `alertId` is null for the baseline and for snapshots that the application requests. */
  readonly take: (alertId: string | null, label: string) => Promise<Snapshot>;
  /** Resolves with the analysis, or with the reason why there is none. */
  readonly analyse: (files: readonly string[]) => Promise<Analysis | string>;
}

export function createSnapshotQueue({ setup, clock, link, onEnded }: Deps): SnapshotQueue {
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
  clearStaleLock(dir, clock.wallMs());

  async function take(alertId: string | null, label: string): Promise<Snapshot> {
    const folder = join(dir, alertId ?? 'snapshots');
    const taken = await link.request('snapshot', { folder, label }, SNAPSHOT_DEADLINE_MS);
    if (taken === null) return NO_REPLY;
    if (taken.outcome !== 'written') return taken;
    return finishSnapshot({ taken, redact: config.redact === 'on', dir, limits, clock });
  }

  return {
    take(alertId, label) {
      const done = turn.then(async () => {
        const snapshot = await take(alertId, label);
        onEnded(snapshot, alertId);
        return snapshot;
      });
      turn = done.catch(() => undefined);
      return done;
    },
    async analyse(files) {
      const analysis = await runAnalysis({ files, dir, limits, clock });
      if ('schema' in analysis) return analysis;
      return 'command' in analysis ? `${analysis.reason}; elsewhere: ${analysis.command}` : analysis.reason;
    },
  };
}

const NO_REPLY: Snapshot = {
  outcome: 'failed',
  code: 'WSGUARD_CAPTURE_FAILED',
  reason: 'the thread of the application did not reply to the request for a snapshot',
};
