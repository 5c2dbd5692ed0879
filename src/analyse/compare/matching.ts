/** Finds the objects of an earlier snapshot again in a later one: by object id, else by their path from the root. */
import { SnapshotError } from '../../heapsnapshot/snapshot-error.ts';
import {
  EDGE,
  EDGE_TYPE_BITS,
  EDGE_TYPE_MASK,
  NODE,
  edgeTarget,
  isNamedEdge,
  isStrong,
  nodeText,
} from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { takeCensus } from './census.ts';
import type { Census } from './census.ts';
import { findAcceptedSockets } from './connections.ts';
import type { AcceptedSockets } from './connections.ts';
import { measureContainers } from './containers.ts';
import type { ContainerSizes } from './containers.ts';

/** The data of an earlier snapshot that a comparison needs. Its graph is released before the next file is read. */
export interface EarlierSnapshot {
  readonly sizes: ContainerSizes;
  readonly census: Census;
  readonly accepted: AcceptedSockets;
  readonly ids: IdTable;
  /** Nodes that show whether ids have the same meaning in the next file. */
  readonly sample: IdSample;
}

interface IdSample {
  /** Functions live as long as the process. A heap without them has other nodes, which may be replaced meanwhile. */
  readonly areFunctions: boolean;
  readonly nodes: readonly { readonly id: number; readonly type: number; readonly name: string }[];
}

/** Object id -> node plus one. V8 counts the ids of objects; the ids of native objects are hashes, as high as 2^32. */
interface IdTable {
  readonly counted: Uint32Array;
  readonly hashed: ReadonlyMap<number, number>;
}

const SAMPLE_NODES = 5000;
/** Fewer functions are no evidence: a server has thousands. */
const MIN_FUNCTIONS = 100;
/** Share of the sample whose id belongs to the same class in the next file. Of functions it was 88 to 99.9 %. */
const MIN_SHARE_OF_FUNCTIONS = 0.5;
/** It is small for other nodes when most of the heap was replaced meanwhile. */
const MIN_SHARE_OF_NODES = 0.05;
/** Share of the ids that both files have which belong to the same class: ids that were given anew collide. */
const MIN_SHARE_SAME_CLASS = 0.98;
/** Ids above this number for each node are hashes: a table up to them would be mostly empty. */
const MAX_IDS_PER_NODE = 16;
const MIN_ID_LIMIT = 1 << 24;

export function toEarlierSnapshot(heap: Heap): EarlierSnapshot {
  return {
    sizes: measureContainers(heap),
    census: takeCensus(heap),
    accepted: findAcceptedSockets(heap),
    ids: indexIds(heap),
    sample: takeSample(heap),
  };
}

/** V8 has one shared function for all closures of a function in the source. */
function takeSample(heap: Heap): IdSample {
  const functions = new Set<number>();
  for (let node = 0; node < heap.nodeCount; node += 1) {
    const shared = heap.nodeType[node] === NODE.closure ? edgeTarget(heap, node, 'shared') : -1;
    if (shared >= 0) functions.add(shared);
  }
  const areFunctions = functions.size >= MIN_FUNCTIONS;
  const all = areFunctions ? [...functions] : Array.from({ length: heap.nodeCount }, (_, node) => node);
  const step = Math.max(1, Math.floor(all.length / SAMPLE_NODES));
  const nodes = [];
  for (let index = 0; index < all.length; index += step) {
    const node = all[index]!;
    nodes.push({ id: heap.nodeId[node]!, type: heap.nodeType[node]!, name: nodeText(heap, node) });
  }
  return { areFunctions, nodes };
}

function indexIds({ nodeId, nodeCount }: Heap): IdTable {
  const limit = MAX_IDS_PER_NODE * nodeCount + MIN_ID_LIMIT;
  let highest = 0;
  for (let node = 0; node < nodeCount; node += 1) {
    const id = nodeId[node]!;
    if (id > highest && id <= limit) highest = id;
  }
  try {
    const counted = new Uint32Array(highest + 1);
    const hashed = new Map<number, number>();
    for (let node = 0; node < nodeCount; node += 1) {
      const id = nodeId[node]!;
      if (id <= highest) counted[id] = node + 1;
      else hashed.set(id, node + 1);
    }
    return { counted, hashed };
  } catch {
    throw new SnapshotError('WSGUARD_SNAPSHOT_TOO_LARGE', `no memory for an index of ${nodeCount} ids`);
  }
}

