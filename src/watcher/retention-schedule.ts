/** Removes expired files of the agent's directory: soon after the start, then once a day. */
import { removeExpired } from '../deliver/retention.ts';
import type { Stop } from '../types/index.ts';
import type { WatcherContext } from './context.ts';

/** Chosen: late enough not to slow down the start, and soon enough for a process that crashes every minute. */
const FIRST_AFTER_MS = 5_000;
const EVERY_MS = 24 * 3_600_000;

export function scheduleRetention(
  { setup, clock, guard, log }: WatcherContext,
  openIds: () => readonly string[],
): Stop {
  if (setup.noFilesReason !== null) return () => undefined;
  const { dir } = setup.config;
  const remove = (): void =>
    void guard.runAsync(
      'retention',
      async () => {
        const removed = await removeExpired(dir, new Set(openIds()), clock.wallMs());
        if (removed > 0) log.info({ dir, removed }, 'removed old reports and snapshots');
      },
      undefined,
    );
  const stops = [clock.after(FIRST_AFTER_MS, remove), clock.every(EVERY_MS, remove)];
  return () => {
    for (const stop of stops) stop();
  };
}
