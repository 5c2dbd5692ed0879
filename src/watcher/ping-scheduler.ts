/**
 * Asks the application thread for more pings than its regular schedule: of a sample of the connections while something
 * grows, and of all connections before an alert opens.
 */
import type { FromWatcher, Link } from '../channel.ts';
import type { DetectionResult } from '../detection.ts';
import type { Clock } from '../types/index.ts';

/** A finding must hold for one minute before it opens an alert. */
const PING_ALL_PERIOD_MS = 60_000;
const DEADLINE_MS = 60_000;
/** Half a window of counts: a suspicion that comes and goes must not interrupt a count of unresponsive connections. */
const SUSPICION_LINGER_MS = 15 * 60_000;

export interface PingScheduler {
  /** Call it with the result of each sample. */
  update(result: DetectionResult): void;
}

export function createPingScheduler(link: Link<FromWatcher>, clock: Clock, timeScale: number): PingScheduler {
  let isSuspected = false;
  let suspectedAtMs = Number.NEGATIVE_INFINITY;
  let lastPingAllMs = Number.NEGATIVE_INFINITY;
  return {
    update({ suspicion, confirming }) {
      if (suspicion) suspectedAtMs = clock.nowMs();
      const lingers = clock.nowMs() - suspectedAtMs < SUSPICION_LINGER_MS / timeScale;
      if (lingers !== isSuspected) {
        isSuspected = lingers;
        link.send('suspicion', lingers);
      }
      const isDue = clock.nowMs() - lastPingAllMs >= PING_ALL_PERIOD_MS / timeScale;
      if (!confirming || !isDue) return;
      lastPingAllMs = clock.nowMs();
      void link.request('pingAll', null, DEADLINE_MS);
    },
  };
}
