/**
 * The parts of a graph that a census needs: shortest paths, the edges by which code names an object, bytes reached first
 * through each node, chains of objects, and the objects that may be containers. One traversal collects all of them. It has
 * no dominators and no list of all incoming edges, which take most of the time and memory of a comparison.
 */
import type { IncomingEdges } from '../graph/dominators.ts';
import { exportedVariables } from '../graph/exported-variables.ts';
import type { ExportedNames } from '../graph/exported-variables.ts';
import { pathParent } from '../graph/graph.ts';
import type { Graph, ShortestPaths } from '../graph/graph.ts';
import { EDGE, EDGE_TYPE_BITS, EDGE_TYPE_MASK, NODE, NONE, isStrong, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { Scripts } from '../graph/scripts.ts';
import { ContainerCandidates } from './count-containers.ts';

/** A list of at least this many objects of one class, each a field of the one before, or of promises that wait. */
export interface ObjectChain {
  readonly head: number;
  readonly length: number;
}

/**
 * Functions that wait for one promise are a list of its reactions. `tail = tail.then(...)` makes a list in which each
 * promise has a reaction that refers to the next promise.
 */
const PROMISE = 'Promise';
const PROMISE_REACTION = 'system / PromiseReaction';

export const isReaction = (heap: Heap, node: number | undefined): boolean =>
  node !== undefined && nodeText(heap, node) === PROMISE_REACTION;

export const isPromise = (heap: Heap, node: number): boolean =>
  heap.nodeType[node] === OBJECT && nodeText(heap, node) === PROMISE;

export const isPromiseChain = (heap: Heap, { head }: ObjectChain): boolean =>
  isPromise(heap, head) || isReaction(heap, head);

export interface CensusGraph {
  /** Its dominator tree is empty, and `incoming` has only the edges that name an object. */
  readonly graph: Graph;
  /** Bytes of the node and of everything that the shortest paths reach through it. */
  readonly reachedBytes: (node: number) => number;
  readonly chains: readonly ObjectChain[];
  /** Objects with elements, a table, many fields or timers. All other objects are records. */
  readonly candidates: readonly number[];
}

/** Nested records of one class are not lists: no record of the checked servers is this deep. */
const MIN_CHAIN = 30;
/** Reached bytes are kept in words of 8 bytes, the alignment of V8's heap, so that 32 bits count up to 32 GiB. */
const WORD_BYTES = 8;
const MAX_WORDS = 2 ** 32 - 1;
// Local constants: an imported name is read from its module object at each use, here for each edge.
const { object: OBJECT, closure: CLOSURE, hidden: HIDDEN, string: STRING, number: NUMBER } = NODE;
const { context: CONTEXT, element: ELEMENT, internal: INTERNAL, property: PROPERTY } = EDGE;
const [TYPE_BITS, TYPE_MASK] = [EDGE_TYPE_BITS, EDGE_TYPE_MASK];
const keepsAlive = isStrong;
const NO_EDGE = NONE;

/** Takes over the heap: its column of sizes is overwritten with the sums of reached bytes, to save a column. */
export function buildCensusGraph(heap: Heap, namesOf: ExportedNames = () => null): CensusGraph {
  const words = toWords(heap);
  const { edgeInto, order, reachable, chains, naming, candidates } = traverse(heap, words);
  sumReached(heap, edgeInto, order.subarray(0, reachable), words);
  const none = new Uint32Array(0);
  const scripts = new Scripts(heap);
  const graph = {
    heap,
    incoming: naming.incoming(order),
    dominators: {
      order: none,
      parent: none,
      retainedSize: new Float64Array(0),
      scratch: [none, none] as const,
    },
    paths: { edgeInto },
    scripts,
    exports: exportedVariables(heap, scripts, namesOf),
    scratch: none,
  };
  return { graph, reachedBytes: (node) => words[node]! * WORD_BYTES, chains, candidates };
}

interface Traversal {
  readonly edgeInto: Uint32Array;
  /** The reachable nodes but for strings and numbers, in breadth-first order, and room for two more. */
  readonly order: Uint32Array;
  readonly reachable: number;
  readonly chains: readonly ObjectChain[];
  readonly naming: NamingEdges;
  readonly candidates: readonly number[];
}

function toWords({ selfSize: words, hugeSizes }: Heap): Uint32Array {
  for (let node = 0; node < words.length; node += 1) words[node] = Math.ceil(words[node]! / WORD_BYTES);
  for (const [node, size] of hugeSizes) words[node] = Math.min(MAX_WORDS, Math.ceil(size / WORD_BYTES));
  return words;
}

/** Adds the words of strings and numbers to the node that reaches them. */
function traverse(heap: Heap, words: Uint32Array): Traversal {
  const { nodeCount, firstEdge, edgeLabel, edgeTo, nodeType } = heap;
  const edgeInto = new Uint32Array(nodeCount).fill(NONE);
  const order = new Uint32Array(nodeCount + 2);
  const candidates = new ContainerCandidates(heap);
  const chains = new Chains(heap, edgeInto);
  const naming = new NamingEdges(heap);
  let tail = 1;
  for (let index = 0; index < tail; index += 1) {
    const node = order[index]!;
    const type = nodeType[node]!;
    const canLink = type === OBJECT || type === HIDDEN;
    const canName = type === OBJECT || type === CLOSURE;
    if (type === OBJECT) candidates.visit(node);
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const to = edgeTo[edge]!;
      const label = edgeLabel[edge]!;
      if (canName) naming.visit(node, to, label);
      if (edgeInto[to] !== NO_EDGE || to === 0 || !keepsAlive(label, node)) continue;
      edgeInto[to] = edge;
      const toType = nodeType[to]!;
      // The only edge of a string or a number leads to its map, which all of its kind share.
      if (toType === STRING || toType === NUMBER) {
        words[node] = words[node]! + words[to]!;
        continue;
      }
      order[tail++] = to;
      if (canLink) chains.visit(node, to);
    }
  }
  return { edgeInto, order, reachable: tail, chains: chains.long(), naming, candidates: candidates.nodes };
}

