import type { Graph } from './graph.ts';
import { EDGE, EDGE_MASK, NODE, edgeText, follow, nodeText } from './heap.ts';
import type { Heap } from './heap.ts';
import { isPackageFile } from './scripts.ts';
import type { Place, Scripts } from './scripts.ts';

const MOST_VISITED = 400;
/** Among old objects too, where a socket knows its server and the server everything. */
const MOST_VISITED_ANYWHERE = 4000;
const MOST_DEPTH = 8;

/** What is inside one entry: it is walked as far as new objects reach, a few dozen of them. */
interface Found {
  readonly place: Place;
  readonly depth: number;
  readonly isFunction: boolean;
}

/**
 * Who made these entries: the function, or else the class, that most of them lead to. The application's own code
 * speaks louder than a package's, and what is near louder than what is far.
 */
export function findCreator(
  { heap, scripts }: Graph,
  before: Uint32Array | null,
  entries: readonly number[],
  packagePenalty = PACKAGE_PENALTY,
): Place | null {
  const votes = new Map<string, { place: Place; weight: number }>();
  for (const entry of entries) {
    const best = bestOf(insideOf(heap, scripts, before, entry), packagePenalty);
    if (best === null) continue;
    const key = `${best.file}:${best.line}:${best.column}`;
    const vote = votes.get(key) ?? { place: best, weight: 0 };
    vote.weight++;
    votes.set(key, vote);
  }
  const [first] = [...votes.values()].sort((a, b) => b.weight - a.weight);
  return first?.place ?? null;
}

/** In steps of distance. */
const PACKAGE_PENALTY = 4;

function bestOf(found: readonly Found[], packagePenalty: number): Place | null {
  const rank = ({ place, depth, isFunction }: Found): number =>
    depth + (isFunction ? 0 : 2) + (isPackageFile(place.file) ? packagePenalty : 0);
  const [best] = [...found].sort((a, b) => rank(a) - rank(b));
  return best?.place ?? null;
}

function insideOf(heap: Heap, scripts: Scripts, before: Uint32Array | null, entry: number): Found[] {
  const found: Found[] = [];
  const seen = new Set([entry]);
  const depths = new Map([[entry, 0]]);
  for (const node of seen) {
    const depth = depths.get(node)!;
    const place = scripts.userPlace(unwrap(heap, node));
    if (place !== null) {
      const isFunction = heap.nodeType[unwrap(heap, node)] === NODE.closure;
      found.push({ place, depth, isFunction });
      if (isFunction && !isPackageFile(place.file)) break;
    }
    if (depth >= MOST_DEPTH) continue;
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
      if (seen.size >= (before === null ? MOST_VISITED_ANYWHERE : MOST_VISITED)) break;
      const to = heap.edgeTo[edge]!;
      if (seen.has(to) || !isInside(heap, edge, to)) continue;
      if (before !== null && before[to] !== 0 && heap.nodeType[to] !== NODE.closure) continue;
      seen.add(to);
      depths.set(to, depth + 1);
    }
  }
  return found;
}

function isInside(heap: Heap, edge: number, to: number): boolean {
  const kind = heap.edgeLabel[edge]! & EDGE_MASK;
  const type = heap.nodeType[to]!;
  if (kind === EDGE.weak || kind === EDGE.shortcut) return false;
  if (kind === EDGE.property && /^(__proto__|prototype|constructor)$/.test(edgeText(heap, edge)))
    return false;
  if (type === NODE.hidden) return nodeText(heap, to).startsWith('system / Promise');
  return type === NODE.object || type === NODE.closure || type === NODE.array;
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
