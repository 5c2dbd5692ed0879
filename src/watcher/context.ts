/** Dependencies that all parts of the watcher share. */
import type { WatcherSetup } from '../channel.ts';
import { createGuard, type Guard } from '../core/guard.ts';
import { createLog } from '../core/log.ts';
import type { Clock, Log } from '../types/index.ts';

export interface WatcherContext {
  readonly setup: WatcherSetup;
  readonly clock: Clock;
  readonly log: Log;
  readonly guard: Guard;
}

export function createWatcherContext(setup: WatcherSetup, clock: Clock): WatcherContext {
  const thread = setup.noThreadReason === null ? 'watcher' : 'app';
  const log = createLog({ level: setup.config.log, clock, thread, stderr: setup.stderr });
  const guard = createGuard(({ part, error, switchedOff }) =>
    log.error({ code: 'WSGUARD_FAULT', part, error, switchedOff }, 'a part of the agent failed'),
  );
  return { setup, clock, log, guard };
}
