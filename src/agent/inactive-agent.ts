/** The `Agent` of a process where the agent is switched off or could not start: every method answers, nothing runs. */
import { composeStatus } from '../report/status.ts';
import type { Clock, Dispose, Identity } from '../types/index.ts';
import type { Agent } from './api.ts';

export function createInactiveAgent(identity: Identity, clock: Clock, reason: string): Agent {
  const startedAtMs = clock.nowMs();
  const ignore = (): Dispose => () => undefined;
  const refused = { outcome: 'refused', reason } as const;
  return {
    watchRegistry: ignore,
    watchQueue: ignore,
    watchRooms: ignore,
    watchEmitter: ignore,
    watchConnection: ignore,
    on: ignore,
    collectInto: ignore,
    snapshot: () => Promise.resolve(refused),
    audit: () => Promise.resolve(refused),
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
