import { findDominators } from './dominators.ts';
import type { Dominators } from './dominators.ts';
import { turnRound } from './edges.ts';
import type { Incoming } from './edges.ts';
import type { Heap } from './heap.ts';
import { shortestPaths } from './reach.ts';
import type { Reach } from './reach.ts';
import { Scripts } from '../locate/scripts.ts';

/** One snapshot with everything that was worked out about it. */
export interface Graph {
  readonly heap: Heap;
  readonly incoming: Incoming;
  readonly dominators: Dominators;
  readonly reach: Reach;
  readonly scripts: Scripts;
  /** A column of memory for whoever comes next. */
  readonly spare: Uint32Array<ArrayBuffer>;
}

export function graphOf(heap: Heap): Graph {
  const incoming = turnRound(heap);
  const dominators = findDominators(heap, incoming);
  const [viaEdge, queue] = dominators.spare;
  const reach = shortestPaths(heap, [viaEdge, queue]);
  return { heap, incoming, dominators, reach, scripts: new Scripts(heap), spare: queue };
}
