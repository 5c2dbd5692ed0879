/** The black box: what a process wrote of itself, and what the next one makes of it. */

import type { Alert, Identity } from './alert.ts';
import type { Sample } from './sample.ts';

export interface BoxOwner {
  readonly identity: Identity;
  readonly startedWallMs: number;
  /** Tells this process from a later one with the same pid; null where the system does not say. */
  readonly bootId: string | null;
  readonly startTicks: string | null;
}

/** Left by a process that did not say goodbye; samples oldest first, at most about an hour of them. */
export interface DeadBox {
  readonly owner: BoxOwner;
  readonly samples: readonly Sample[];
  readonly openAlerts: readonly Alert[];
}
