import { censusName } from './census.ts';
import { markDue } from './due.ts';
import { holdingOf, isTable } from './entries.ts';
import type { Holdings } from './entries.ts';
import type { Dominators } from '../graph/dominators.ts';
import { EDGE, EDGE_MASK, NODE, NONE, edgeText, follow, nodeText, sizeOf } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isTimersList, timersIn } from './timers.ts';

/** The later snapshot beside what is known of an earlier one. */
export interface Pairing {
  /** By node: where it stood in the earlier snapshot, plus one; 0: it is new. */
  readonly before: Uint32Array | Uint8Array;
  /** By the earlier snapshot's nodes. */
  readonly earlier: Holdings;
  readonly now: Holdings;
  /** By id; else by path, where an old object is sometimes taken for new because its way changed. */
  readonly isExact: boolean;
}

/** Something that was there before and holds more than it did. */
export interface Grown {
  readonly node: number;
  readonly how: 'entries' | 'numbers' | 'chain' | 'fresh';
  /** Net: entries that left are taken off, so that a server with other clients than before has not grown. */
  readonly gained: number;
  readonly gainedBytes: number;
}

const LEAST_GAINED = 3;
/** Numbers stand in the store itself, without edges; capacity is reserved in steps, so little of it says nothing. */
const LEAST_STORE_BYTES = 16 << 10;
export const LEAST_FRESH = 50;
const LEAST_CHAIN_OBJECTS = 20;
const MOST_SAMPLE = 300;
const MOST_DEPTH = 65_535;

export function findGrown(heap: Heap, { before, earlier, now }: Pairing): Grown[] {
  const grown: Grown[] = [];
  for (let index = 0; index < now.nodes.length; index++) {
    const node = now.nodes[index]!;
    if (heap.nodeType[node] !== NODE.object) continue;
    const entries = now.entries[index]!;
    if (before[node] === 0) {
      // A duration that no timer had before.
      if (isTimersList(heap, node)) grown.push({ node, how: 'entries', gained: entries, gainedBytes: 0 });
      else if (entries >= LEAST_FRESH) grown.push({ node, how: 'fresh', gained: entries, gainedBytes: 0 });
      continue;
    }
    const then = holdingOf(earlier, before[node]! - 1);
    const gained = entries - (then < 0 ? 0 : earlier.entries[then]!);
    const gainedBytes = now.storeBytes[index]! - (then < 0 ? 0 : earlier.storeBytes[then]!);
    // What shrank counts too: of many like containers some are always fuller and some emptier.
    if (Math.abs(gained) >= LEAST_GAINED) grown.push({ node, how: 'entries', gained, gainedBytes });
    else if (gainedBytes >= LEAST_STORE_BYTES && gained >= 0) {
      grown.push({ node, how: 'numbers', gained: Math.round(gainedBytes / 8), gainedBytes });
    }
  }
  return grown;
}

/** What is new below an old object: how much, and some of it. */
export interface Chain extends Grown {
  /** New objects in a row, each held by the one before it only. */
  readonly depth: number;
  /** Of the most common class: the rest hangs from them. */
  readonly links: number;
  /** Nodes by `kindOf`. */
  readonly kinds: ReadonlyMap<number, number>;
  readonly sample: readonly number[];
}

/** Objects by their class, the rest by type alone, as the census counts. */
export const kindOf = (heap: Heap, node: number): number => {
  const type = heap.nodeType[node]!;
  return type === NODE.object ? heap.nodeName[node]! * KINDS + type : type;
};
const KINDS = 16;

export const kindName = (heap: Heap, kind: number): string =>
  censusName(heap, kind % KINDS, Math.floor(kind / KINDS));

/**
 * Lists and chains of promises grow at their end, where nothing old is: what is new is put down to the nearest
 * old object that dominates it, unless a grown container accounts for it. Code and shapes are left out, a server
 * compiles as it warms up.
 */
export function findChains(
  heap: Heap,
  { before, isExact }: Pairing,
  { dominators, spare }: { dominators: Dominators; spare: Uint32Array },
  grown: readonly Grown[],
): Chain[] {
  const explained = markEntries(heap, isExact ? before : null, grown);
  markDue(heap, explained);
  const depth = new Uint16Array(heap.nodeCount);
  const owner = spare.fill(NONE);
  const chains = new Map<number, Below>();
  const { order } = dominators;
  for (let at = 0; at < order.length; at++) {
    const node = order[at]!;
    const parent = dominators.parent[node]!;
    const isOld = before[node] !== 0;
    owner[node] = isOld || node === 0 ? node : owner[parent]!;
    if (explained[parent] === 1 && !(isOld && isExact)) explained[node] = 1;
    if (isOld) continue;
    depth[node] = Math.min(depth[parent]! + 1, MOST_DEPTH);
    if (explained[node] === 1 || !isData(heap, node)) continue;
    const of = owner[node]!;
    const chain = chains.get(of) ?? {
      objects: 0,
      bytes: 0,
      depth: 0,
      kinds: new Map<number, number>(),
      sample: [],
    };
    chain.depth = Math.max(chain.depth, depth[node]!);
    chain.objects++;
    takeIn(heap, chain, node);
    chains.set(of, chain);
  }
  return settle(heap, dominators, chains);
}

