/** `Graph`: a heap with its dominator tree, incoming edges, shortest retaining paths and scripts. */
import { findDominators, findIncomingEdges } from './dominators.ts';
import type { DominatorTree, IncomingEdges } from './dominators.ts';
import { exportedVariables } from './exported-variables.ts';
import type { ExportedNames, ExportedVariable } from './exported-variables.ts';
import { NONE, isStrong } from './heap.ts';
import type { Heap } from './heap.ts';
import { Scripts } from './scripts.ts';

export interface Graph {
  readonly heap: Heap;
  readonly incoming: IncomingEdges;
  readonly dominators: DominatorTree;
  readonly paths: ShortestPaths;
  readonly scripts: Scripts;
  readonly exports: ReadonlyMap<number, ExportedVariable>;
  /** A column of one number per node that any algorithm may overwrite. */
  readonly scratch: Uint32Array<ArrayBuffer>;
}

export function buildGraph(heap: Heap, namesOf: ExportedNames = () => null): Graph {
  const incoming = findIncomingEdges(heap);
  const dominators = findDominators(heap, incoming);
  const [edgeInto, queue] = dominators.scratch;
  const paths = findShortestPaths(heap, [edgeInto, queue]);
  const scripts = new Scripts(heap);
  const exports = exportedVariables(heap, scripts, namesOf);
  return { heap, incoming, dominators, paths, scripts, exports, scratch: queue };
}

/** A breadth-first tree: one of the shortest paths from the root to each node. */
export interface ShortestPaths {
  /** Node -> last edge of its path; NONE for the root and for unreachable nodes. */
  readonly edgeInto: Uint32Array;
  /** Node -> the node before it on its path. Without this column the node is found by binary search. */
  readonly parent?: Uint32Array;
}

/** Uses the two columns: the first one becomes the result, the second one is free again afterwards. */
function findShortestPaths(
  heap: Heap,
  [edgeInto, queue]: readonly [Uint32Array, Uint32Array],
): ShortestPaths {
  const { firstEdge, edgeLabel, edgeTo } = heap;
  edgeInto.fill(NONE);
  queue[0] = 0;
  let tail = 1;
  for (let head = 0; head < tail; head += 1) {
    const node = queue[head]!;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const to = edgeTo[edge]!;
      if (to === 0 || edgeInto[to] !== NONE || !isStrong(edgeLabel[edge]!, node)) continue;
      edgeInto[to] = edge;
      queue[tail++] = to;
    }
  }
  return { edgeInto };
}

/**
 * The node before this one on its shortest path; NONE for the root and for unreachable nodes. Without the
 * column of parents it is found by binary search: few nodes are looked up then.
 */
export function pathParent(
  { firstEdge, nodeCount }: Heap,
  { edgeInto, parent }: ShortestPaths,
  node: number,
): number {
  const edge = edgeInto[node]!;
  if (edge === NONE) return NONE;
  if (parent !== undefined) return parent[node]!;
  let low = 0;
  let high = nodeCount - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (firstEdge[middle]! <= edge) low = middle;
    else high = middle - 1;
  }
  // Nodes without edges have the same `firstEdge` as the next node; the search ends at the last one, which has the edge.
  return low;
}
