/** `vmContextBytes`: memory of the contexts of `node:vm`, which V8 reaches through its own roots before the application's path. */
import { NODE, edgeText, type Heap } from '../graph/heap.ts';

/** Measured: 142 KiB of built-in objects and functions for each context (Node 20). */
const CONTEXT_BYTES = 140 * 1024;
/** Node's private symbol on the object that `vm.createContext` returns. */
const CONTEXT_EDGE = /contextify:context|contextify_context/;
/** An entry may be a record that has the context in a field. More fields are those of a map. */
const MAX_FIELDS = 50;

/** Zero unless most of the sampled entries are contexts, or have one in a field. */
export function vmContextBytes(heap: Heap, sample: readonly number[], entries: number): number {
  const contexts = sample.filter(
    (entry) => isContext(heap, entry) || targetsOf(heap, entry).some((target) => isContext(heap, target)),
  ).length;
  return contexts * 2 > sample.length ? entries * CONTEXT_BYTES : 0;
}

function isContext(heap: Heap, node: number): boolean {
  const [from, to] = edgesOf(heap, node);
  for (let edge = from; edge < to; edge += 1) if (CONTEXT_EDGE.test(edgeText(heap, edge))) return true;
  return false;
}

function targetsOf(heap: Heap, node: number): readonly number[] {
  const [from, to] = edgesOf(heap, node);
  return [...heap.edgeTo.subarray(from, to)].filter((target) => heap.nodeType[target] === NODE.object);
}

const edgesOf = ({ firstEdge }: Heap, node: number): readonly [number, number] => [
  firstEdge[node]!,
  Math.min(firstEdge[node + 1]!, firstEdge[node]! + MAX_FIELDS),
];
