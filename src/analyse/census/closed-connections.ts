/**
 * `EntryConnections`: how many entries of a container lead to a closed connection, and how many to an open one.
 *
 * The shortest path from the root to a closed connection shows that the entries on it keep it in memory, however long the
 * path is: from a function of rxjs to the socket are ten references and more. Where a shorter path leads past the
 * container, the fields below the entry are searched too.
 */
import type { AcceptedSockets } from '../compare/connections.ts';
import { isTimerLink } from '../compare/containers.ts';
import { pathParent } from '../graph/graph.ts';
import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, NONE, edgeText, findOddballs, isBoundValue } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isModuleScope } from '../graph/retaining-path.ts';
import { OPEN_SOCKET, objectState } from '../verdict/object-state.ts';
import type { StateContext } from '../verdict/object-state.ts';

/** From a session object to the socket of its WebSocket (as in `verdict/example-entry.ts`). */
const MAX_DEPTH = 4;
const MAX_NODES = 60;
/** The longest path of the checked servers, through GraphQL subscriptions, has 40 references. */
const MAX_PATH = 200;

export interface ConnectionsOfEntries {
  readonly sampled: number;
  readonly closed: number;
  readonly open: number;
}

/** Each link of a chain leads to the links after it. The tests tell those from what the link refers to itself. */
export interface LinkTest {
  readonly isLink: (node: number) => boolean;
  /** A promise belongs to the function that settles it. */
  readonly isPart: (node: number) => boolean;
}

export class EntryConnections {
  readonly #graph: Pick<Graph, 'heap' | 'paths'>;
  readonly #context: StateContext;
  /** 1 for the nodes on the shortest path to a closed connection. */
  readonly #leadsToClosed: Uint8Array;

  constructor(graph: Pick<Graph, 'heap' | 'paths'>, accepted: AcceptedSockets) {
    this.#graph = graph;
    this.#context = { heap: graph.heap, oddballs: findOddballs(graph.heap) };
    this.#leadsToClosed = markPaths(graph, accepted);
  }

  /** `links` is null for entries that do not lead to each other. */
  of(entries: readonly number[], links: LinkTest | null): ConnectionsOfEntries {
    let [closed, open] = [0, 0];
    for (const entry of entries) {
      const leadsToClosed =
        links === null ? this.#leadsToClosed[entry] === 1 : this.#refersToClosed(entry, links);
      const state = leadsToClosed ? 'closed' : connectionBelow(this.#context, entry);
      if (state === 'closed') closed += 1;
      else if (state === 'open') open += 1;
    }
    return { sampled: entries.length, closed, open };
  }

  /** The nodes from an entry to a closed connection on its shortest path; empty when there is none. */
  pathBelow(entry: number): number[] {
    const path: number[] = [];
    for (let node = entry; node >= 0 && path.length < MAX_PATH; node = this.#nextToClosed(node))
      path.push(node);
    return path.length === 1 ? [] : path;
  }

  #nextToClosed(from: number): number {
    const { heap, paths } = this.#graph;
    for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge += 1) {
      const to = heap.edgeTo[edge]!;
      if (paths.edgeInto[to] === edge && this.#leadsToClosed[to] === 1) return to;
    }
    return -1;
  }

  #refersToClosed(from: number, links: LinkTest, isPart = false): boolean {
    const { heap, paths } = this.#graph;
    for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge += 1) {
      const to = heap.edgeTo[edge]!;
      if (paths.edgeInto[to] !== edge || this.#leadsToClosed[to] === 0 || links.isLink(to)) continue;
      if (!links.isPart(to) || (!isPart && this.#refersToClosed(to, links, true))) return true;
    }
    return false;
  }
}

/** Each step marks a node or ends a path, so the work is bounded by the number of nodes. */
function markPaths(
  { heap, paths }: Pick<Graph, 'heap' | 'paths'>,
  { nodes, isClosed }: AcceptedSockets,
): Uint8Array {
  const marks = new Uint8Array(heap.nodeCount);
  for (const [index, socket] of nodes.entries()) {
    if (isClosed[index] !== 1) continue;
    for (let node = socket; node !== NONE && marks[node] === 0; node = pathParent(heap, paths, node))
      marks[node] = 1;
  }
  return marks;
}

function connectionBelow(context: StateContext, entry: number): 'closed' | 'open' | 'none' {
  const { heap } = context;
  const queue = [{ node: entry, depth: 0 }];
  const visited = new Set([entry]);
  let isOpen = false;
  for (const { node, depth } of queue) {
    const { state, because } = objectState(context, node);
    if (state === 'leaking') return 'closed';
    if (because === OPEN_SOCKET) isOpen = true;
    // Everything can be reached through objects that are alive for another reason, so the search ends there.
    if (state === 'not-leaking' || depth === MAX_DEPTH) continue;
    for (const next of fieldsBelow(heap, node)) {
      if (visited.size >= MAX_NODES) break;
      if (visited.has(next)) continue;
      visited.add(next);
      queue.push({ node: next, depth: depth + 1 });
    }
  }
  return isOpen ? 'open' : 'none';
}

function* fieldsBelow(heap: Heap, from: number): Generator<number> {
  for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge += 1) {
    const type = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    const to = heap.edgeTo[edge]!;
    if (heap.nodeType[to] !== NODE.object && heap.nodeType[to] !== NODE.closure) continue;
    if (isTimerLink(heap, edge)) continue;
    if (type === EDGE.context) yield to;
    else if (type === EDGE.internal) {
      // A module's scope refers to all variables of the module.
      const isScope = edgeText(heap, edge) === 'context' && !isModuleScope({ heap }, to);
      if (isScope || isBoundValue(heap, edge)) yield to;
    } else if (type === EDGE.shortcut) {
      if (isBoundValue(heap, edge)) yield to;
    } else if (type === EDGE.property && !/^(__proto__|constructor|prototype)$/.test(edgeText(heap, edge)))
      yield to;
  }
}
