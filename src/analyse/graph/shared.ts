import type { Dominators } from './dominators.ts';
import type { Incoming } from './edges.ts';
import { EDGE, EDGE_MASK, NODE, NONE } from './heap.ts';
import type { Heap } from './heap.ts';
import type { Reach } from './reach.ts';

/** A container and those of its entries that a fix would let go of. */
export interface Hold {
  readonly container: number;
  readonly entries: Iterable<number>;
}

export interface Region {
  readonly heap: Heap;
  readonly incoming: Incoming;
  readonly dominators: Dominators;
  readonly reach: Reach;
  /** A column of memory for the work. */
  readonly spare: Uint32Array;
}

/** More would not fit into a byte beside the flags. */
export const MOST_HOLDERS = 5;
const HOLDERS = (1 << MOST_HOLDERS) - 1;
/** A container, its store, or what dominates one: below it nodes may have fates of their own. */
const SPINE = 1 << 5;
const ALIVE = 1 << 6;
const INSIDE = 1 << 7;

/**
 * By set of suspects (bit n: suspect n): the bytes that are freed when all of that set let go of their entries, and not
 * while one of them does not. Exact, and linear in what lies behind the entries: whatever the tree of short paths
 * reaches without them stays anyway, so only what it reaches through them is looked at; and of that only what nothing
 * else inside dominates, for the rest goes with its dominator.
 * Null when one suspect lies inside another: letting go of the outer one frees the inner one too.
 */
export function sharedBytes(
  region: Region,
  suspects: readonly (readonly Hold[])[],
): Map<number, number> | null {
  const { heap, dominators } = region;
  const cut = cutOf(heap, suspects);
  const marks = new Uint8Array(heap.nodeCount);
  for (const store of cut.stores.keys()) {
    for (let at = store; at !== NONE && (marks[at]! & SPINE) === 0; at = dominators.parent[at]!)
      marks[at]! |= SPINE;
  }
  const count = collect(region, cut, marks);
  const heads = headsOf(region, marks, count);
  settle(linksOf(region, cut, marks, heads), heads.nodes, marks);
  const bytes = new Map<number, number>();
  for (const node of heads.nodes) {
    const mark = marks[node]!;
    if ((mark & ALIVE) !== 0) continue;
    if ((mark & SPINE) !== 0) return null;
    bytes.set(mark & HOLDERS, (bytes.get(mark & HOLDERS) ?? 0) + dominators.retained[node]!);
  }
  return bytes;
}

/** The references that the fixes would cut: from these stores, to these entries, by the suspects that both belong to. */
interface Cut {
  readonly stores: ReadonlyMap<number, number>;
  readonly entries: ReadonlyMap<number, number>;
}

function cutOf(heap: Heap, suspects: readonly (readonly Hold[])[]): Cut {
  const stores = new Map<number, number>();
  const entries = new Map<number, number>();
  const add = (to: Map<number, number>, node: number, bit: number): void =>
    void to.set(node, (to.get(node) ?? 0) | bit);
  for (const [index, holds] of suspects.entries()) {
    const bit = 1 << index;
    for (const hold of holds) {
      add(stores, hold.container, bit);
      for (const store of storesOf(heap, hold.container)) add(stores, store, bit);
      for (const entry of hold.entries) add(entries, entry, bit);
    }
  }
  return { stores, entries };
}

