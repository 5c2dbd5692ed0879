/** Snapshots and their analysis: ordered here, done on the application's thread and in child processes. */
import { join } from 'node:path';
import { finishSnapshot, runAnalysis } from '../snapshot-jobs.ts';
import { clearStaleLock } from '../child-process/lock.ts';
import { availableBytes } from '../capture/machine.ts';
import type { Link, WatcherSetup, FromWatcher } from '../channel.ts';
import { createLimitsReader } from '../sample/limits.ts';
import type { Analysis, Clock, Headroom, Snapshot } from '../types/index.ts';

/** Longer than a snapshot of the largest heap that the gate lets pass. */
const DEADLINE_MS = 10 * 60_000;

interface Deps {
  readonly setup: WatcherSetup;
  readonly clock: Clock;
  readonly link: Link<FromWatcher>;
  readonly taken: (snapshot: Snapshot, alertId: string | null) => void;
}

export interface SnapshotQueue {
  /** `null`: wanted by the application, without an alert. */
  readonly take: (alertId: string | null, label: string) => Promise<Snapshot>;
  /** An analysis, or why there is none. */
  readonly analyse: (files: readonly string[]) => Promise<Analysis | string>;
}

export function createSnapshotQueue({ setup, clock, link, taken: onTaken }: Deps): SnapshotQueue {
  const { config } = setup;
  // Read anew each time: a child process is watched by it ten times a second, a sample is seconds old.
  const container = createLimitsReader({ execArgv: [], nodeOptions: '', v8: process.versions.v8 });
  const limits = (): Headroom => {
    const { containerBytes, containerUsedBytes } = container.read(0);
    return { containerBytes, containerUsedBytes, availableBytes: availableBytes() };
  };
  const dir = config.dir;
  let turn: Promise<unknown> = Promise.resolve();
  clearStaleLock(dir, clock.wallMs());

  async function take(alertId: string | null, label: string): Promise<Snapshot> {
    const folder = join(dir, alertId ?? 'snapshots');
    const taken = await link.request('snapshot', { folder, label }, DEADLINE_MS);
    if (taken === null) return silent();
    if (taken.outcome !== 'written') return taken;
    return finishSnapshot({ taken, redact: config.redact === 'on', dir, limits, clock });
  }

  return {
    take(alertId, label) {
      const done = turn.then(async () => {
        const snapshot = await take(alertId, label);
        onTaken(snapshot, alertId);
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

const silent = (): Snapshot => ({
  outcome: 'failed',
  code: 'WSGUARD_CAPTURE_FAILED',
  reason: 'the thread of the application did not answer the order',
});
