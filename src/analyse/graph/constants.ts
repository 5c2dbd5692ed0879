import { EDGE_BITS, NODE, nodeText } from './heap.ts';
import type { Heap } from './heap.ts';

export type Constant = 'null' | 'undefined' | 'true' | 'false';
/** By node. */
export type Constants = ReadonlyMap<number, Constant>;

const ROOTS: ReadonlyMap<string, Constant> = new Map([
  ['null_value', 'null'],
  ['undefined_value', 'undefined'],
  ['true_value', 'true'],
  ['false_value', 'false'],
]);

/**
 * There is one node of each. Node 20 and 22 call all of them `system / Oddball`, but V8's list of read-only roots has
 * had them under their names in every version.
 */
export function constantsOf(heap: Heap): Constants {
  const constants = new Map<number, Constant>();
  for (let node = 0; node < heap.nodeCount; node++) {
    if (heap.nodeType[node] !== NODE.synthetic || nodeText(heap, node) !== '(Read-only roots)') continue;
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
      const constant = ROOTS.get(heap.names.text(heap.edgeLabel[edge]! >>> EDGE_BITS));
      if (constant !== undefined) constants.set(heap.edgeTo[edge]!, constant);
    }
    break;
  }
  return constants;
}

/** What a node is called by its constant, else by itself; null for all that is no hidden node. */
export function constantAt(heap: Heap, constants: Constants, node: number): string | null {
  if (heap.nodeType[node] !== NODE.hidden) return null;
  return constants.get(node) ?? nodeText(heap, node);
}
