import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_BITS, EDGE_MASK, NODE, follow, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isPackageFile } from './scripts.ts';
import type { Place, Scripts } from './scripts.ts';

/** How far into an entry to look, and whose code to prefer. */
export interface Search {
  readonly depth: number;
  readonly visits: number;
  /** By how many steps a package's code counts as farther away than the application's. */
  readonly packagePenalty: number;
  /** A class says what the entries are, a function says who made them. */
  readonly functionsOnly: boolean;
  /** Every socket has the agent's listeners; they say nothing of whose it is. */
  readonly isAgentSkipped?: boolean;
}

const IN_ENTRIES: Search = {
  depth: 8,
  visits: 400,
  packagePenalty: 4,
  functionsOnly: false,
  isAgentSkipped: true,
};

/**
 * Who made these entries: the function, or else the class, that most of them lead to. The application's own code
 * speaks louder than a package's, and what is near louder than what is far.
 */
export function findCreator(
  { heap, scripts }: Graph,
  before: Uint32Array | Uint8Array | null,
  entries: readonly number[],
  search = IN_ENTRIES,
): Place | null {
  const votes = new Map<string, { place: Place; weight: number }>();
  for (const entry of entries) {
    const best = nearestPlace({ heap, scripts, before, search }, entry);
    if (best === null) continue;
    const key = `${best.file}:${best.line}:${best.column}`;
    const vote = votes.get(key) ?? { place: best, weight: 0 };
    vote.weight++;
    // The rest cannot outvote it.
    if (vote.weight * 2 > entries.length) return vote.place;
    votes.set(key, vote);
  }
  const [first] = [...votes.values()].sort((a, b) => b.weight - a.weight);
  return first?.place ?? null;
}

interface Inside {
  readonly heap: Heap;
  readonly scripts: Scripts;
  readonly before: Uint32Array | Uint8Array | null;
  readonly search: Search;
}

const penaltyOf = ({ file }: Place, isFunction: boolean, { packagePenalty }: Search): number =>
  (isFunction ? 0 : 2) + (isPackageFile(file) ? packagePenalty : 0);

const placeIn = (scripts: Scripts, node: number, { isAgentSkipped = false }: Search): Place | null => {
  const place = scripts.userPlace(node);
  return place !== null && isAgentSkipped && scripts.isAgentFile(place.file) ? null : place;
};

/** The best place in what is inside one entry: it is walked as far as new objects reach, a few dozen of them. */
function nearestPlace({ heap, scripts, before, search }: Inside, entry: number): Place | null {
  const queue = [entry];
  const depths = [0];
  const seen = new Set(queue);
  let best: Place | null = null;
  let bestRank = Infinity;
  for (let head = 0; head < queue.length; head++) {
    const node = queue[head]!;
    const depth = depths[head]!;
    // What is farther away than that cannot be better.
    if (depth >= bestRank) break;
    const inner = unwrap(heap, node);
    const place = placeIn(scripts, inner, search);
    const isFunction = heap.nodeType[inner] === NODE.closure;
    if (place !== null && (isFunction || !search.functionsOnly)) {
      const rank = depth + penaltyOf(place, isFunction, search);
      if (rank < bestRank) [best, bestRank] = [place, rank];
    }
    if (depth >= search.depth) continue;
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
      if (seen.size >= search.visits) break;
      const to = heap.edgeTo[edge]!;
      if (seen.has(to) || !isInside(heap, edge, to)) continue;
      if (before !== null && before[to] !== 0 && heap.nodeType[to] !== NODE.closure) continue;
      seen.add(to);
      queue.push(to);
      depths.push(depth + 1);
    }
  }
  return best;
}

function isInside(heap: Heap, edge: number, to: number): boolean {
  const kind = heap.edgeLabel[edge]! & EDGE_MASK;
  const type = heap.nodeType[to]!;
  if (kind === EDGE.weak || kind === EDGE.shortcut) return false;
  if (kind === EDGE.property && leadsToClass(heap, edge)) return false;
  if (type === NODE.hidden) return nodeText(heap, to).startsWith('system / Promise');
  return type === NODE.object || type === NODE.closure || type === NODE.array;
}

function leadsToClass({ names, edgeLabel }: Heap, edge: number): boolean {
  const name = edgeLabel[edge]! >>> EDGE_BITS;
  return (
    name === names.word('__proto__') || name === names.word('prototype') || name === names.word('constructor')
  );
}

/** Behind `bind`, behind the wrapper that `once` makes, behind a debounced or throttled function. */
export function unwrap(heap: Heap, node: number): number {
  let at = node;
  for (let layers = 0; layers < MOST_LAYERS && heap.nodeType[at] === NODE.closure; layers++) {
    const bound = follow(heap, at, 'bound_function');
    const listener = follow(heap, follow(heap, at, 'bound_this'), 'listener');
    const inner = bound < 0 ? wrapped(heap, at) : listener >= 0 ? listener : bound;
    if (inner < 0) break;
    at = inner;
  }
  return at;
}
const MOST_LAYERS = 8;

/** Lodash and its kin name their wrappers alike, and keep what they wrap in a variable. */
function wrapped(heap: Heap, closure: number): number {
  if (!/^(debounced|throttled|wrapped|wrapper|memoized|invokeFunc)$/.test(nodeText(heap, closure))) return -1;
  const context = follow(heap, closure, 'context');
  for (const name of ['func', 'fn', 'callback', 'listener', 'handler'] as const) {
    const inner = follow(heap, context, name);
    if (inner >= 0 && heap.nodeType[inner] === NODE.closure) return inner;
  }
  return -1;
}
