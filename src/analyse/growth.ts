import { countHoldings } from './entries.ts';
import type { Holdings } from './entries.ts';
import type { Dominators } from './dominators.ts';
import { EDGE, EDGE_MASK, NODE, NONE, nodeText, sizeOf } from './heap.ts';
import type { Heap } from './heap.ts';

/** The later snapshot beside what is known of an earlier one. */
export interface Pairing {
  /** By node: where it stood in the earlier snapshot, plus one; 0: it is new. */
  readonly before: Uint32Array;
  /** By the earlier snapshot's nodes. */
  readonly earlier: Holdings;
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
const LEAST_FRESH = 50;
const LEAST_CHAIN_OBJECTS = 20;

export function findGrown(heap: Heap, pairing: Pairing, holdings: Holdings = countHoldings(heap)): Grown[] {
  const { before, earlier } = pairing;
  const grown: Grown[] = [];
  for (let node = 1; node < heap.nodeCount; node++) {
    if (heap.nodeType[node] !== NODE.object) continue;
    const at = before[node]! - 1;
    const entries = holdings.entries[node]!;
    if (at < 0) {
      if (entries >= LEAST_FRESH) grown.push({ node, how: 'fresh', gained: entries, gainedBytes: 0 });
      continue;
    }
    const gained = entries - earlier.entries[at]!;
    const gainedBytes = holdings.storeBytes[node]! - earlier.storeBytes[at]!;
    if (gained >= LEAST_GAINED) grown.push({ node, how: 'entries', gained, gainedBytes });
    else if (gainedBytes >= LEAST_STORE_BYTES && gained >= 0) {
      grown.push({ node, how: 'numbers', gained: Math.round(gainedBytes / 8), gainedBytes });
    }
  }
  return grown;
}

/**
 * Lists, timers and chains of promises grow at their end, where nothing old is: what is new is put down to the nearest
 * old object that dominates it. Code and shapes are left out, a server compiles as it warms up.
 */
export function findChains(heap: Heap, { before }: Pairing, dominators: Dominators): Grown[] {
  const owner = new Uint32Array(heap.nodeCount).fill(NONE);
  const objects = new Map<number, number>();
  const bytes = new Map<number, number>();
  for (const node of dominators.order) {
    const parent = dominators.parent[node]!;
    const isOld = before[node] !== 0;
    owner[node] = isOld || node === 0 ? node : owner[parent]!;
    if (isOld || !isData(heap, node)) continue;
    const of = owner[node]!;
    objects.set(of, (objects.get(of) ?? 0) + 1);
    bytes.set(of, (bytes.get(of) ?? 0) + sizeOf(heap, node));
  }
  const grown: Grown[] = [];
  for (const [node, gained] of objects) {
    const type = heap.nodeType[node]!;
    if (gained < LEAST_CHAIN_OBJECTS || (type !== NODE.object && type !== NODE.closure)) continue;
    grown.push({ node, how: 'chain', gained, gainedBytes: bytes.get(node)! });
  }
  return grown;
}

function isData(heap: Heap, node: number): boolean {
  const type = heap.nodeType[node]!;
  if (type === NODE.hidden) return nodeText(heap, node).startsWith('system / Promise');
  return (
    type !== NODE.code && type !== NODE['object shape'] && type !== NODE.synthetic && type !== NODE.native
  );
}

/** New targets that a container holds directly, or by its table; the same one twice counts twice. */
export function newEntries(heap: Heap, before: Uint32Array, container: number, most: number): number[] {
  const found: number[] = [];
  const take = (node: number, only: (kind: number) => boolean): void => {
    for (
      let edge = heap.firstEdge[node + 1]! - 1;
      edge >= heap.firstEdge[node]! && found.length < most;
      edge--
    ) {
      const to = heap.edgeTo[edge]!;
      if (only(heap.edgeLabel[edge]! & EDGE_MASK) && before[to] === 0) found.push(to);
    }
  };
  take(container, (kind) => kind === EDGE.element || kind === EDGE.property);
  for (let edge = heap.firstEdge[container]!; edge < heap.firstEdge[container + 1]!; edge++) {
    const to = heap.edgeTo[edge]!;
    const isStore = (heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.internal && heap.nodeType[to] === NODE.array;
    if (isStore && nodeText(heap, to) === '') take(to, (kind) => kind === EDGE.internal);
  }
  return found;
}
