/** The agent of a process where it is switched off: everything answers, nothing happens. */
import { composeStatus } from '../status.ts';
import type { Clock, Identity } from '../types.ts';
import type { Agent } from './api.ts';

export function inertAgent(identity: Identity, clock: Clock): Agent {
  const startedAtMs = clock.nowMs();
  const nothing = (): (() => void) => () => undefined;
  const refused = { outcome: 'refused', reason: 'the agent is switched off (WSGUARD_ENABLED)' } as const;
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
          blind: [{ what: 'everything', why: 'WSGUARD_ENABLED=false' }],
        }),
      ),
  };
}
