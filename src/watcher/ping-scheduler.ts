/** When the application's connections are asked more than usual: under suspicion a few, before an alert all of them. */
import type { Link, FromWatcher } from '../channel.ts';
import type { DetectionResult } from '../detection.ts';
import type { Clock } from '../types/index.ts';

/** As long as a finding has to hold before it opens an alert. */
const ASK_ALL_EVERY_MS = 60_000;
const DEADLINE_MS = 60_000;

export interface PingScheduler {
  consider(step: DetectionResult): void;
}

export function createPingScheduler(link: Link<FromWatcher>, clock: Clock, timeScale: number): PingScheduler {
  let isSuspected = false;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  return {
    consider({ suspicion, confirming }) {
      if (suspicion !== isSuspected) link.send('suspicion', (isSuspected = suspicion));
      const isDue = clock.nowMs() - askedAtMs >= ASK_ALL_EVERY_MS / timeScale;
      if (!confirming || !isDue) return;
      askedAtMs = clock.nowMs();
      void link.request('pingAll', null, DEADLINE_MS);
    },
  };
}
