/** Snapshots and their analysis: ordered here, done on the application's thread and in child processes. */
import { join } from 'node:path';
import { finishSnapshot, runAnalysis } from '../analysis-process.ts';
import { availableBytes } from '../capture/machine.ts';
import type { Link, Setup, WatcherSide } from '../channel.ts';
import type { Analysis, Clock, Headroom, LimitsReading, Snapshot } from '../types.ts';

/** Longer than a snapshot of the largest heap that the gate lets pass. */
const DEADLINE_MS = 10 * 60_000;

interface Deps {
  readonly setup: Setup;
  readonly clock: Clock;
  readonly link: Link<WatcherSide>;
  /** Of the last sample. */
  readonly limits: () => LimitsReading | undefined;
  readonly taken: (snapshot: Snapshot, alertId: string | null) => void;
}

export interface Evidence {
  /** `null`: wanted by the application, without an alert. */
  readonly take: (alertId: string | null, label: string) => Promise<Snapshot>;
  /** An analysis, or why there is none. */
  readonly analyse: (files: readonly string[]) => Promise<Analysis | string>;
}

export function createEvidence({ setup, clock, link, limits: known, taken: onTaken }: Deps): Evidence {
  const { config } = setup;
  const limits = (): Headroom => ({
    containerBytes: null,
    containerUsedBytes: null,
    ...known(),
    availableBytes: availableBytes(),
  });
  const dir = config.dir;
  let turn: Promise<unknown> = Promise.resolve();

  async function take(alertId: string | null, label: string): Promise<Snapshot> {
    const folder = join(dir, alertId ?? 'snapshots');
    const taken = await link.ask('snapshot', { folder, label }, DEADLINE_MS);
    if (taken === null) return silent();
    if (taken.outcome !== 'written') return taken;
    return finishSnapshot({ taken, redact: config.redact === 'on', dir: folder, limits, clock });
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
      return 'schema' in analysis ? analysis : analysis.reason;
    },
  };
}

const silent = (): Snapshot => ({
  outcome: 'failed',
  code: 'WSGUARD_CAPTURE_FAILED',
  reason: 'the thread of the application did not answer the order',
});
