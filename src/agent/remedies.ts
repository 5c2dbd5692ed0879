/** The agent's end of the list of remedies: it watches their sizes and reads their counts. */
import { remedyList, type WatchingAgent } from '../core/remedy-list.ts';
import type { RemediesReading, Stop } from '../types/index.ts';

/** Attaches the parts that exist, and lets later ones attach themselves. */
export function attachRemedies(agent: WatchingAgent): Stop {
  const list = remedyList();
  list.agent = agent;
  for (const attach of list.parts.keys()) list.parts.set(attach, attach(agent));
  return () => {
    list.agent = null;
    for (const [attach, dispose] of list.parts) {
      dispose?.();
      list.parts.set(attach, null);
    }
  };
}

/** Null while no remedy has done anything. */
export function readRemedies(): RemediesReading | null {
  const { actions, fanoutLag } = remedyList();
  const reading = { actions: Object.fromEntries(actions), fanoutLag: fanoutLag.read() };
  return actions.size === 0 && reading.fanoutLag === null ? null : reading;
}
