/** The agent of a process where it is switched off, or could not begin: everything answers, nothing happens. */
import { composeStatus } from '../report/status.ts';
import type { Clock, Identity } from '../types/index.ts';
import type { Agent } from './api.ts';

export function createInactiveAgent(identity: Identity, clock: Clock, reason: string): Agent {
  const startedAtMs = clock.nowMs();
  const nothing = (): (() => void) => () => undefined;
  const refused = { outcome: 'refused', reason } as const;
  return {
    watchRegistry: nothing,
    watchQueue: nothing,
    watchRooms: nothing,
    watchEmitter: nothing,
    watchConnection: nothing,
    on: nothing,
    collectInto: nothing,
    snapshot: () => Promise.resolve(refused),
    stop: () => Promise.resolve(),
    status: () =>
      Promise.resolve(
        composeStatus({
          watcher: 'none',
          identity,
          uptimeMs: clock.nowMs() - startedAtMs,
          sample: null,
          verdicts: [],
          alerts: [],
          timeToLimit: null,
          blind: [{ what: 'everything', why: reason }],
          noThreadReason: null,
        }),
      ),
  };
}