/** Objects of one class that refer to each other, by the first of them. */
class Chains {
  readonly #heap: Heap;
  readonly #paths: ShortestPaths;
  readonly #promise: number;
  readonly #reaction: number;
  /** Links before a node, at most `MIN_CHAIN`; nearly all chains are short, and a map entry for each would cost more. */
  readonly #depths: Uint8Array;
  /** Only of nodes that are at least that deep. */
  readonly #links = new Map<number, ObjectChain>();
  readonly #lengths = new Map<number, number>();

  constructor(heap: Heap, edgeInto: Uint32Array) {
    this.#heap = heap;
    this.#paths = { edgeInto };
    this.#promise = heap.names.indexOf(PROMISE);
    this.#reaction = heap.names.indexOf(PROMISE_REACTION);
    this.#depths = new Uint8Array(heap.nodeCount);
  }

  /** Call it in breadth-first order. */
  visit(from: number, to: number): void {
    const { nodeName, nodeType } = this.#heap;
    const name = nodeName[from]!;
    const toName = nodeName[to]!;
    if (name === toName) {
      if (nodeType[from] === nodeType[to]) this.#link(from, to, 1);
    } else if (name === this.#promise && toName === this.#reaction) this.#link(from, to, 0);
    else if (name === this.#reaction && toName === this.#promise) this.#link(from, to, 1);
  }

  /** A promise and the reaction that it refers to count as one link: `count` is 0 for the step between them. */
  #link(from: number, to: number, count: 0 | 1): void {
    const depth = this.#depths[from]! + count;
    const before = this.#links.get(from);
    if (before === undefined && depth < MIN_CHAIN) {
      this.#depths[to] = depth;
      return;
    }
    this.#depths[to] = MIN_CHAIN - 1;
    const { head, length } = before ?? { head: this.#headOf(from), length: MIN_CHAIN };
    const link = { head, length: length + count };
    this.#links.set(to, link);
    this.#lengths.set(head, Math.max(this.#lengths.get(head) ?? 0, link.length));
  }

  /** Call it for a node of the last depth that is not in `#links` yet. */
  #headOf(node: number): number {
    let head = node;
    while (this.#depths[head]! > 0) head = pathParent(this.#heap, this.#paths, head);
    return head;
  }

  long(): ObjectChain[] {
    return [...this.#lengths]
      .filter(([head]) => !isTimer(this.#heap, head))
      .map(([head, length]) => ({ head, length }));
  }
}

/** Timers are counted as entries of their list. */
const isTimer = (heap: Heap, node: number): boolean =>
  /^(Timeout|TimersList|Immediate)/.test(nodeText(heap, node));

/**
 * The nodes that a node reaches first stand together in breadth-first order, after it. So two indexes that run from the end
 * find parents and children without a column of parents.
 */
function sumReached(heap: Heap, edgeInto: Uint32Array, order: Uint32Array, words: Uint32Array): void {
  const { firstEdge } = heap;
  let child = order.length - 1;
  for (let index = child; index >= 0; index -= 1) {
    const node = order[index]!;
    const first = firstEdge[node]!;
    let sum = words[node]!;
    // No node later in the order than `child` is left, so an edge from `first` on can only be one of this node.
    for (
      ;
      child > 0 && edgeInto[order[child]!]! >= first && edgeInto[order[child]!]! < firstEdge[node + 1]!;
      child -= 1
    )
      sum += words[order[child]!]!;
    words[node] = Math.min(MAX_WORDS, sum);
  }
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
    if (type === PROPERTY) return;
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
