import { isStrong } from './edges.ts';
import { NONE } from './heap.ts';
import type { Heap } from './heap.ts';

/** A tree of short retaining paths. */
export interface Reach {
  /** The edge by which each node is reached first; NONE for the root and for what nothing reaches. */
  readonly viaEdge: Uint32Array;
  readonly parent: Uint32Array;
}

/** Breadth first from the root; what the global objects and contexts reach comes before handles and stacks. */
export function shortestPaths(heap: Heap): Reach {
  const { nodeCount, firstEdge, edgeLabel, edgeTo } = heap;
  const viaEdge = new Uint32Array(nodeCount).fill(NONE);
  const parent = new Uint32Array(nodeCount).fill(NONE);
  const queue = new Uint32Array(nodeCount);
  let tail = 1;
  parent[0] = 0;
  for (let head = 0; head < tail; head++) {
    const node = queue[head]!;
    for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++) {
      const to = edgeTo[edge]!;
      if (parent[to] !== NONE || !isStrong(edgeLabel[edge]!, node)) continue;
      parent[to] = node;
      viaEdge[to] = edge;
      queue[tail++] = to;
    }
  }
  return { viaEdge, parent };
}