/** Node of `heap` -> node of the earlier snapshot plus one; 0 for new nodes. */
export function matchByIds(
  { nodeId, nodeCount }: Heap,
  { ids: { counted, hashed } }: EarlierSnapshot,
): Uint32Array {
  const earlierNode = new Uint32Array(nodeCount);
  for (let node = 0; node < nodeCount; node += 1) {
    const id = nodeId[node]!;
    if (id < counted.length) earlierNode[node] = counted[id]!;
    else if (hashed.size > 0) earlierNode[node] = hashed.get(id) ?? 0;
  }
  return earlierNode;
}

/**
 * V8 assigns an id when it first meets an object and keeps it in the process that writes the snapshot. A forked child
 * that writes a snapshot takes its ids with it, and the end of any inspector session makes V8 forget them: the ids of two
 * such files, or of two processes, are unrelated.
 */
export function idsAgree(heap: Heap, earlier: EarlierSnapshot): boolean {
  const { nodes, areFunctions } = earlier.sample;
  const sampled = new Map(nodes.map((each) => [each.id, each]));
  const highest = nodes.reduce((max, { id }) => Math.max(max, id), 0);
  const mask = new Uint8Array((highest >>> 3) + 1);
  for (const id of sampled.keys()) mask[id >>> 3]! |= 1 << (id & 7);
  let withId = 0;
  let sameClass = 0;
  for (let node = 0; node < heap.nodeCount; node += 1) {
    const id = heap.nodeId[node]!;
    if (id > highest || (mask[id >>> 3]! & (1 << (id & 7))) === 0) continue;
    const { type, name } = sampled.get(id)!;
    withId += 1;
    if (heap.nodeType[node] === type && nodeText(heap, node) === name) sameClass += 1;
  }
  const minShare = areFunctions ? MIN_SHARE_OF_FUNCTIONS : MIN_SHARE_OF_NODES;
  return sameClass >= nodes.length * minShare && sameClass >= withId * MIN_SHARE_SAME_CLASS;
}

/**
 * Walks both graphs together from their roots. Two nodes match when the same steps lead to them and they have the same
 * class. Returns, by node of `later`, the node of `earlier` plus one; 0 for new nodes.
 */
export function matchByPath(earlier: Heap, later: Heap): Uint32Array {
  const walk = new ParallelWalk(earlier, later);
  walk.run();
  return walk.earlierNode;
}

/** Root lists of objects that are on the stack or in a handle while the snapshot is taken. */
const TRANSIENT_ROOTS = /stack|handle scope|handles/i;

class ParallelWalk {
  readonly earlierNode: Uint32Array;
  readonly #earlier: Heap;
  readonly #later: Heap;
  /** Earlier node -> 1 when it has its match. */
  readonly #matched: Uint8Array;
  /** Matched nodes of `later` in the order of matching. */
  readonly #queue: Uint32Array;
  #tail = 0;
  /** Text -> number, the same for both files: a text has different string indexes in them. */
  readonly #textNumbers = new Map<string, number>();
  /** String index -> number of its text; 0 when not looked up yet. They save four Map lookups per edge. */
  readonly #earlierNumbers: Uint32Array;
  readonly #laterNumbers: Uint32Array;

  constructor(earlier: Heap, later: Heap) {
    this.#earlier = earlier;
    this.#later = later;
    this.earlierNode = new Uint32Array(later.nodeCount);
    this.#matched = new Uint8Array(earlier.nodeCount);
    this.#queue = new Uint32Array(later.nodeCount);
    this.#earlierNumbers = new Uint32Array(earlier.names.count);
    this.#laterNumbers = new Uint32Array(later.names.count);
  }

