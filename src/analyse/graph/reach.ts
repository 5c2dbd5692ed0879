import { isStrong } from './edges.ts';
import { NONE } from './heap.ts';
import type { Heap } from './heap.ts';

/** A tree of short retaining paths: the edge by which each node is reached first; NONE for the root and the unreached. */
export interface Reach {
  readonly viaEdge: Uint32Array;
}

/** Breadth first from the root. `spare`: two columns of memory; the second is free again afterwards. */
export function shortestPaths(heap: Heap, spare: readonly [Uint32Array, Uint32Array]): Reach {
  const { firstEdge, edgeLabel, edgeTo } = heap;
  const [viaEdge, queue] = spare;
  viaEdge.fill(NONE);
  queue[0] = 0;
  let tail = 1;
  for (let head = 0; head < tail; head++) {
    const node = queue[head]!;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge++) {
      const to = edgeTo[edge]!;
      if (to === 0 || viaEdge[to] !== NONE || !isStrong(edgeLabel[edge]!, node)) continue;
      viaEdge[to] = edge;
      queue[tail++] = to;
    }
  }
  return { viaEdge };
}

/** The node before this one on its short path; NONE where there is none. Few are asked for, so none are kept. */
export function parentOf({ firstEdge, nodeCount }: Heap, { viaEdge }: Reach, node: number): number {
  const edge = viaEdge[node]!;
  if (edge === NONE) return NONE;
  let low = 0;
  let high = nodeCount - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (firstEdge[middle]! <= edge) low = middle;
    else high = middle - 1;
  }
  // Nodes without edges share their place with the next one; the last of them has the edge.
  return low;
}