/** Tables and elements. */
function* storesOf(heap: Heap, container: number): Generator<number> {
  for (let edge = heap.firstEdge[container]!; edge < heap.firstEdge[container + 1]!; edge++) {
    const to = heap.edgeTo[edge]!;
    if ((heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.internal && heap.nodeType[to] === NODE.array) yield to;
  }
}

const cutAt = ({ stores, entries }: Cut, from: number, to: number): number => {
  const bits = stores.get(from);
  return bits === undefined ? 0 : bits & (entries.get(to) ?? 0);
};

/** What the tree of short paths reaches through a cut reference; how many that are. */
function collect({ heap, reach, spare }: Region, cut: Cut, marks: Uint8Array): number {
  const { firstEdge, edgeTo } = heap;
  const { viaEdge } = reach;
  let count = 0;
  for (const store of cut.stores.keys()) {
    for (let edge = firstEdge[store]!; edge < firstEdge[store + 1]!; edge++) {
      const to = edgeTo[edge]!;
      if (viaEdge[to] !== edge || marks[to]! >= INSIDE || cutAt(cut, store, to) === 0) continue;
      marks[to]! |= INSIDE;
      spare[count++] = to;
    }
  }
  for (let head = 0; head < count; head++) {
    const node = spare[head]!;
    for (let edge = firstEdge[node]!, end = firstEdge[node + 1]!; edge < end; edge++) {
      const to = edgeTo[edge]!;
      if (viaEdge[to] !== edge || marks[to]! >= INSIDE) continue;
      marks[to]! |= INSIDE;
      spare[count++] = to;
    }
  }
  return count;
}

/** Those of which the rest inside share the fate, and by node the place of its head in that list. */
interface Heads {
  readonly nodes: readonly number[];
  readonly placeOf: Uint32Array;
}

/**
 * A head is not dominated by another node inside, or its dominator has a cut reference somewhere below it. The walk has
 * met a node after the one that dominates it.
 */
function headsOf({ heap, dominators: { parent }, spare }: Region, marks: Uint8Array, count: number): Heads {
  const nodes: number[] = [];
  const placeOf = new Uint32Array(heap.nodeCount);
  for (let at = 0; at < count; at++) {
    const node = spare[at]!;
    const above = marks[parent[node]!]!;
    const isHead = (above & INSIDE) === 0 || (above & SPINE) !== 0;
    placeOf[node] = isHead ? nodes.push(node) - 1 : placeOf[parent[node]!]!;
  }
  return { nodes, placeOf };
}

/** References from head to head: `to[at]` for `first[head] <= at < first[head + 1]`, all by place in the list of heads. */
interface Links {
  readonly first: Uint32Array;
  readonly to: Uint32Array;
}

/** Marks heads by who holds them: a cut reference gives its bits, one from outside that stays keeps them alive. */
function linksOf({ incoming, reach }: Region, cut: Cut, marks: Uint8Array, heads: Heads): Links {
  const { start, from } = incoming;
  const above: number[] = [];
  const below: number[] = [];
  for (const [place, node] of heads.nodes.entries()) {
    for (let at = start[node]!, end = start[node + 1]!; at < end; at++) {
      const holder = from[at]!;
      if (holder !== 0 && reach.viaEdge[holder] === NONE) continue;
      const mark = marks[holder]!;
      const bits = (mark & SPINE) === 0 ? 0 : cutAt(cut, holder, node);
      if (bits !== 0) marks[node]! |= bits;
      else if ((mark & INSIDE) !== 0) {
        const head = heads.placeOf[holder]!;
        if (head === place) continue;
        above.push(head);
        below.push(place);
      } else {
        marks[node]! |= ALIVE;
        break;
      }
    }
  }
  return inRows(heads.nodes.length, above, below);
}

function inRows(count: number, above: readonly number[], below: readonly number[]): Links {
  const first = new Uint32Array(count + 2);
  for (const place of above) first[place + 2]!++;
  for (let place = 0; place < count; place++) first[place + 2]! += first[place + 1]!;
  const to = new Uint32Array(above.length);
  for (const [at, place] of above.entries()) to[first[place + 1]!++] = below[at]!;
  return { first, to };
}

/** What is alive keeps alive what it leads to; who holds a head holds what it leads to: until nothing changes. */
function settle({ first, to }: Links, heads: readonly number[], marks: Uint8Array): void {
  const pending = [...heads.keys()];
  for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
    const bits = marks[heads[place]!]! & (HOLDERS | ALIVE);
    for (let at = first[place]!; at < first[place + 1]!; at++) {
      const node = heads[to[at]!]!;
      if ((marks[node]! & bits) === bits) continue;
      marks[node]! |= bits;
      pending.push(to[at]!);
    }
  }
}
