/** Bytes that several suspects retain together: freed only when all of them release their entries. */
import type { DominatorTree, IncomingEdges } from './dominators.ts';
import type { ShortestPaths } from './graph.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, NONE } from './heap.ts';
import type { Heap } from './heap.ts';

/** A container of a suspect, and the entries that a fix of the leak would remove from it. */
export interface SuspectContainer {
  readonly container: number;
  readonly entries: Iterable<number>;
}

interface Input {
  readonly heap: Heap;
  readonly incoming: IncomingEdges;
  readonly dominators: DominatorTree;
  readonly paths: ShortestPaths;
  /** A column that this function may overwrite. */
  readonly scratch: Uint32Array;
}

/** Each suspect has one bit of a byte; the other three bits are the flags below. */
export const MAX_SUSPECTS = 5;
const SUSPECT_BITS = (1 << MAX_SUSPECTS) - 1;
/** A container, its backing store, or a dominator of one. Nodes below it may be freed although it is not. */
const ABOVE_CUT = 1 << 5;
/** Reachable without any of the entries. */
const ALIVE = 1 << 6;
/** Below an entry in the tree of shortest paths. */
const BELOW_CUT = 1 << 7;

/**
 * Returns, by set of suspects (bit n: suspect n), the bytes that are freed when all suspects of that set release their
 * entries, but not while one of them keeps them. Null when one suspect lies inside another, because releasing the
 * outer one frees the inner one too.
 *
 * The result is exact. Nodes that the tree of shortest paths reaches without an entry stay alive, so only nodes below an
 * entry are examined. A node that is dominated by another examined node is freed with it, so only the topmost nodes,
 * called heads, are marked.
 */
export function findSharedRetention(
  input: Input,
  suspects: readonly (readonly SuspectContainer[])[],
): Map<number, number> | null {
  const { heap, dominators } = input;
  const cut = cutReferences(heap, suspects);
  const marks = new Uint8Array(heap.nodeCount);
  for (const store of cut.stores.keys()) {
    for (let node = store; node !== NONE && (marks[node]! & ABOVE_CUT) === 0; node = dominators.parent[node]!)
      marks[node]! |= ABOVE_CUT;
  }
  const count = markBelowCut(input, cut, marks);
  const heads = findHeads(input, marks, count);
  propagate(linkHeads(input, cut, marks, heads), heads.nodes, marks);
  const bytes = new Map<number, number>();
  for (const node of heads.nodes) {
    const mark = marks[node]!;
    if ((mark & ALIVE) !== 0) continue;
    if ((mark & ABOVE_CUT) !== 0) return null;
    const set = mark & SUSPECT_BITS;
    bytes.set(set, (bytes.get(set) ?? 0) + dominators.retainedSize[node]!);
  }
  return bytes;
}

/** The references that the fixes would remove. Node -> bits of the suspects that it is a store or an entry of. */
interface Cut {
  readonly stores: ReadonlyMap<number, number>;
  readonly entries: ReadonlyMap<number, number>;
}

function cutReferences(heap: Heap, suspects: readonly (readonly SuspectContainer[])[]): Cut {
  const stores = new Map<number, number>();
  const entries = new Map<number, number>();
  const add = (to: Map<number, number>, node: number, bit: number): void =>
    void to.set(node, (to.get(node) ?? 0) | bit);
  for (const [index, containers] of suspects.entries()) {
    const bit = 1 << index;
    for (const { container, entries: released } of containers) {
      add(stores, container, bit);
      for (const store of backingStores(heap, container)) add(stores, store, bit);
      for (const entry of released) add(entries, entry, bit);
    }
  }
  return { stores, entries };
}

