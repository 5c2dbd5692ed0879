import { isStrong } from './edges.ts';
import type { Incoming } from './edges.ts';
import { NONE } from './heap.ts';
import type { Heap } from './heap.ts';

// Asked for every edge: an imported name is looked up at each use.
const UNREACHED = NONE;
const keepsAlive = isStrong;

type Column = Uint32Array<ArrayBuffer>;

export interface Dominators {
  /** Reachable nodes, a node after the one that dominates it. */
  readonly order: Uint32Array;
  /** Immediate dominator; `NONE` for what only weak edges reach. The root is its own. */
  readonly parent: Uint32Array;
  /** Bytes that would be freed with the node. */
  readonly retained: Float64Array;
  /** Columns that were needed for the work only: memory to use again, for a garbage collector comes too late. */
  readonly spare: readonly [Column, Column];
}

/** Semi-NCA (Georgiadis): linear in practice, no recursion, so a list a million long is no trouble. */
export function findDominators(heap: Heap, incoming: Incoming): Dominators {
  const walk = depthFirst(heap);
  const { order, number } = walk;
  // Two columns of the work and the result use the same memory, one after the other.
  const memory = new ArrayBuffer(heap.nodeCount * Float64Array.BYTES_PER_ELEMENT);
  const parent = semiNca(walk, incoming, memory);
  const retained = new Float64Array(memory);
  retained.set(heap.selfSize);
  for (const [node, size] of heap.hugeSizes) retained[node] = size;
  for (let at = order.length - 1; at > 0; at--) {
    retained[order[parent[at]!]!]! += retained[order[at]!]!;
  }
  // From numbers of the walk to nodes, in place: `number` is not needed any more.
  for (let at = 0; at < order.length; at++) number[order[at]!] = order[parent[at]!]!;
  return { order, parent: number, retained, spare: [parent, walk.spare] };
}

interface Walk {
  readonly order: Uint32Array;
  readonly number: Uint32Array;
  /** By number: the number of the node from which the walk came. */
  readonly cameFrom: Column;
  /** Memory to use again. */
  readonly spare: Column;
}

function depthFirst(heap: Heap): Walk {
  const { nodeCount, firstEdge, edgeLabel, edgeTo } = heap;
  const number = new Uint32Array(nodeCount).fill(NONE);
  const order = new Uint32Array(nodeCount);
  const cameFrom = new Uint32Array(nodeCount);
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
      cameFrom[count] = current;
      nextEdge[count] = firstEdge[to]!;
      current = count++;
    } else if (current === 0) break;
    else current = cameFrom[current]!;
  }
  return { order: order.subarray(0, count), number, cameFrom, spare: nextEdge };
}

/** Works on numbers of the walk and leaves the immediate dominators in `cameFrom`. */
function semiNca(walk: Walk, incoming: Incoming, memory: ArrayBuffer): Column {
  const { order, number, cameFrom, spare } = walk;
  const { start, from: holders } = incoming;
  const count = order.length;
  const semi = new Uint32Array(memory, 0, count);
  const label = new Uint32Array(memory, count * Uint32Array.BYTES_PER_ELEMENT, count);
  const forest: Forest = { ancestor: cameFrom.slice(), label, stack: spare };
  for (let at = count - 1; at > 0; at--) {
    const node = order[at]!;
    let least = cameFrom[at]!;
    for (let edge = start[node]!, end = start[node + 1]!; edge < end; edge++) {
      const from = number[holders[edge]!]!;
      if (from === UNREACHED) continue;
      const candidate = from <= at ? from : leastSemi(forest, from, at);
      if (candidate < least) least = candidate;
    }
    semi[at] = least;
    label[at] = least;
  }
  for (let at = 1; at < count; at++) {
    let dominator = cameFrom[at]!;
    while (dominator > semi[at]!) dominator = cameFrom[dominator]!;
    cameFrom[at] = dominator;
  }
  return cameFrom;
}

interface Forest {
  readonly ancestor: Uint32Array;
  /** The least semidominator met on the compressed path upwards. */
  readonly label: Uint32Array;
  readonly stack: Uint32Array;
}

/** The least semidominator between `from` and the last linked node, with path compression. */
function leastSemi({ ancestor, label, stack }: Forest, from: number, last: number): number {
  let depth = 0;
  let at = from;
  while (ancestor[at]! > last) {
    stack[depth++] = at;
    at = ancestor[at]!;
  }
  const top = ancestor[at]!;
  let least = label[at]!;
  while (depth > 0) {
    at = stack[--depth]!;
    ancestor[at] = top;
    if (least < label[at]!) label[at] = least;
    else least = label[at]!;
  }
  return least;
}
