/** When the application's connections are asked more than usual: under suspicion a few, before an alert all of them. */
import type { Link, WatcherSide } from '../channel.ts';
import type { Step } from '../detection.ts';
import type { Clock } from '../types/index.ts';

/** As long as a finding has to hold before it opens an alert. */
const ASK_ALL_EVERY_MS = 60_000;
const DEADLINE_MS = 60_000;

export interface Questioner {
  consider(step: Step): void;
}

export function createQuestioner(link: Link<WatcherSide>, clock: Clock, timeScale: number): Questioner {
  let isSuspected = false;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  return {
    consider({ suspicion, confirming }) {
      if (suspicion !== isSuspected) link.tell('suspicion', (isSuspected = suspicion));
      const isDue = clock.nowMs() - askedAtMs >= ASK_ALL_EVERY_MS / timeScale;
      if (!confirming || !isDue) return;
      askedAtMs = clock.nowMs();
      void link.ask('askAll', null, DEADLINE_MS);
    },
  };
}
