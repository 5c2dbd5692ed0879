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
const keepsAlive = isStrong;
const NO_EDGE = NONE;

export function buildCensusGraph(heap: Heap): CensusGraph {
  const { nodeCount, firstEdge, edgeLabel, edgeTo, nodeType, nodeName } = heap;
  const edgeInto = new Uint32Array(nodeCount).fill(NONE);
  const order = new Uint32Array(nodeCount);
  const links = new Map<number, { readonly head: number; readonly depth: number }>();
  const lengths = new Map<number, number>();
  let tail = 1;
  for (let index = 0; index < tail; index += 1) {
    const node = order[index]!;
    const name = nodeName[node]!;
    const type = nodeType[node]!;
    const canLink = type === OBJECT || type === HIDDEN;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const to = edgeTo[edge]!;
      if (to === 0 || edgeInto[to] !== NO_EDGE || !keepsAlive(edgeLabel[edge]!, node)) continue;
      edgeInto[to] = edge;
      order[tail++] = to;
      if (canLink && nodeName[to] === name && nodeType[to] === type) {
        const { head, depth } = links.get(node) ?? { head: node, depth: 1 };
        links.set(to, { head, depth: depth + 1 });
        lengths.set(head, Math.max(lengths.get(head) ?? 1, depth + 1));
      }
    }
  }
  const chains = [...lengths]
    .filter(([head, length]) => length >= MIN_CHAIN && !isTimer(heap, head))
    .map(([head, length]) => ({ head, length }));
  const reachedBytes = sumReached(heap, edgeInto, order.subarray(0, tail));
  const scripts = new Scripts(heap);
  const none = new Uint32Array(0);
  const dominators = {
    order: none,
    parent: none,
    retainedSize: reachedBytes,
    scratch: [none, none] as const,
  };
  const graph = {
    heap,
    incoming: namingEdges(heap),
    dominators,
    paths: { edgeInto },
    scripts,
    scratch: none,
  };
  return { graph, reachedBytes, chains };
}

/** Timers are counted as entries of their list. */
const isTimer = (heap: Heap, node: number): boolean =>
  /^(Timeout|TimersList|Immediate)/.test(nodeText(heap, node));

/** Children come after their parent in breadth-first order, so the sum runs from the end. */
function sumReached(heap: Heap, edgeInto: Uint32Array, order: Uint32Array): Float64Array {
  const { firstEdge, edgeTo } = heap;
  const bytes = new Float64Array(heap.nodeCount);
  for (let index = order.length - 1; index >= 0; index -= 1) {
    const node = order[index]!;
    let sum = sizeOf(heap, node);
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const to = edgeTo[edge]!;
      if (edgeInto[to] === edge) sum += bytes[to]!;
    }
    bytes[node] = sum;
  }
  return bytes;
}

/** Only the edges that name an object: from a scope to its variables, from a function to its scope, from a Map to its table. */
function namingEdges(heap: Heap): IncomingEdges {
  const sources: number[] = [];
  const targets: number[] = [];
  forEachNamingEdge(heap, (from, to) => {
    sources.push(from);
    targets.push(to);
  });
  const start = new Uint32Array(heap.nodeCount + 2);
  for (const to of targets) start[to + 2]! += 1;
  for (let node = 0; node < heap.nodeCount; node += 1) start[node + 2]! += start[node + 1]!;
  const from = new Uint32Array(targets.length);
  for (let index = 0; index < targets.length; index += 1)
    from[start[targets[index]! + 1]!++] = sources[index]!;
  return { start, from };
}

function forEachNamingEdge(heap: Heap, visit: (from: number, to: number) => void): void {
  const { nodeCount, firstEdge, edgeLabel, edgeTo, nodeType, names } = heap;
  const contextEdge = names.indexOf('context');
  const timersList = names.indexOf('TimersList');
  const tableEdge = names.indexOf('table');
  for (let node = 0; node < nodeCount; node += 1) {
    const type = nodeType[node]!;
    if (type !== OBJECT && type !== CLOSURE) continue;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const label = edgeLabel[edge]!;
      const edgeType = label & EDGE_TYPE_MASK;
      const isVariable = edgeType === EDGE.context;
      const isNamed =
        edgeType === EDGE.internal &&
        (label >>> EDGE_TYPE_BITS === contextEdge || label >>> EDGE_TYPE_BITS === tableEdge);
      const isTimers = edgeType === EDGE.element && heap.nodeName[edgeTo[edge]!] === timersList;
      if (isVariable || isNamed || isTimers) visit(node, edgeTo[edge]!);
    }
  }
}
