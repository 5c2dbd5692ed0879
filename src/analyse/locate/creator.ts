/** Finds the code that creates the entries of a container. */
import { isTimerLink } from '../compare/containers.ts';
import type { Graph } from '../graph/graph.ts';
import {
  EDGE,
  EDGE_TYPE_BITS,
  EDGE_TYPE_MASK,
  NODE,
  edgeTarget,
  edgeText,
  locationIndex,
  nodeText,
} from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isModuleScope } from '../graph/retaining-path.ts';
import { isPackageFile } from '../graph/scripts.ts';
import type { CodePosition, Scripts } from '../graph/scripts.ts';

/** Limits of the search below one entry, and the code that it prefers. */
export interface CreatorSearch {
  readonly depth: number;
  readonly maxNodes: number;
  /** Added to the distance of code in packages, so that nearby code of a package does not win over the application's. */
  readonly packagePenalty: number;
  /** True when only functions count. A class tells what the entries are, a function tells who created them. */
  readonly functionsOnly: boolean;
  /** Entries to search, spread over all of them. */
  readonly maxEntries?: number;
  /** Every socket has listeners of the agent; they say nothing about the socket. */
  readonly skipAgent?: boolean;
  /**
   * The search does not enter objects with more references, which are lists of everything (pools, primordials), nor modules
   * and what their code shares.
   */
  readonly maxReferences?: number;
}

const IN_ENTRIES: CreatorSearch = {
  depth: 8,
  maxNodes: 400,
  packagePenalty: 4,
  functionsOnly: false,
  skipAgent: true,
};
/** Added to the distance of classes: a function says more about the creator. */
const CLASS_PENALTY = 2;

/**
 * Returns the function, else the class, that most of the entries lead to. The code of the application is preferred over
 * that of packages, and near code over code that is farther away in the graph.
 */
export function findCreator(
  { heap, scripts }: Graph,
  earlierNode: Uint32Array | Uint8Array | null,
  entries: readonly number[],
  search = IN_ENTRIES,
): CodePosition | null {
  const votes = new Map<string, { position: CodePosition; count: number }>();
  const searched = spread(entries, search.maxEntries ?? entries.length);
  for (const entry of searched) {
    const position = nearestPosition({ heap, scripts, earlierNode, search }, entry);
    if (position === null) continue;
    const key = `${position.file}:${position.line}:${position.column}`;
    const vote = votes.get(key) ?? { position, count: 0 };
    vote.count += 1;
    // The remaining entries cannot outvote it.
    if (vote.count * 2 > searched.length) return vote.position;
    votes.set(key, vote);
  }
  const [first] = [...votes.values()].sort((a, b) => b.count - a.count);
  return first?.position ?? null;
}

/** Neighbours have the same age, so a sample takes entries from everywhere. */
export function spread(entries: readonly number[], count: number): readonly number[] {
  if (entries.length <= count) return entries;
  return Array.from({ length: count }, (_, index) => entries[Math.floor((index * entries.length) / count)]!);
}

interface SearchContext {
  readonly heap: Heap;
  readonly scripts: Scripts;
  readonly earlierNode: Uint32Array | Uint8Array | null;
  readonly search: CreatorSearch;
}

const penaltyOf = ({ file }: CodePosition, isFunction: boolean, { packagePenalty }: CreatorSearch): number =>
  (isFunction ? 0 : CLASS_PENALTY) + (isPackageFile(file) ? packagePenalty : 0);

const positionOf = (
  scripts: Scripts,
  node: number,
  { skipAgent = false }: CreatorSearch,
): CodePosition | null => {
  const position = scripts.userPosition(node);
  return position !== null && skipAgent && scripts.isAgentFile(position.file) ? null : position;
};