  /** Root lists have no names, only an order, which is weak evidence: named edges go first, transient roots last. */
  run(): void {
    this.#match(0, 0);
    const stable: number[] = [];
    const transient: number[] = [];
    for (let head = 0, nextStable = 0, nextTransient = 0; ;) {
      for (; head < this.#tail; head += 1) {
        const node = this.#queue[head]!;
        if (node === 0 || this.#later.nodeType[node] !== NODE.synthetic) this.#matchChildren(node);
        else if (TRANSIENT_ROOTS.test(nodeText(this.#later, node))) transient.push(node);
        else stable.push(node);
      }
      const node = stable[nextStable++] ?? transient[nextTransient++];
      if (node === undefined) return;
      this.#matchChildren(node);
    }
  }

  #match(earlierNode: number, node: number): void {
    if (this.#matched[earlierNode] === 1 || this.earlierNode[node] !== 0) return;
    this.#matched[earlierNode] = 1;
    this.earlierNode[node] = earlierNode + 1;
    this.#queue[this.#tail++] = node;
  }

  /** An unchanged object has the same edges in the same order. After the first difference, edges are found by key. */
  #matchChildren(node: number): void {
    const earlier = this.#earlier;
    const later = this.#later;
    const earlierNode = this.earlierNode[node]! - 1;
    let earlierEdge = earlier.firstEdge[earlierNode]!;
    let edge = later.firstEdge[node]!;
    const earlierEnd = earlier.firstEdge[earlierNode + 1]!;
    const end = later.firstEdge[node + 1]!;
    const isByOrder = later.nodeType[node] === NODE.synthetic || isHashTable(later, node);
    while (earlierEdge < earlierEnd && edge < end && !isByOrder) {
      if (this.#edgeKey(earlier, earlierEdge) !== this.#edgeKey(later, edge)) break;
      if (this.#isSameClass(earlierEdge, edge))
        this.#match(earlier.edgeTo[earlierEdge]!, later.edgeTo[edge]!);
      earlierEdge += 1;
      edge += 1;
    }
    if (earlierEdge === earlierEnd || edge === end) return;
    const unmatched = new Map<string, number[]>();
    for (let i = earlierEnd - 1; i >= earlierEdge; i--) {
      if (!isStrong(earlier.edgeLabel[i]!, earlierNode)) continue;
      const key = this.#childKey(earlier, i, isByOrder);
      const list = unmatched.get(key);
      if (list === undefined) unmatched.set(key, [i]);
      else list.push(i);
    }
    for (let i = edge; i < end; i += 1) {
      if (!isStrong(later.edgeLabel[i]!, node)) continue;
      const match = unmatched.get(this.#childKey(later, i, isByOrder))?.pop();
      if (match !== undefined) this.#match(earlier.edgeTo[match]!, later.edgeTo[i]!);
    }
  }

  #isSameClass(earlierEdge: number, edge: number): boolean {
    const earlierNode = this.#earlier.edgeTo[earlierEdge]!;
    const node = this.#later.edgeTo[edge]!;
    if (this.#earlier.nodeType[earlierNode] !== this.#later.nodeType[node]) return false;
    return (
      this.#textNumber(this.#earlier, this.#earlier.nodeName[earlierNode]!) ===
      this.#textNumber(this.#later, this.#later.nodeName[node]!)
    );
  }

  /** Row numbers of hash tables and root lists shift, so there only the class and the order count. */
  #childKey(heap: Heap, edge: number, isByOrder: boolean): string {
    const to = heap.edgeTo[edge]!;
    const target = `${heap.nodeType[to]} ${this.#textNumber(heap, heap.nodeName[to]!)}`;
    return isByOrder ? target : `${this.#edgeKey(heap, edge)} ${target}`;
  }

  #edgeKey(heap: Heap, edge: number): number {
    const label = heap.edgeLabel[edge]!;
    const type = label & EDGE_TYPE_MASK;
    const name = label >>> EDGE_TYPE_BITS;
    return (isNamedEdge(type) ? this.#textNumber(heap, name) : name) * 8 + type;
  }

  /** All strings whose text is not kept (values) have the same number. */
  #textNumber(heap: Heap, index: number): number {
    const numbers = heap === this.#earlier ? this.#earlierNumbers : this.#laterNumbers;
    const cached = numbers[index]!;
    if (cached !== 0) return cached;
    const text = heap.names.text(index);
    const number = this.#textNumbers.get(text) ?? this.#textNumbers.size + 1;
    this.#textNumbers.set(text, number);
    numbers[index] = number;
    return number;
  }
}

/** The table of a Map or Set: an array without a name, with internal edges. */
function isHashTable(heap: Heap, node: number): boolean {
  if (heap.nodeType[node] !== NODE.array || nodeText(heap, node) !== '') return false;
  const first = heap.edgeLabel[heap.firstEdge[node]!];
  return first !== undefined && (first & EDGE_TYPE_MASK) === EDGE.internal;
}
