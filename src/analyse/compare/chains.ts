/** Linked lists and chains of promises that grew: new objects below an old object that no container explains. */
import type { DominatorTree } from '../graph/dominators.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, NONE, edgeTarget, edgeText, nodeText, sizeOf } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { censusKey, gainedObjects } from './census.ts';
import type { Censuses } from './census.ts';
import { entriesOf } from './containers.ts';
import type { Growth, SnapshotMatch } from './growth.ts';

export interface Chain extends Growth {
  readonly how: 'chain';
  /** Length of the longest row of new objects in which each one dominates the next. */
  readonly depth: number;
  /** New objects of the most frequent class; the others belong to them. */
  readonly links: number;
  /** Class number (see `classNumber`) -> new objects. */
  readonly classCounts: ReadonlyMap<number, number>;
  readonly sample: readonly number[];
}

const MIN_OBJECTS = 20;
const MAX_SAMPLE = 300;
const MAX_DEPTH = 65_535;

interface NewObjects {
  objects: number;
  bytes: number;
  depth: number;
  classCounts: Map<number, number>;
  sample: number[];
}

/**
 * A list grows at its end, where no old object is. Therefore new objects are assigned to the nearest old object that
 * dominates them, unless they are new entries of a container. Code and object shapes are left out, because a server
 * compiles functions while it warms up.
 */
export function findChains(
  heap: Heap,
  { earlierNode, isExact }: SnapshotMatch,
  { dominators, scratch }: { readonly dominators: DominatorTree; readonly scratch: Uint32Array },
  growth: readonly Growth[],
): Chain[] {
  const isExplained = markNewEntries(heap, isExact ? earlierNode : null, growth);
  markPendingFinalizers(heap, isExplained);
  const depth = new Uint16Array(heap.nodeCount);
  const oldDominator = scratch.fill(NONE);
  const byDominator = new Map<number, NewObjects>();
  const { order } = dominators;
  for (let i = 0; i < order.length; i += 1) {
    const node = order[i]!;
    const parent = dominators.parent[node]!;
    const isOld = earlierNode[node] !== 0;
    oldDominator[node] = isOld || node === 0 ? node : oldDominator[parent]!;
    if (isExplained[parent] === 1 && !(isOld && isExact)) isExplained[node] = 1;
    if (isOld) continue;
    depth[node] = Math.min(depth[parent]! + 1, MAX_DEPTH);
    if (isExplained[node] === 1 || !isData(heap, node)) continue;
    const dominator = oldDominator[node]!;
    const below = byDominator.get(dominator) ?? {
      objects: 0,
      bytes: 0,
      depth: 0,
      classCounts: new Map<number, number>(),
      sample: [],
    };
    below.depth = Math.max(below.depth, depth[node]!);
    addObject(heap, below, node);
    byDominator.set(dominator, below);
  }
  return assignToOwners(heap, dominators, byDominator);
}

function addObject(heap: Heap, below: NewObjects, node: number): void {
  const number = classNumber(heap, node);
  below.objects += 1;
  below.classCounts.set(number, (below.classCounts.get(number) ?? 0) + 1);
  below.bytes += sizeOf(heap, node);
  const maxSample = heap.nodeType[node] === NODE.closure ? MAX_SAMPLE * 2 : MAX_SAMPLE;
  if (below.sample.length < maxSample) below.sample.push(node);
}

/** One number for each key of a census: the class of an object, the type of other nodes. */
const classNumber = (heap: Heap, node: number): number => {
  const type = heap.nodeType[node]!;
  return type === NODE.object ? heap.nodeName[node]! * NODE_TYPES + type : type;
};
const NODE_TYPES = 16;

const classKey = (heap: Heap, number: number): string =>
  censusKey(heap, number % NODE_TYPES, Math.floor(number / NODE_TYPES));

/** The old end of a list dominates its new part, but the owner is the object that holds the whole list. */
function assignToOwners(
  heap: Heap,
  dominators: DominatorTree,
  byDominator: ReadonlyMap<number, NewObjects>,
): Chain[] {
  const byOwner = new Map<number, NewObjects>();
  for (const [link, below] of byDominator) {
    const linkShapes = frequentShapes(heap, below.sample);
    let owner = link;
    let topmostLink = 0;
    while (owner !== 0 && (!isObject(heap, owner) || linkShapes.has(edgeTarget(heap, owner, 'map')))) {
      if (isObject(heap, owner)) topmostLink = owner;
      owner = dominators.parent[owner]!;
    }
    // Contexts have one shape, so the loop passes the context of a module's variables as if it were a link.
    owner ||= topmostLink;
    if (owner === 0) continue;
    const sum = byOwner.get(owner);
    if (sum === undefined) byOwner.set(owner, below);
    else {
      sum.objects += below.objects;
      sum.bytes += below.bytes;
      sum.depth = Math.max(sum.depth, below.depth);
      for (const [number, count] of below.classCounts)
        sum.classCounts.set(number, (sum.classCounts.get(number) ?? 0) + count);
      if (sum.sample.length < MAX_SAMPLE) sum.sample.push(...below.sample);
    }
  }
  return [...byOwner]
    .filter(([, { objects }]) => objects >= MIN_OBJECTS)
    .map(([node, { objects, bytes, ...rest }]) => ({
      ...rest,
      node,
      how: 'chain',
      gained: objects,
      links: objects,
      gainedBytes: bytes,
    }));
}

