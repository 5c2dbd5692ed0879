/** Containers (Map, Set, array, dictionary, list of timers): the number of their entries, and the entries. */
import {
  EDGE,
  EDGE_TYPE_BITS,
  EDGE_TYPE_MASK,
  NODE,
  binarySearch,
  edgeTarget,
  edgeText,
  nodeText,
} from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

/** Objects with up to this many fields are records. A record gains fields when code first sets them; that is not growth. */
export const MAX_RECORD_FIELDS = 24;

/** Sizes of all containers of a snapshot, sorted by node, so that two snapshots can be compared. */
export interface ContainerSizes {
  readonly nodes: Uint32Array;
  /** Elements, or keys of dictionaries. For a Map or Set: references in its table, so a Map's entry may count twice. */
  readonly entries: Uint32Array;
  /** Bytes of the backing stores. They grow too when the entries are numbers, which have no edges. */
  readonly storeBytes: Float64Array;
}

/** The entries of a Map or Set are edges of its table, an `array` node; an Array's elements are edges of the Array. */
export function measureContainers(heap: Heap): ContainerSizes {
  const { nodeCount, nodeType, selfSize, firstEdge, edgeLabel, edgeTo } = heap;
  const nodes: number[] = [];
  const entries: number[] = [];
  const storeBytes: number[] = [];
  for (let node = 0; node < nodeCount; node += 1) {
    const type = nodeType[node]!;
    if (type !== NODE.object && type !== NODE.closure) continue;
    let count = 0;
    let bytes = 0;
    let fields = 0;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const edgeType = edgeLabel[edge]! & EDGE_TYPE_MASK;
      const targetType = nodeType[edgeTo[edge]!]!;
      // `undefined` and holes are hidden nodes: an array that is allocated at its full length has no entries yet.
      if (edgeType === EDGE.element && targetType !== NODE.hidden) count += 1;
      else if (edgeType === EDGE.property) fields += 1;
      else if (edgeType === EDGE.internal && targetType === NODE.array) {
        const store = edgeTo[edge]!;
        bytes += selfSize[store]!;
        count += tableEntries(heap, store);
      }
    }
    if (fields > MAX_RECORD_FIELDS) count += fields;
    if (isTimersList(heap, node)) for (const _ of timersIn(heap, node)) count += 1;
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

export const NO_CONTAINERS: ContainerSizes = {
  nodes: new Uint32Array(0),
  entries: new Uint32Array(0),
  storeBytes: new Float64Array(0),
};

/** The index of a node in the columns; -1 when it has no entries. */
export const containerIndex = ({ nodes }: ContainerSizes, node: number): number => binarySearch(nodes, node);

export function entryCount(sizes: ContainerSizes, node: number): number {
  const index = containerIndex(sizes, node);
  return index < 0 ? 0 : sizes.entries[index]!;
}

/** Stores of array elements have a name and are not tables: their targets are also elements of the object itself. */
const isTable = (heap: Heap, store: number): boolean => nodeText(heap, store) === '';

function tableEntries(heap: Heap, store: number): number {
  const { firstEdge, edgeLabel, edgeTo, nodeType } = heap;
  if (!isTable(heap, store)) return 0;
  let count = 0;
  for (let edge = firstEdge[store]!; edge < firstEdge[store + 1]!; edge += 1) {
    const isInternal = (edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.internal;
    if (isInternal && nodeType[edgeTo[edge]!] !== NODE.hidden) count += 1;
  }
  return count;
}

/** The entries of a container, the last one first. An entry that is in it twice is returned twice. */
export function* entriesOf(heap: Heap, container: number): Generator<number> {
  const { firstEdge, edgeLabel, edgeTo, nodeType } = heap;
  if (isTimersList(heap, container)) yield* timersIn(heap, container);
  const first = firstEdge[container]!;
  for (let edge = firstEdge[container + 1]! - 1; edge >= first; edge--) {
    const type = edgeLabel[edge]! & EDGE_TYPE_MASK;
    const to = edgeTo[edge]!;
    if (type === EDGE.element || (type === EDGE.property && edgeText(heap, edge) !== '__proto__')) yield to;
    else if (type === EDGE.internal && nodeType[to] === NODE.array && isTable(heap, to)) {
      for (let row = firstEdge[to + 1]! - 1; row >= firstEdge[to]!; row--) {
        if ((edgeLabel[row]! & EDGE_TYPE_MASK) === EDGE.internal) yield edgeTo[row]!;
      }
    }
  }
}

/**
 * Node keeps the timers of one duration in a doubly linked ring that starts at a `TimersList`. A reference to one timer
 * reaches all of them, so paths and dominators cannot tell the list from a field that keeps a timer. Therefore the
 * timers count as entries of their list.
 */
export const isTimersList = (heap: Heap, node: number): boolean =>
  heap.nodeName[node] === heap.names.indexOf('TimersList') && heap.nodeType[node] === NODE.object;

/** Whether an edge leads to the next timer of a list. Node links all timers of one duration, so other code may have started that one. */
export function isTimerLink({ names, edgeLabel }: Heap, edge: number): boolean {
  const name = edgeLabel[edge]! >>> EDGE_TYPE_BITS;
  return name === names.indexOf('_idleNext') || name === names.indexOf('_idlePrev');
}

/** The newest timer first. */
function* timersIn(heap: Heap, list: number): Generator<number> {
  // Each timer must point back to the one before it, so that a damaged file cannot cause an endless loop.
  for (let previous = list; ;) {
    const timer = edgeTarget(heap, previous, '_idleNext');
    if (timer < 0 || timer === list || edgeTarget(heap, timer, '_idlePrev') !== previous) return;
    yield timer;
    previous = timer;
  }
}
