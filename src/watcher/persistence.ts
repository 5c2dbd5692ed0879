/** State in WSGUARD_DIR that survives the process: its own black box, and the alerts and samples of earlier processes. */
import { openBlackBox, type BlackBox } from '../deliver/black-box.ts';
import { claimCrashRecords, claimOpenAlerts, endedFolders } from '../deliver/black-box-recovery.ts';
import { writeFailure } from '../deliver/file-sink.ts';
import type { Alert, CrashRecord, MemoryPoint, Sample } from '../types/index.ts';
import type { WatcherContext } from './context.ts';

export interface Persistence {
  /** Alerts that were open when an earlier process or watcher ended. This watcher updates and closes them. */
  readonly restoredAlerts: readonly Alert[];
  /** Samples of processes that ended without an `exit` event. */
  readonly crashRecords: readonly CrashRecord[];
  /** Why the directory cannot be written, as far as an attempt has shown; null before one failed. */
  readonly unwritableReason: string | null;
  /** Folders of ended processes whose pending deliveries this process may take over. */
  readonly endedFolders: readonly string[];
  writeSample(sample: Sample): void;
  /** Null without a black box: then nothing needs to be read. */
  readonly writeMemoryPoint: ((point: MemoryPoint) => void) | null;
  writeOpenAlerts(alerts: readonly Alert[]): void;
  close(): void;
}

/** Without an explicitly set directory nothing is read or written. */
export function openPersistence({ setup, clock, guard, log }: WatcherContext): Persistence {
  const { identity, config, isDirSet, startedWallMs, restarts, openAlerts } = setup;
  const { dir, timeScale } = config;
  const recorded = (sample: Sample): Sample => (timeScale === 1 ? sample : { ...sample, timeScale });
  const guarded = <T>(task: () => T, fallback: T): T => guard.run('black box', task, fallback);
  // The first watcher of this process has claimed the state of earlier processes.
  let unwritableReason: string | null = null;
  const isFirst = isDirSet && restarts === 0;
  const crashRecords = isFirst ? guarded(() => claimCrashRecords(dir, identity, clock.wallMs()), []) : [];
  const claimedAlerts = isFirst ? guarded(() => claimOpenAlerts(dir, identity), []) : [];
  const ended = isFirst ? guarded(() => endedFolders(dir, identity, clock.wallMs()), []) : [];
  const box = isDirSet ? guarded(openBox, null) : null;
  const earlierAlerts = [...claimedAlerts, ...crashRecords.flatMap((record) => record.openAlerts)];

  /** A directory that cannot be written is a wrong setting, not a fault of the agent. */
  function openBox(): BlackBox | null {
    try {
      return openBlackBox(dir, identity, startedWallMs);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      const failure = writeFailure(error, dir);
      unwritableReason = `it failed with ${failure.code} (${failure.reason})`;
      log.warn(failure, 'the black box cannot be written; set WSGUARD_DIR to a writable directory');
      return null;
    }
  }

  let isFailing = false;
  /** A full disk is no fault of the agent: it logs the first failure, and writes the next sample when there is room. */
  function write(task: () => void): void {
    guarded(() => {
      try {
        task();
        if (isFailing) log.info({}, 'the black box is written again');
        isFailing = false;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === undefined) throw error;
        if (!isFailing) log.warn(writeFailure(error, dir), 'the black box cannot be written for now');
        isFailing = true;
      }
    }, undefined);
  }

  return {
    crashRecords,
    endedFolders: ended,
    unwritableReason,
    restoredAlerts: [...openAlerts, ...earlierAlerts.map((alert) => ({ ...alert, ...identity }))],
    writeMemoryPoint: box === null ? null : (point) => guarded(() => writePoint(box, point), undefined),
    writeSample: (sample) => write(() => box?.writeSample(recorded(sample))),
    writeOpenAlerts: (alerts) => write(() => box?.writeOpenAlerts(alerts)),
    close: () => guarded(() => box?.close(), undefined),
  };
}

/** A full disk shows when the next sample is written; four log lines a second would add nothing. */
function writePoint(box: BlackBox, point: MemoryPoint): void {
  try {
    box.writeMemoryPoint(point);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
}
