/**
 * The parts of a graph that a census needs: shortest paths, the edges by which code names an object, bytes reached first
 * through each node, and chains of objects. It has no dominators and no list of all incoming edges, which take most of the
 * time and memory of a comparison.
 */
import type { IncomingEdges } from '../graph/dominators.ts';
import type { Graph } from '../graph/graph.ts';
import {
  EDGE,
  EDGE_TYPE_BITS,
  EDGE_TYPE_MASK,
  NODE,
  NONE,
  isStrong,
  nodeText,
  sizeOf,
} from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { Scripts } from '../graph/scripts.ts';

/** A list of at least this many objects of one class, each a field of the one before. */
export interface ObjectChain {
  readonly head: number;
  readonly length: number;
}

export interface CensusGraph {
  /** Its dominator tree is empty, and `incoming` has only the edges that name an object. */
  readonly graph: Graph;
  /** Bytes of the node and of everything that the shortest paths reach through it. */
  readonly reachedBytes: Float64Array;
  readonly chains: readonly ObjectChain[];
}

/** Nested records of one class are not lists: no record of the checked servers is this deep. */
const MIN_CHAIN = 30;
// Local constants: an imported name is read from its module object at each use, here for each edge.
const { object: OBJECT, closure: CLOSURE, hidden: HIDDEN } = NODE;
const { context: CONTEXT, element: ELEMENT, internal: INTERNAL } = EDGE;
const [TYPE_BITS, TYPE_MASK] = [EDGE_TYPE_BITS, EDGE_TYPE_MASK];
const keepsAlive = isStrong;
const NO_EDGE = NONE;

export function buildCensusGraph(heap: Heap): CensusGraph {
  const { edgeInto, parent, order, reachable, chains, naming } = traverse(heap);
  const reachedBytes = sumReached(heap, parent, order.subarray(0, reachable));
  const none = new Uint32Array(0);
  const dominators = {
    order: none,
    parent: none,
    retainedSize: reachedBytes,
    scratch: [none, none] as const,
  };
  const graph = {
    heap,
    incoming: naming.incoming(order),
    dominators,
    paths: { edgeInto, parent },
    scripts: new Scripts(heap),
    scratch: none,
  };
  return { graph, reachedBytes, chains };
}

interface Traversal {
  readonly edgeInto: Uint32Array;
  readonly parent: Uint32Array;
  /** The reachable nodes in breadth-first order, and room for two more. */
  readonly order: Uint32Array;
  readonly reachable: number;
  readonly chains: readonly ObjectChain[];
  readonly naming: NamingEdges;
}

function traverse(heap: Heap): Traversal {
  const { nodeCount, firstEdge, edgeLabel, edgeTo, nodeType, nodeName } = heap;
  const edgeInto = new Uint32Array(nodeCount).fill(NONE);
  const parent = new Uint32Array(nodeCount);
  const order = new Uint32Array(nodeCount + 2);
  const chains = new Chains(heap);
  const naming = new NamingEdges(heap);
  let tail = 1;
  for (let index = 0; index < tail; index += 1) {
    const node = order[index]!;
    const name = nodeName[node]!;
    const type = nodeType[node]!;
    const canLink = type === OBJECT || type === HIDDEN;
    const canName = type === OBJECT || type === CLOSURE;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const to = edgeTo[edge]!;
      const label = edgeLabel[edge]!;
      if (canName) naming.visit(node, to, label);
      if (to === 0 || edgeInto[to] !== NO_EDGE || !keepsAlive(label, node)) continue;
      edgeInto[to] = edge;
      parent[to] = node;
      order[tail++] = to;
      if (canLink && nodeName[to] === name && nodeType[to] === type) chains.link(node, to);
    }
  }
  return { edgeInto, parent, order, reachable: tail, chains: chains.long(), naming };
}

/** Objects of one class that refer to each other, by the first of them. */
class Chains {
  readonly #heap: Heap;
  readonly #links = new Map<number, { readonly head: number; readonly depth: number }>();
  readonly #lengths = new Map<number, number>();

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  link(from: number, to: number): void {
    const { head, depth } = this.#links.get(from) ?? { head: from, depth: 1 };
    this.#links.set(to, { head, depth: depth + 1 });
    this.#lengths.set(head, Math.max(this.#lengths.get(head) ?? 1, depth + 1));
  }

  long(): ObjectChain[] {
    return [...this.#lengths]
      .filter(([head, length]) => length >= MIN_CHAIN && !isTimer(this.#heap, head))
      .map(([head, length]) => ({ head, length }));
  }
}

/** Timers are counted as entries of their list. */
const isTimer = (heap: Heap, node: number): boolean =>
  /^(Timeout|TimersList|Immediate)/.test(nodeText(heap, node));

/** Children come after their parent in breadth-first order, so the sum runs from the end. */
function sumReached(heap: Heap, parent: Uint32Array, order: Uint32Array): Float64Array {
  const bytes = new Float64Array(heap.nodeCount);
  for (let index = order.length - 1; index > 0; index -= 1) {
    const node = order[index]!;
    const sum = bytes[node]! + sizeOf(heap, node);
    bytes[node] = sum;
    bytes[parent[node]!]! += sum;
  }
  bytes[0]! += sizeOf(heap, 0);
  return bytes;
}

/** Only the edges that name an object: from a scope to its variables, from a function to its scope, from a Map to its table. */
class NamingEdges {
  readonly #nodeCount: number;
  readonly #nodeName: Uint32Array;
  readonly #contextEdge: number;
  readonly #tableEdge: number;
  readonly #timersList: number;
  readonly #from: number[] = [];
  readonly #to: number[] = [];

  constructor({ nodeCount, nodeName, names }: Heap) {
    this.#nodeCount = nodeCount;
    this.#nodeName = nodeName;
    this.#contextEdge = names.indexOf('context');
    this.#tableEdge = names.indexOf('table');
    this.#timersList = names.indexOf('TimersList');
  }

  visit(from: number, to: number, label: number): void {
    const type = label & TYPE_MASK;
    const name = label >>> TYPE_BITS;
    const isNaming =
      type === CONTEXT ||
      (type === INTERNAL && (name === this.#contextEdge || name === this.#tableEdge)) ||
      (type === ELEMENT && this.#nodeName[to] === this.#timersList);
    if (!isNaming) return;
    this.#from.push(from);
    this.#to.push(to);
  }

  /** Overwrites `start`, a column of two more than the nodes. */
  incoming(start: Uint32Array): IncomingEdges {
    start.fill(0);
    for (const to of this.#to) start[to + 2]! += 1;
    for (let node = 0; node < this.#nodeCount; node += 1) start[node + 2]! += start[node + 1]!;
    const from = new Uint32Array(this.#to.length);
    for (let index = 0; index < from.length; index += 1)
      from[start[this.#to[index]! + 1]!++] = this.#from[index]!;
    return { start, from };
  }
}
