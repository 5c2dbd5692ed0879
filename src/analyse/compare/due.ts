import { EDGE, EDGE_MASK, NODE, edgeText, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

/**
 * A FinalizationRegistry keeps what its callbacks are to be told until the event loop turns: four fields in a row, the
 * native context first and the list of those that are due last. They go by themselves.
 */
export function markDue(heap: Heap, marked: Uint8Array): void {
  const { nodeCount, nodeType, nodeName, names, firstEdge, edgeLabel, edgeTo } = heap;
  const registry = names.word('FinalizationRegistry');
  for (let node = 0; node < nodeCount && registry >= 0; node++) {
    if (nodeName[node] !== registry || nodeType[node] !== NODE.object) continue;
    let context = Infinity;
    for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++) {
      if ((edgeLabel[edge]! & EDGE_MASK) !== EDGE.hidden) continue;
      const to = edgeTo[edge]!;
      if (nodeText(heap, to) === 'system / NativeContext') context = Number(edgeText(heap, edge));
      else if (Number(edgeText(heap, edge)) === context + 3) marked[to] = 1;
    }
  }
}