function takeIn(heap: Heap, chain: Below, node: number): void {
  const kind = kindOf(heap, node);
  chain.kinds.set(kind, (chain.kinds.get(kind) ?? 0) + 1);
  chain.bytes += sizeOf(heap, node);
  const most = heap.nodeType[node] === NODE.closure ? MOST_SAMPLE * 2 : MOST_SAMPLE;
  if (chain.sample.length < most) chain.sample.push(node);
}

interface Below {
  objects: number;
  bytes: number;
  depth: number;
  kinds: Map<number, number>;
  sample: number[];
}

/** A list that grows at its end hangs from its last link: what holds the whole of it is the owner. */
function settle(heap: Heap, dominators: Dominators, chains: ReadonlyMap<number, Below>): Chain[] {
  const settled = new Map<number, Below>();
  for (const [link, below] of chains) {
    const links = commonShapes(heap, below.sample);
    let node = link;
    let topmost = 0;
    while (node !== 0 && (!isObject(heap, node) || links.has(follow(heap, node, 'map')))) {
      if (isObject(heap, node)) topmost = node;
      node = dominators.parent[node]!;
    }
    // A module's variables are a context, and so are links that closures make.
    node ||= topmost;
    if (node === 0) continue;
    const sum = settled.get(node);
    if (sum === undefined) settled.set(node, below);
    else {
      sum.objects += below.objects;
      sum.bytes += below.bytes;
      sum.depth = Math.max(sum.depth, below.depth);
      for (const [kind, count] of below.kinds) sum.kinds.set(kind, (sum.kinds.get(kind) ?? 0) + count);
      if (sum.sample.length < MOST_SAMPLE) sum.sample.push(...below.sample);
    }
  }
  return [...settled]
    .filter(([, { objects }]) => objects >= LEAST_CHAIN_OBJECTS)
    .map(([node, { objects, bytes, ...rest }]) => ({
      ...rest,
      node,
      how: 'chain',
      gained: objects,
      links: objects,
      gainedBytes: bytes,
    }));
}

/** Hidden classes: two records are both `Object`, but links have one shape. */
function commonShapes(heap: Heap, sample: readonly number[]): ReadonlySet<number> {
  const counts = new Map<number, number>();
  // The first ones only: behind them come closures alone. Strings and numbers are no links.
  const objects = sample.slice(0, MOST_SAMPLE).filter((node) => isObject(heap, node));
  for (const node of objects) {
    const shape = follow(heap, node, 'map');
    counts.set(shape, (counts.get(shape) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count >= objects.length / 10).map(([shape]) => shape));
}

const isObject = (heap: Heap, node: number): boolean =>
  heap.nodeType[node] === NODE.object || heap.nodeType[node] === NODE.closure;

/** Flags of the new entries of grown containers, and of their tables. */
function markEntries(heap: Heap, before: Pairing['before'] | null, grown: readonly Grown[]): Uint8Array {
  const marked = new Uint8Array(heap.nodeCount);
  for (const { node } of grown) {
    for (const entry of entriesOf(heap, node)) if (before === null || before[entry] === 0) marked[entry] = 1;
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
      const to = heap.edgeTo[edge]!;
      if (heap.nodeType[to] === NODE.array && (before === null || before[to] === 0)) marked[to] = 1;
    }
  }
  return marked;
}

function isData(heap: Heap, node: number): boolean {
  const type = heap.nodeType[node]!;
  if (type === NODE.hidden) return nodeText(heap, node).startsWith('system / Promise');
  return (
    type !== NODE.code && type !== NODE['object shape'] && type !== NODE.synthetic && type !== NODE.native
  );
}

/** What a container holds directly or by its table, the last first; the same target twice comes twice. */
export function* entriesOf(heap: Heap, container: number): Generator<number> {
  const { firstEdge, edgeLabel, edgeTo, nodeType } = heap;
  if (isTimersList(heap, container)) yield* timersIn(heap, container);
  const first = firstEdge[container]!;
  for (let edge = firstEdge[container + 1]! - 1; edge >= first; edge--) {
    const kind = edgeLabel[edge]! & EDGE_MASK;
    const to = edgeTo[edge]!;
    if (kind === EDGE.element || (kind === EDGE.property && !isPrototype(heap, edge))) yield to;
    else if (kind === EDGE.internal && nodeType[to] === NODE.array && isTable(heap, to)) {
      for (let inner = firstEdge[to + 1]! - 1; inner >= firstEdge[to]!; inner--) {
        if ((edgeLabel[inner]! & EDGE_MASK) === EDGE.internal) yield edgeTo[inner]!;
      }
    }
  }
}

const isPrototype = (heap: Heap, edge: number): boolean => edgeText(heap, edge) === '__proto__';
