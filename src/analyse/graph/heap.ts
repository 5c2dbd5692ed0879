import type { Names } from './names.ts';
import type { Word } from './words.ts';

/** Node types by our own numbers: V8's list differs between versions. */
export const NODE = {
  hidden: 0,
  array: 1,
  string: 2,
  object: 3,
  code: 4,
  closure: 5,
  regexp: 6,
  number: 7,
  native: 8,
  synthetic: 9,
  'concatenated string': 10,
  'sliced string': 11,
  symbol: 12,
  bigint: 13,
  'object shape': 14,
  other: 15,
} as const;
/** Edge types, three bits beside the name in `edgeLabel`. */
export const EDGE = {
  context: 0,
  element: 1,
  property: 2,
  internal: 3,
  hidden: 4,
  shortcut: 5,
  weak: 6,
  other: 7,
} as const;
export const EDGE_BITS = 3;
export const EDGE_MASK = 7;
/** Sparse arrays have indexes up to 2^32; in a label they saturate, they are for display only. */
export const MAX_LABEL = 2 ** 29 - 1;

/** One snapshot as columns: 17 bytes a node, 8 bytes an edge. Node 0 is the root. */
export interface Heap {
  readonly nodeCount: number;
  readonly edgeCount: number;
  readonly nodeType: Uint8Array;
  /** Index of a string; the text of values is not kept. */
  readonly nodeName: Uint32Array;
  readonly nodeId: Uint32Array;
  /** Bytes; 2^32 - 1 means: look into `hugeSizes`. */
  readonly selfSize: Uint32Array;
  readonly hugeSizes: ReadonlyMap<number, number>;
  /** Edges of node n are `firstEdge[n]` to `firstEdge[n + 1] - 1`. */
  readonly firstEdge: Uint32Array;
  /** `nameOrIndex << 3 | type` */
  readonly edgeLabel: Uint32Array;
  readonly edgeTo: Uint32Array;
  readonly names: Names;
  readonly locations: Locations;
  readonly selfBytes: number;
}

/** Where the function of a closure, or the constructor of an object, is written. Sorted by node. */
export interface Locations {
  readonly node: Uint32Array;
  readonly scriptId: Uint32Array;
  /** From 0, as V8 counts. */
  readonly line: Uint32Array;
  readonly column: Uint32Array;
}

export const HUGE_SIZE = 2 ** 32 - 1;
export const NONE = 2 ** 32 - 1;

export function sizeOf(heap: Heap, node: number): number {
  const size = heap.selfSize[node]!;
  return size === HUGE_SIZE ? (heap.hugeSizes.get(node) ?? size) : size;
}

// Asked for every edge: what is exported is looked up at each use, what is not is a constant.
const { element: ELEMENT, hidden: HIDDEN } = EDGE;
export const isNamed = (type: number): boolean => type !== ELEMENT && type !== HIDDEN;

export function nodeText(heap: Heap, node: number): string {
  return heap.names.text(heap.nodeName[node]!);
}

/** `[312]`-like indexes for elements and hidden edges, names for the others. */
export function edgeText(heap: Heap, edge: number): string {
  const label = heap.edgeLabel[edge]!;
  const value = label >>> EDGE_BITS;
  return isNamed(label & EDGE_MASK) ? heap.names.text(value) : String(value);
}

/** The target of the first edge with that name (not element, not hidden), or -1. */
export function follow(heap: Heap, node: number, name: Word): number {
  const word = heap.names.word(name);
  if (word < 0 || node < 0) return -1;
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
    const label = heap.edgeLabel[edge]!;
    if (label >>> EDGE_BITS === word && isNamed(label & EDGE_MASK)) return heap.edgeTo[edge]!;
  }
  return -1;
}

export const locationIndex = (heap: Heap, node: number): number => indexOf(heap.locations.node, node);

/** Where `value` stands in sorted values, or -1. */
export function indexOf(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = sorted[middle]!;
    if (found === value) return middle;
    if (found < value) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

/** Their numbering of types -> ours. */
export function numbering(
  theirs: readonly string[],
  ours: Readonly<Record<string, number>>,
  other: number,
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(theirs, (name) => ours[name] ?? other);
}
