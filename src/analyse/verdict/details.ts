import type { Incoming } from '../graph/edges.ts';
import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_MASK, NODE, edgeText, follow, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { className, pathText, stepsTo } from '../locate/path.ts';

const MOST_FIELDS = 8;
const MOST_RETAINERS = 3;
const MOST_INCOMING = 50;
const SAMPLE = 60;
/** A share of the sample: a retainer of fewer entries is chance. */
const LEAST_SHARE = 0.3;

/** Names and kinds of one entry's fields, or of the variables that a closure keeps; never a value. */
export function exampleOf(heap: Heap, sample: readonly number[]): { name: string; is: string }[] {
  const entry = sample.find(
    (node) => heap.nodeType[node] === NODE.object || heap.nodeType[node] === NODE.closure,
  );
  if (entry === undefined) return [];
  const isClosure = heap.nodeType[entry] === NODE.closure;
  const from = isClosure ? follow(heap, entry, 'context') : entry;
  if (from < 0) return [];
  const fields: { name: string; is: string }[] = [];
  for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge++) {
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    const name = edgeText(heap, edge);
    if (kind !== (isClosure ? EDGE.context : EDGE.property) || name === '__proto__') continue;
    fields.push({ name, is: className(heap, heap.edgeTo[edge]!) });
    if (fields.length === MOST_FIELDS) break;
  }
  return fields;
}

/** Who asks: its own containers, and all that grew. */
export interface Holders {
  readonly own: ReadonlySet<number>;
  readonly grown: ReadonlySet<number>;
}

/** What else keeps the same entries, or what they hold, alive: it must have grown as well. */
export function otherRetainers(
  graph: Graph,
  before: Uint32Array | Uint8Array,
  holders: Holders,
  sample: readonly number[],
): string[] {
  const counts = new Map<string, number>();
  const entries = [...new Set(sample)].filter((node) => before[node] === 0).slice(0, SAMPLE);
  for (const entry of entries) {
    const found = new Set<string>();
    for (const node of oldHolders(graph, before, holders, entry)) {
      const text = pathText(graph, stepsTo(graph.heap, graph.reach, node))
        .join('')
        .replace(/\[\d+\]/g, '[…]');
      if (text !== '' && !text.includes('system / ')) found.add(text);
    }
    for (const text of found) counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count >= entries.length * LEAST_SHARE)
    .sort((a, b) => b[1] - a[1])
    .slice(0, MOST_RETAINERS)
    .map(([text]) => text);
}

/** Upwards from an entry, and from what it holds, through new objects to what grew. */
function oldHolders(
  { heap, incoming }: Graph,
  before: Uint32Array | Uint8Array,
  { own, grown }: Holders,
  entry: number,
): number[] {
  const found: number[] = [];
  const seen = new Set([entry, ...newTargets(heap, before, entry)]);
  for (const node of seen) {
    const end = Math.min(incoming.start[node + 1]!, incoming.start[node]! + MOST_INCOMING);
    for (let at = incoming.start[node]!; at < end && seen.size < MOST_CLIMBED; at++) {
      const from = incoming.from[at]!;
      const holder = heap.nodeType[from] === NODE.array ? ownerOfStore(incoming, from) : from;
      if (own.has(holder) || seen.has(from) || heap.nodeType[from] === NODE.synthetic) continue;
      if (grown.has(holder)) found.push(holder);
      else if (before[from] === 0) seen.add(from);
    }
  }
  return found;
}
const MOST_CLIMBED = 150;

function newTargets(heap: Heap, before: Uint32Array | Uint8Array, entry: number): number[] {
  const found: number[] = [];
  for (let edge = heap.firstEdge[entry]!; edge < heap.firstEdge[entry + 1]!; edge++) {
    const to = heap.edgeTo[edge]!;
    if (before[to] === 0 && heap.nodeType[to] === NODE.object && found.length < MOST_FIELDS) found.push(to);
  }
  return found;
}

/** The object to which a table or an elements store belongs. */
const ownerOfStore = ({ start, from }: Incoming, store: number): number =>
  start[store]! < start[store + 1]! ? from[start[store]!]! : 0;

/** How many of the sampled entries hold a socket that is closed: its handle is null, yet it is still here. */
export function closedSockets(heap: Heap, sample: readonly number[]): number {
  return socketsIn(heap, sample).closed;
}

/** Sockets that the sampled entries hold, closed and open. */
export function socketsIn(heap: Heap, sample: readonly number[]): { closed: number; open: number } {
  let [closed, open] = [0, 0];
  for (const entry of sample) {
    const handle = handleIn(heap, entry, CLOSED_DEPTH, new Set());
    if (handle < 0) continue;
    if (isNull(heap, handle)) closed++;
    else open++;
  }
  return { closed, open };
}
const CLOSED_DEPTH = 4;

/** The handle of the socket that is met first, null once it is closed; a closed one is believed before an open one. */
function handleIn(heap: Heap, node: number, depth: number, seen: Set<number>): number {
  if (seen.has(node) || seen.size > MOST_INCOMING) return -1;
  seen.add(node);
  const handle = follow(heap, node, '<symbol kHandle>');
  if (handle >= 0) return handle;
  if (depth === 0) return -1;
  let found = -1;
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
    const to = heap.edgeTo[edge]!;
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    const isField = kind === EDGE.property || kind === EDGE.context || edgeText(heap, edge) === 'context';
    if (!isField || edgeText(heap, edge) === '__proto__') continue;
    const type = heap.nodeType[to];
    if (type !== NODE.object && type !== NODE.closure) continue;
    const inside = handleIn(heap, to, depth - 1, seen);
    if (inside >= 0 && isNull(heap, inside)) return inside;
    if (found < 0) found = inside;
  }
  return found;
}

/** Node 20 calls it an oddball and keeps the word in a child; since 24 the node itself is called so. */
export function isNull(heap: Heap, node: number): boolean {
  return heap.nodeType[node] === NODE.hidden && /^(null|system \/ Oddball)$/.test(nodeText(heap, node));
}
