/** Types of the black box: files in WSGUARD_DIR with the last samples of a process, which the next process reads. */

import type { Alert, Identity } from './alert.ts';
import type { Sample } from './sample.ts';

/** The process that writes a black box. */
export interface BlackBoxOwner {
  readonly identity: Identity;
  readonly startedWallMs: number;
  /** The boot and the start time distinguish this process from a later one with the same pid; null outside Linux. */
  readonly bootId: string | null;
  readonly startTicks: string | null;
}

/** The black box of a process that ended without an `exit` event. It has up to one hour of samples, oldest first. */
export interface CrashRecord {
  readonly owner: BlackBoxOwner;
  readonly samples: readonly Sample[];
  readonly openAlerts: readonly Alert[];
}