/** Shapes (hidden classes) of at least a tenth of the sample. They tell links from records, which are both `Object`. */
function frequentShapes(heap: Heap, sample: readonly number[]): ReadonlySet<number> {
  const counts = new Map<number, number>();
  // The rest of the sample contains only closures.
  const objects = sample.slice(0, MAX_SAMPLE).filter((node) => isObject(heap, node));
  for (const node of objects) {
    const shape = edgeTarget(heap, node, 'map');
    counts.set(shape, (counts.get(shape) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count >= objects.length / 10).map(([shape]) => shape));
}

const isObject = (heap: Heap, node: number): boolean =>
  heap.nodeType[node] === NODE.object || heap.nodeType[node] === NODE.closure;

/** Marks the entries of grown containers and their tables; with `earlierNode` only the new ones. */
function markNewEntries(
  heap: Heap,
  earlierNode: SnapshotMatch['earlierNode'] | null,
  growth: readonly Growth[],
): Uint8Array {
  const marked = new Uint8Array(heap.nodeCount);
  const isNew = (node: number): boolean => earlierNode === null || earlierNode[node] === 0;
  for (const { node } of growth) {
    for (const entry of entriesOf(heap, node)) if (isNew(entry)) marked[entry] = 1;
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
      const to = heap.edgeTo[edge]!;
      if (heap.nodeType[to] === NODE.array && isNew(to)) marked[to] = 1;
    }
  }
  return marked;
}

/** Offset of `cleared_cells` from `native_context` among the fields of V8's JSFinalizationRegistry. */
const CLEARED_CELLS_OFFSET = 3;

/**
 * A FinalizationRegistry lists the cells of collected objects until the event loop runs its callback, and empties the
 * list then. The fields have no names in a snapshot: four hidden edges, the native context first, this list last.
 */
function markPendingFinalizers(heap: Heap, marked: Uint8Array): void {
  const { nodeCount, nodeType, nodeName, names, firstEdge, edgeLabel, edgeTo } = heap;
  const registryName = names.indexOf('FinalizationRegistry');
  for (let node = 0; node < nodeCount && registryName >= 0; node += 1) {
    if (nodeName[node] !== registryName || nodeType[node] !== NODE.object) continue;
    let contextField = Infinity;
    for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge += 1) {
      if ((edgeLabel[edge]! & EDGE_TYPE_MASK) !== EDGE.hidden) continue;
      const to = edgeTo[edge]!;
      const field = Number(edgeText(heap, edge));
      if (nodeText(heap, to) === 'system / NativeContext') contextField = field;
      else if (field === contextField + CLEARED_CELLS_OFFSET) marked[to] = 1;
    }
  }
}

function isData(heap: Heap, node: number): boolean {
  const type = heap.nodeType[node]!;
  if (type === NODE.hidden) return nodeText(heap, node).startsWith('system / Promise');
  return (
    type !== NODE.code && type !== NODE['object shape'] && type !== NODE.synthetic && type !== NODE.native
  );
}

/**
 * Links that replaced others are not growth: of each class a chain gains at most as many objects as the whole heap does.
 */
export function limitToCensus(heap: Heap, censuses: Censuses, chain: Chain): Chain {
  const counts = [...chain.classCounts].map(([number, count]) => ({ key: classKey(heap, number), count }));
  const hasObjects = counts.some(({ key }) => !key.startsWith('(') && key !== 'WeakRef');
  // The held values of a FinalizationRegistry live as long as the registered objects, which have a retainer of their own.
  if (!hasObjects && nodeText(heap, chain.node) === 'FinalizationRegistry')
    return { ...chain, links: 0, gained: 0 };
  let gained = 0;
  let links = 0;
  for (const { key, count } of counts) {
    const net = Math.min(count, Math.max(0, gainedObjects(censuses, key)));
    gained += net;
    // Closures, arrays and numbers may be parts of an object. Such an object is one link.
    if (!hasObjects || !key.startsWith('(')) links = Math.max(links, net);
  }
  const gainedBytes = chain.gainedBytes * (gained / Math.max(1, chain.gained));
  return { ...chain, links, gained, gainedBytes: Math.round(gainedBytes) };
}
