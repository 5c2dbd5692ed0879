import { EDGE, EDGE_MASK, NODE, indexOf, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isTimersList, timersIn } from './timers.ts';

/** An object with fewer fields is a record, not a dictionary; records gain fields lazily and that is no growth. */
const LEAST_DICTIONARY = 24;

/** What the objects that hold anything hold, counted so that two snapshots can be compared; sorted by node. */
export interface Holdings {
  readonly nodes: Uint32Array;
  /** Elements, keys of dictionaries; for a Map or Set the keys and values in its table. */
  readonly entries: Uint32Array;
  /** Bytes of the backing stores: grows too when the entries are plain numbers, which have no edges. */
  readonly storeBytes: Float64Array;
}

/** Entries of a Map or Set hang from its table, an `array` node; a JSArray has its elements as edges of its own. */
export function countHoldings(heap: Heap): Holdings {
  const { nodeCount, nodeType, selfSize, firstEdge, edgeLabel, edgeTo } = heap;
  const nodes: number[] = [];
  const entries: number[] = [];
  const storeBytes: number[] = [];
  for (let node = 0; node < nodeCount; node++) {
    const type = nodeType[node]!;
    if (type !== NODE.object && type !== NODE.closure) continue;
    let count = 0;
    let bytes = 0;
    let fields = 0;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge++) {
      const kind = edgeLabel[edge]! & EDGE_MASK;
      const to = nodeType[edgeTo[edge]!]!;
      // `undefined` and holes are hidden nodes: an array made with its full length holds nothing yet.
      if (kind === EDGE.element && to !== NODE.hidden) count++;
      else if (kind === EDGE.property) fields++;
      else if (kind === EDGE.internal && to === NODE.array) {
        const store = edgeTo[edge]!;
        bytes += selfSize[store]!;
        count += storeEntries(heap, store);
      }
    }
    if (fields > LEAST_DICTIONARY) count += fields;
    if (isTimersList(heap, node)) for (const _ of timersIn(heap, node)) count++;
    if (count === 0 && bytes === 0) continue;
    nodes.push(node);
    entries.push(count);
    storeBytes.push(bytes);
  }
  return {
    nodes: Uint32Array.from(nodes),
    entries: Uint32Array.from(entries),
    storeBytes: Float64Array.from(storeBytes),
  };
}

/** The place of a node in its holdings; -1: it holds nothing. */
export const holdingOf = ({ nodes }: Holdings, node: number): number => indexOf(nodes, node);

/** Elements stores, which have a name, are left out: the same targets are elements of the object itself. */
export const isTable = (heap: Heap, store: number): boolean => nodeText(heap, store) === '';

function storeEntries(heap: Heap, store: number): number {
  const { firstEdge, edgeLabel, edgeTo, nodeType } = heap;
  if (!isTable(heap, store)) return 0;
  let count = 0;
  for (let edge = firstEdge[store]!; edge < firstEdge[store + 1]!; edge++) {
    if ((edgeLabel[edge]! & EDGE_MASK) === EDGE.internal && nodeType[edgeTo[edge]!] !== NODE.hidden) count++;
  }
  return count;
}
