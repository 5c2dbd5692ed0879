import { findDominators } from './dominators.ts';
import type { Dominators } from './dominators.ts';
import { turnRound } from './edges.ts';
import type { Incoming } from './edges.ts';
import type { Heap } from './heap.ts';
import { shortestPaths } from './reach.ts';
import type { Reach } from './reach.ts';
import { Scripts } from './scripts.ts';

/** One snapshot with everything that was worked out about it. */
export interface Graph {
  readonly heap: Heap;
  readonly incoming: Incoming;
  readonly dominators: Dominators;
  readonly reach: Reach;
  readonly scripts: Scripts;
}

export function graphOf(heap: Heap): Graph {
  const incoming = turnRound(heap);
  const dominators = findDominators(heap, incoming);
  return { heap, incoming, dominators, reach: shortestPaths(heap), scripts: new Scripts(heap) };
}
