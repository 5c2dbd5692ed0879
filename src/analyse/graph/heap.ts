/** One heap snapshot as typed arrays: nodes, edges, names and source locations, and the functions that read them. */
import type { InternedName, NameTable } from './names.ts';

/** Node types under fixed numbers. V8's own list differs between versions. */
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
/** Edge types, stored in the low three bits of `edgeLabel`. */
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
export const EDGE_TYPE_BITS = 3;
export const EDGE_TYPE_MASK = 7;
/** Sparse arrays have indexes up to 2^32. Larger indexes are stored as this one; they are only displayed. */
export const MAX_EDGE_NAME = 2 ** 29 - 1;

/** Node 0 is the root. The columns take 17 bytes per node and 8 bytes per edge. */
export interface Heap {
  readonly nodeCount: number;
  readonly edgeCount: number;
  readonly nodeType: Uint8Array;
  /** Index of a string. The text of string values is not kept. */
  readonly nodeName: Uint32Array;
  readonly nodeId: Uint32Array;
  /** Bytes. The value 2^32 - 1 means that the size is in `hugeSizes`. */
  readonly selfSize: Uint32Array;
  readonly hugeSizes: ReadonlyMap<number, number>;
  /** The edges of node n are `firstEdge[n]` to `firstEdge[n + 1] - 1`. */
  readonly firstEdge: Uint32Array;
  /** `nameOrIndex << 3 | type` */
  readonly edgeLabel: Uint32Array;
  readonly edgeTo: Uint32Array;
  readonly names: NameTable;
  readonly locations: Locations;
  readonly selfBytes: number;
}

/** Source positions of closures (their function) and of objects (the constructor of their class), sorted by node. */
export interface Locations {
  readonly node: Uint32Array;
  readonly scriptId: Uint32Array;
  /** From 0, as V8 counts. */
  readonly line: Uint32Array;
  readonly column: Uint32Array;
}

export const HUGE_SIZE = 2 ** 32 - 1;
/** Marks a missing node or edge in a `Uint32Array`. */
export const NONE = 2 ** 32 - 1;

// Local constants: compiled CommonJS reads an imported or exported name from its module object at each use, and these
// functions run once for each edge.
const { element: ELEMENT, hidden: HIDDEN, weak: WEAK, shortcut: SHORTCUT } = EDGE;
const TYPE_MASK = EDGE_TYPE_MASK;

export const isNamedEdge = (type: number): boolean => type !== ELEMENT && type !== HIDDEN;

/**
 * Whether an edge keeps its target alive. Weak edges do not. Shortcut edges repeat other edges, except the root's, which
 * lead to the global objects.
 */
export const isStrong = (label: number, from: number): boolean => {
  const type = label & TYPE_MASK;
  return type !== WEAK && (type !== SHORTCUT || from === 0);
};

/** Self size in bytes. */
export function sizeOf(heap: Heap, node: number): number {
  const size = heap.selfSize[node]!;
  return size === HUGE_SIZE ? (heap.hugeSizes.get(node) ?? size) : size;
}

export function nodeText(heap: Heap, node: number): string {
  return heap.names.text(heap.nodeName[node]!);
}

/** The name of an edge; the index as a decimal string for element and hidden edges. */
export function edgeText(heap: Heap, edge: number): string {
  const label = heap.edgeLabel[edge]!;
  const value = label >>> EDGE_TYPE_BITS;
  return isNamedEdge(label & EDGE_TYPE_MASK) ? heap.names.text(value) : String(value);
}

/** Whether an edge leads from a function that `bind` made to its `this`, to an argument, or to the function that it calls. */
export function isBoundValue(heap: Heap, edge: number): boolean {
  const type = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
  if (type === EDGE.internal) return /^bound_(?:this|function)$/.test(edgeText(heap, edge));
  return type === EDGE.shortcut && edgeText(heap, edge).startsWith('bound_argument_');
}

/** The target of the first edge with this name (no element or hidden edge), or -1. */
export function edgeTarget(heap: Heap, node: number, name: InternedName): number {
  const nameIndex = heap.names.indexOf(name);
  if (nameIndex < 0 || node < 0) return -1;
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
    const label = heap.edgeLabel[edge]!;
    if (label >>> EDGE_TYPE_BITS === nameIndex && isNamedEdge(label & EDGE_TYPE_MASK))
      return heap.edgeTo[edge]!;
  }
  return -1;
}

const TYPE_NAMES: readonly string[] = Object.keys(NODE);

/** The class of an object, the name of a function, else the type of the node. */
export function className(heap: Heap, node: number): string {
  const name = nodeText(heap, node);
  const type = heap.nodeType[node]!;
  if (type === NODE.closure) return name === '' ? 'function' : name;
  if (name === 'system / Oddball') return 'null or boolean';
  if (name === 'heap number' || name === 'smi number') return 'number';
  // `global`; `global (global*)` since V8 13.
  if (/^global( \(global\*\))?$/.test(name)) return 'globalThis';
  return name === '' ? (TYPE_NAMES[type] ?? 'object') : name.replace(/ \/ file:.*$/s, '');
}

export const locationIndex = (heap: Heap, node: number): number => binarySearch(heap.locations.node, node);

/** The index of `value` in a sorted array, or -1. */
export function binarySearch(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const candidate = sorted[middle]!;
    if (candidate === value) return middle;
    if (candidate < value) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

export type Oddball = 'null' | 'undefined' | 'true' | 'false';
/** V8 has one object for each of these values: node -> value. */
export type Oddballs = ReadonlyMap<number, Oddball>;

const ODDBALL_ROOTS: ReadonlyMap<string, Oddball> = new Map([
  ['null_value', 'null'],
  ['undefined_value', 'undefined'],
  ['true_value', 'true'],
  ['false_value', 'false'],
]);

/**
 * Finds the nodes of null, undefined, true and false. Node 20 and 22 name all of them `system / Oddball`, but the list of
 * read-only roots has an edge with the name of each in every version.
 */
export function findOddballs(heap: Heap): Oddballs {
  const oddballs = new Map<number, Oddball>();
  for (let node = 0; node < heap.nodeCount; node += 1) {
    if (heap.nodeType[node] !== NODE.synthetic || nodeText(heap, node) !== '(Read-only roots)') continue;
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
      const oddball = ODDBALL_ROOTS.get(heap.names.text(heap.edgeLabel[edge]! >>> EDGE_TYPE_BITS));
      if (oddball !== undefined) oddballs.set(heap.edgeTo[edge]!, oddball);
    }
    break;
  }
  return oddballs;
}

/** The value of an oddball node, else the name of a hidden node; null for all other nodes. */
export function oddballAt(heap: Heap, oddballs: Oddballs, node: number): string | null {
  if (heap.nodeType[node] !== NODE.hidden) return null;
  return oddballs.get(node) ?? nodeText(heap, node);
}
