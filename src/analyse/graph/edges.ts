import { EDGE, EDGE_MASK } from './heap.ts';
import type { Heap } from './heap.ts';

// What is imported is looked up at each use, which tells where it happens for every edge.
const MASK = EDGE_MASK;
const { weak: WEAK, shortcut: SHORTCUT } = EDGE;

/**
 * Does this edge keep its target alive? Weak ones do not; shortcuts repeat what other edges say, except the root's,
 * which lead to the global objects.
 */
export const isStrong = (label: number, from: number): boolean => {
  const type = label & MASK;
  return type !== WEAK && (type !== SHORTCUT || from === 0);
};

/** Strong edges turned round: those into node n come from `from[start[n]]` to `from[start[n + 1] - 1]`. */
export interface Incoming {
  readonly start: Uint32Array;
  readonly from: Uint32Array;
}

/** Edges lie in the order of their nodes; a bound that is looked up for each of them costs a quarter of the time. */
export function turnRound(heap: Heap): Incoming {
  const { nodeCount, firstEdge, edgeLabel, edgeTo } = heap;
  const start = new Uint32Array(nodeCount + 2);
  for (let node = 0, edge = 0; node < nodeCount; node++) {
    for (const end = firstEdge[node + 1]!; edge < end; edge++) {
      const to = edgeTo[edge]!;
      if (to !== node && isStrong(edgeLabel[edge]!, node)) start[to + 2]!++;
    }
  }
  for (let node = 0; node < nodeCount; node++) start[node + 2]! += start[node + 1]!;
  const from = new Uint32Array(start[nodeCount + 1]!);
  // start[to + 1] is the next free place of `to`; when all are placed it is the end, so start[to] is the start.
  for (let node = 0, edge = 0; node < nodeCount; node++) {
    for (const end = firstEdge[node + 1]!; edge < end; edge++) {
      const to = edgeTo[edge]!;
      if (to !== node && isStrong(edgeLabel[edge]!, node)) from[start[to + 1]!++] = node;
    }
  }
  return { start, from };
}