/** Hash tables and element arrays. */
function* backingStores(heap: Heap, container: number): Generator<number> {
  for (let edge = heap.firstEdge[container]!; edge < heap.firstEdge[container + 1]!; edge += 1) {
    const to = heap.edgeTo[edge]!;
    const isInternal = (heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.internal;
    if (isInternal && heap.nodeType[to] === NODE.array) yield to;
  }
}

/** The suspects whose fix would remove this reference. */
const cutBits = ({ stores, entries }: Cut, from: number, to: number): number => {
  const bits = stores.get(from);
  return bits === undefined ? 0 : bits & (entries.get(to) ?? 0);
};

/** Marks the nodes that shortest paths reach through an entry, lists them in `scratch` and returns their number. */
function markBelowCut({ heap, paths, scratch }: Input, cut: Cut, marks: Uint8Array): number {
  const { firstEdge, edgeTo } = heap;
  const { edgeInto } = paths;
  let count = 0;
  for (const store of cut.stores.keys()) {
    for (let edge = firstEdge[store]!; edge < firstEdge[store + 1]!; edge += 1) {
      const to = edgeTo[edge]!;
      if (edgeInto[to] !== edge || marks[to]! >= BELOW_CUT || cutBits(cut, store, to) === 0) continue;
      marks[to]! |= BELOW_CUT;
      scratch[count++] = to;
    }
  }
  for (let head = 0; head < count; head += 1) {
    const node = scratch[head]!;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge += 1) {
      const to = edgeTo[edge]!;
      if (edgeInto[to] !== edge || marks[to]! >= BELOW_CUT) continue;
      marks[to]! |= BELOW_CUT;
      scratch[count++] = to;
    }
  }
  return count;
}

interface Heads {
  readonly nodes: readonly number[];
  /** Node below the cut -> index in `nodes` of the head that it is freed with. */
  readonly headOf: Uint32Array;
}

/**
 * A head has no dominator below the cut, or its dominator has a removed reference somewhere below. `scratch` lists a
 * node after its dominator.
 */
function findHeads(
  { heap, dominators: { parent }, scratch }: Input,
  marks: Uint8Array,
  count: number,
): Heads {
  const nodes: number[] = [];
  const headOf = new Uint32Array(heap.nodeCount);
  for (let i = 0; i < count; i += 1) {
    const node = scratch[i]!;
    const above = marks[parent[node]!]!;
    const isHead = (above & BELOW_CUT) === 0 || (above & ABOVE_CUT) !== 0;
    headOf[node] = isHead ? nodes.push(node) - 1 : headOf[parent[node]!]!;
  }
  return { nodes, headOf };
}

/** References between heads: `to[i]` for `first[head] <= i < first[head + 1]`, all as indexes into the heads. */
interface Links {
  readonly first: Uint32Array;
  readonly to: Uint32Array;
}

/** Marks each head with the suspects that retain it, or as alive when a reference from outside stays. */
function linkHeads({ incoming, paths }: Input, cut: Cut, marks: Uint8Array, heads: Heads): Links {
  const { start, from } = incoming;
  const sources: number[] = [];
  const targets: number[] = [];
  for (const [index, node] of heads.nodes.entries()) {
    for (let i = start[node]!, end = start[node + 1]!; i < end; i += 1) {
      const retainer = from[i]!;
      if (retainer !== 0 && paths.edgeInto[retainer] === NONE) continue;
      const mark = marks[retainer]!;
      const bits = (mark & ABOVE_CUT) === 0 ? 0 : cutBits(cut, retainer, node);
      if (bits !== 0) marks[node]! |= bits;
      else if ((mark & BELOW_CUT) !== 0) {
        const head = heads.headOf[retainer]!;
        if (head === index) continue;
        sources.push(head);
        targets.push(index);
      } else {
        marks[node]! |= ALIVE;
        break;
      }
    }
  }
  return groupBySource(heads.nodes.length, sources, targets);
}

function groupBySource(count: number, sources: readonly number[], targets: readonly number[]): Links {
  const first = new Uint32Array(count + 2);
  for (const source of sources) first[source + 2]! += 1;
  for (let index = 0; index < count; index += 1) first[index + 2]! += first[index + 1]!;
  const to = new Uint32Array(sources.length);
  for (const [i, source] of sources.entries()) to[first[source + 1]!++] = targets[i]!;
  return { first, to };
}

/** A head that is alive, or that a suspect retains, passes the mark on to the heads that it refers to. */
function propagate({ first, to }: Links, heads: readonly number[], marks: Uint8Array): void {
  const pending = [...heads.keys()];
  for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
    const bits = marks[heads[index]!]! & (SUSPECT_BITS | ALIVE);
    for (let i = first[index]!; i < first[index + 1]!; i += 1) {
      const node = heads[to[i]!]!;
      if ((marks[node]! & bits) === bits) continue;
      marks[node]! |= bits;
      pending.push(to[i]!);
    }
  }
}
