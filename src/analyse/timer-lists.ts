import type { Census } from './census.ts';
import { kindOf } from './growth.ts';
import type { Chain } from './growth.ts';
import type { Dominators } from './dominators.ts';
import { NODE, follow } from './heap.ts';
import type { Heap } from './heap.ts';

/** Of Node's timers: one object each, in one list for each duration. */
const TIMER = 'Timeout';

export interface TimersBefore {
  /** By node: whether it was there in the earlier snapshot. */
  readonly before: Uint32Array | Uint8Array;
  readonly census: Census;
}

/**
 * A list of timers is a ring. Whoever keeps one of them (a handler of an open connection, to clear it later) reaches
 * all, so nothing dominates them and no chain ends at their list: they are counted along the ring. Net of those that
 * were cleared, since clients who come and go have new timers each time.
 */
export function findTimerLists(
  heap: Heap,
  dominators: Dominators,
  { before, census }: TimersBefore,
): Chain[] {
  const lists = listsOf(heap);
  const timers = lists.map((list) => timersAlong(heap, list));
  const now = takeCount(heap);
  const more = now - (census.get(TIMER)?.objects ?? 0);
  return lists.flatMap((node, at) => {
    const fresh = timers[at]!.filter((timer) => before[timer] === 0).slice(-Math.max(0, more));
    if (more <= 0 || fresh.length === 0 || before[node] === 0) return [];
    const gainedBytes = fresh.reduce((sum, timer) => sum + dominators.retained[timer]!, 0);
    const gained = fresh.length;
    const kinds = new Map([[kindOf(heap, fresh[0]!), gained]]);
    const row = { depth: gained, links: gained, kinds, timers: fresh, sample: [] };
    return [{ node, how: 'chain' as const, gained, gainedBytes, ...row }];
  });
}

function listsOf(heap: Heap): number[] {
  const word = heap.names.word('TimersList');
  const lists: number[] = [];
  for (let node = 0; node < heap.nodeCount; node++)
    if (heap.nodeName[node] === word && heap.nodeType[node] === NODE.object) lists.push(node);
  return lists;
}

function takeCount(heap: Heap): number {
  const word = heap.names.word(TIMER);
  let count = 0;
  for (let node = 0; node < heap.nodeCount; node++)
    if (heap.nodeName[node] === word && heap.nodeType[node] === NODE.object) count++;
  return count;
}

/** The newest first: a list is entered at its end, whose next one is the list itself. */
function timersAlong(heap: Heap, list: number): number[] {
  const timers: number[] = [];
  let at = follow(heap, list, '_idlePrev');
  while (at >= 0 && at !== list && timers.length < heap.nodeCount) {
    timers.push(at);
    at = follow(heap, at, '_idlePrev');
  }
  return timers.reverse();
}
