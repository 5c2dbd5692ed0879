/** What outlives the process in WSGUARD_DIR: the black box of this one, and what earlier ones left behind. */
import type { WatcherSetup } from '../channel.ts';
import { openBlackBox, type BlackBox } from '../deliver/black-box.ts';
import { claimDeadBoxes, claimOpenAlerts } from '../deliver/black-box-recovery.ts';
import type { Guard } from '../core/guard.ts';
import type { Alert, Clock, DeadBox, Sample } from '../types/index.ts';

export interface Persistence {
  /** Open when their processes ended, now this one's to continue or to close. */
  readonly alerts: readonly Alert[];
  /** Of processes that ended without a word. */
  readonly dead: readonly DeadBox[];
  sample(sample: Sample): void;
  open(alerts: readonly Alert[]): void;
  close(): void;
}

export function openPersistence(setup: WatcherSetup, clock: Clock, guard: Guard): Persistence {
  const { identity, config, isDirSet, startedWallMs, restarts, openAlerts } = setup;
  const { dir } = config;
  // A watcher that follows another one of this process has nothing to find out about those before it.
  const isFirst = isDirSet && restarts === 0;
  const dead = isFirst
    ? guard.run<DeadBox[]>('black box', () => claimDeadBoxes(dir, identity, clock.wallMs()), [])
    : [];
  const left = isFirst ? guard.run<Alert[]>('black box', () => claimOpenAlerts(dir, identity), []) : [];
  const box = isDirSet
    ? guard.run<BlackBox | null>('black box', () => openBlackBox(dir, identity, startedWallMs), null)
    : null;
  const inherited = [...left, ...dead.flatMap((one) => one.openAlerts)];
  return {
    dead,
    alerts: [...openAlerts, ...inherited.map((alert) => ({ ...alert, ...identity }))],
    sample: (sample) => guard.run('black box', () => box?.writeSample(sample), undefined),
    open: (alerts) => guard.run('black box', () => box?.writeOpenAlerts(alerts), undefined),
    close: () => guard.run('black box', () => box?.close(), undefined),
  };
}
