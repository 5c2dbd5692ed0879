/** How many entries of a container lead to a closed connection, and how many to an open one. */
import { EDGE, EDGE_TYPE_MASK, NODE, edgeText, isBoundValue } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isModuleScope } from '../graph/retaining-path.ts';
import { OPEN_SOCKET, objectState } from '../verdict/object-state.ts';
import type { StateContext } from '../verdict/object-state.ts';

/** From a session object to the socket of its WebSocket (as in `verdict/example-entry.ts`). */
const MAX_DEPTH = 4;
const MAX_NODES = 60;

export interface ConnectionsOfEntries {
  readonly sampled: number;
  readonly closed: number;
  readonly open: number;
}

export function connectionsOf(context: StateContext, entries: readonly number[]): ConnectionsOfEntries {
  let [closed, open] = [0, 0];
  for (const entry of entries) {
    const state = connectionBelow(context, entry);
    if (state === 'closed') closed += 1;
    else if (state === 'open') open += 1;
  }
  return { sampled: entries.length, closed, open };
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