/** Breadth-first search through the new objects below one entry. */
function nearestPosition(
  { heap, scripts, earlierNode, search }: SearchContext,
  entry: number,
): CodePosition | null {
  const queue = [entry];
  const depths = [0];
  const visited = new Set(queue);
  let best: CodePosition | null = null;
  let bestRank = Infinity;
  for (let head = 0; head < queue.length; head += 1) {
    const node = queue[head]!;
    const depth = depths[head]!;
    // All further nodes have a higher rank.
    if (depth >= bestRank) break;
    const inner = unwrapFunction(heap, node);
    const position = positionOf(scripts, inner, search);
    const isFunction = heap.nodeType[inner] === NODE.closure;
    if (position !== null && (isFunction || !search.functionsOnly)) {
      const rank = depth + penaltyOf(position, isFunction, search);
      if (rank < bestRank) [best, bestRank] = [position, rank];
    }
    if (depth >= search.depth) continue;
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
      if (visited.size >= search.maxNodes) break;
      const to = heap.edgeTo[edge]!;
      if (visited.has(to) || !isPart(heap, node, edge) || isShared(heap, edge, search)) continue;
      if (earlierNode !== null && earlierNode[to] !== 0 && heap.nodeType[to] !== NODE.closure) continue;
      visited.add(to);
      queue.push(to);
      depths.push(depth + 1);
    }
  }
  return best;
}

function isShared(heap: Heap, edge: number, { maxReferences }: CreatorSearch): boolean {
  if (maxReferences === undefined) return false;
  const { firstEdge, edgeTo, nodeType } = heap;
  const to = edgeTo[edge]!;
  if (firstEdge[to + 1]! - firstEdge[to]! > maxReferences) return true;
  if (edgeText(heap, edge) === 'previous') return isModuleScope({ heap }, to);
  return nodeType[to] === NODE.object && /^(Module|process)$/.test(nodeText(heap, to));
}

/** Whether an edge leads to a part of an entry: not to its class, and not to other timers. */
export function isPart(heap: Heap, from: number, edge: number): boolean {
  const to = heap.edgeTo[edge]!;
  const edgeType = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
  const type = heap.nodeType[to]!;
  if (edgeType === EDGE.weak || edgeType === EDGE.shortcut) return false;
  if (edgeType === EDGE.property && (leadsToClass(heap, edge) || isTimerLink(heap, edge))) return false;
  if (edgeType === EDGE.internal && leadsToModuleScope(heap, from, edge)) return false;
  if (type === NODE.hidden) return nodeText(heap, to).startsWith('system / Promise');
  return type === NODE.object || type === NODE.closure || type === NODE.array;
}

/** The variables of a whole module lead everywhere. The functions that continue after an `await` have no script. */
const leadsToModuleScope = (heap: Heap, closure: number, edge: number): boolean =>
  edgeText(heap, edge) === 'context' &&
  locationIndex(heap, closure) >= 0 &&
  isModuleScope({ heap }, heap.edgeTo[edge]!);

function leadsToClass({ names, edgeLabel }: Heap, edge: number): boolean {
  const name = edgeLabel[edge]! >>> EDGE_TYPE_BITS;
  return (
    name === names.indexOf('__proto__') ||
    name === names.indexOf('prototype') ||
    name === names.indexOf('constructor')
  );
}

const MAX_WRAPPERS = 8;

/** The function behind `bind`, behind the wrapper of `once`, and behind a debounced or throttled function. */
export function unwrapFunction(heap: Heap, node: number): number {
  let unwrapped = node;
  for (let level = 0; level < MAX_WRAPPERS && heap.nodeType[unwrapped] === NODE.closure; level += 1) {
    const bound = edgeTarget(heap, unwrapped, 'bound_function');
    const listener = edgeTarget(heap, edgeTarget(heap, unwrapped, 'bound_this'), 'listener');
    const inner = bound < 0 ? wrappedByLibrary(heap, unwrapped) : listener >= 0 ? listener : bound;
    if (inner < 0) break;
    unwrapped = inner;
  }
  return unwrapped;
}

/** Lodash and similar libraries give their wrappers these names and keep the function in one of these variables. */
function wrappedByLibrary(heap: Heap, closure: number): number {
  if (!/^(debounced|throttled|wrapped|wrapper|memoized|invokeFunc)$/.test(nodeText(heap, closure))) return -1;
  const context = edgeTarget(heap, closure, 'context');
  for (const name of ['func', 'fn', 'callback', 'listener', 'handler'] as const) {
    const inner = edgeTarget(heap, context, name);
    if (inner >= 0 && heap.nodeType[inner] === NODE.closure) return inner;
  }
  return -1;
}
