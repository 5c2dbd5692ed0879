/** Incoming edges and the dominator tree with the retained size of each node. */
import { NONE, isStrong } from './heap.ts';
import type { Heap } from './heap.ts';

// Local constants: an imported name is read from its module object at each use, here for each edge.
const UNREACHED = NONE;
const keepsAlive = isStrong;

type Column = Uint32Array<ArrayBuffer>;

/** The strong edges into node n come from `from[start[n]]` to `from[start[n + 1] - 1]`. */
export interface IncomingEdges {
  readonly start: Uint32Array;
  readonly from: Uint32Array;
}

export function findIncomingEdges(heap: Heap): IncomingEdges {
  const { nodeCount, firstEdge, edgeLabel, edgeTo } = heap;
  const start = new Uint32Array(nodeCount + 2);
  // `end` is read once for each node: reading it for each edge costs a quarter of the time.
  for (let node = 0, edge = 0; node < nodeCount; node += 1) {
    for (const end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const to = edgeTo[edge]!;
      if (to !== node && keepsAlive(edgeLabel[edge]!, node)) start[to + 2]! += 1;
    }
  }
  for (let node = 0; node < nodeCount; node += 1) start[node + 2]! += start[node + 1]!;
  const from = new Uint32Array(start[nodeCount + 1]!);
  // start[to + 1] is the next free index of `to`. After the last edge it is the end, so start[to] is the start.
  for (let node = 0, edge = 0; node < nodeCount; node += 1) {
    for (const end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const to = edgeTo[edge]!;
      if (to !== node && keepsAlive(edgeLabel[edge]!, node)) from[start[to + 1]!++] = node;
    }
  }
  return { start, from };
}

export interface DominatorTree {
  /** Reachable nodes in depth-first order: a node comes after its dominator. */
  readonly order: Uint32Array;
  /** Immediate dominator; `NONE` for nodes that only weak edges reach. The root is its own. */
  readonly parent: Uint32Array;
  /** Bytes that are freed with the node. */
  readonly retainedSize: Float64Array;
  /** Two columns that are free again. The caller reuses them, because the garbage collector would free them too late. */
  readonly scratch: readonly [Column, Column];
}

/**
 * Semi-NCA (Georgiadis, "Linear-Time Algorithms for Dominators and Related Problems", 2005): close to linear in practice,
 * and without recursion, so that a linked list of a million nodes does not overflow the stack.
 */
export function findDominators(heap: Heap, incoming: IncomingEdges): DominatorTree {
  const traversal = depthFirst(heap);
  const { order, number } = traversal;
  // Two columns of the algorithm and later the result use the same memory.
  const memory = new ArrayBuffer(heap.nodeCount * Float64Array.BYTES_PER_ELEMENT);
  const parent = semiNca(traversal, incoming, memory);
  const retainedSize = new Float64Array(memory);
  retainedSize.set(heap.selfSize);
  for (const [node, size] of heap.hugeSizes) retainedSize[node] = size;
  for (let i = order.length - 1; i > 0; i--) {
    retainedSize[order[parent[i]!]!]! += retainedSize[order[i]!]!;
  }
  // Converts depth-first numbers to nodes in place; `number` is not needed any more.
  for (let i = 0; i < order.length; i += 1) number[order[i]!] = order[parent[i]!]!;
  return { order, parent: number, retainedSize, scratch: [parent, traversal.scratch] };
}

interface Traversal {
  readonly order: Uint32Array;
  /** Node -> depth-first number. */
  readonly number: Uint32Array;
  /** Depth-first number -> number of the parent in the depth-first tree. */
  readonly treeParent: Column;
  readonly scratch: Column;
}

function depthFirst(heap: Heap): Traversal {
  const { nodeCount, firstEdge, edgeLabel, edgeTo } = heap;
  const number = new Uint32Array(nodeCount).fill(NONE);
  const order = new Uint32Array(nodeCount);
  const treeParent = new Uint32Array(nodeCount);
  const nextEdge = new Uint32Array(nodeCount);
  let count = 1;
  let current = 0;
  number[0] = 0;
  nextEdge[0] = firstEdge[0]!;
  for (;;) {
    const node = order[current]!;
    const end = firstEdge[node + 1]!;
    let edge = nextEdge[current]!;
    while (edge < end && (number[edgeTo[edge]!] !== UNREACHED || !keepsAlive(edgeLabel[edge]!, node))) edge++;
    nextEdge[current] = edge + 1;
    if (edge < end) {
      const to = edgeTo[edge]!;
      number[to] = count;
      order[count] = to;
      treeParent[count] = current;
      nextEdge[count] = firstEdge[to]!;
      current = count++;
    } else if (current === 0) break;
    else current = treeParent[current]!;
  }
  return { order: order.subarray(0, count), number, treeParent, scratch: nextEdge };
}

/** Works on depth-first numbers and leaves the immediate dominators in `treeParent`. */
function semiNca(traversal: Traversal, incoming: IncomingEdges, memory: ArrayBuffer): Column {
  const { order, number, treeParent, scratch } = traversal;
  const { start, from: sources } = incoming;
  const count = order.length;
  const semi = new Uint32Array(memory, 0, count);
  const label = new Uint32Array(memory, count * Uint32Array.BYTES_PER_ELEMENT, count);
  const forest: Forest = { ancestor: treeParent.slice(), label, stack: scratch };
  for (let i = count - 1; i > 0; i--) {
    const node = order[i]!;
    let lowest = treeParent[i]!;
    for (let edge = start[node]!, end = start[node + 1]!; edge < end; edge += 1) {
      const from = number[sources[edge]!]!;
      if (from === UNREACHED) continue;
      const candidate = from <= i ? from : lowestSemidominator(forest, from, i);
      if (candidate < lowest) lowest = candidate;
    }
    semi[i] = lowest;
    label[i] = lowest;
  }
  for (let i = 1; i < count; i += 1) {
    let dominator = treeParent[i]!;
    while (dominator > semi[i]!) dominator = treeParent[dominator]!;
    treeParent[i] = dominator;
  }
  return treeParent;
}

interface Forest {
  readonly ancestor: Uint32Array;
  /** The lowest semidominator on the compressed path upwards. */
  readonly label: Uint32Array;
  readonly stack: Uint32Array;
}

/** The lowest semidominator between `from` and the last linked node, with path compression. */
function lowestSemidominator({ ancestor, label, stack }: Forest, from: number, last: number): number {
  let depth = 0;
  let node = from;
  while (ancestor[node]! > last) {
    stack[depth++] = node;
    node = ancestor[node]!;
  }
  const top = ancestor[node]!;
  let lowest = label[node]!;
  while (depth > 0) {
    node = stack[--depth]!;
    ancestor[node] = top;
    if (lowest < label[node]!) label[node] = lowest;
    else lowest = label[node]!;
  }
  return lowest;
}
