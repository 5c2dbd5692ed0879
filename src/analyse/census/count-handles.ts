/** `countHandles`: the open handles of a heap by class. */
import { EDGE, EDGE_TYPE_MASK, NODE, edgeTarget, findOddballs, nodeText, oddballAt } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import type { StateContext } from '../verdict/object-state.ts';

/** Wrappers of libuv handles that stay until the application closes them. Others are pooled by Node. */
const HANDLES = new Set([
  'TCP',
  'Pipe',
  'Process',
  'FSEvent',
  'StatWatcher',
  'MessagePort',
  'Worker',
  'UDP',
  'TTY',
]);

/** Roots of objects that the engine or libuv keeps alive: open handles, pending requests. */
export function countHandles(heap: Heap): Map<string, number[]> {
  const context = { heap, oddballs: findOddballs(heap) };
  const byClass = new Map<string, number[]>();
  for (let edge = heap.firstEdge[0]!; edge < heap.firstEdge[1]!; edge += 1) {
    const root = heap.edgeTo[edge]!;
    if (heap.nodeType[root] !== NODE.synthetic) continue;
    collectHandles(context, root, byClass);
    for (let inner = heap.firstEdge[root]!; inner < heap.firstEdge[root + 1]!; inner += 1) {
      const group = heap.edgeTo[inner]!;
      if (heap.nodeType[group] === NODE.synthetic && nodeText(heap, group) === '(Global handles)')
        collectHandles(context, group, byClass);
    }
  }
  return byClass;
}

function collectHandles(context: StateContext, root: number, byClass: Map<string, number[]>): void {
  const { heap } = context;
  if (!/Global handles|Node \/ Environment/.test(nodeText(heap, root))) return;
  for (let edge = heap.firstEdge[root]!; edge < heap.firstEdge[root + 1]!; edge += 1) {
    if ((heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.weak) continue;
    const to = heap.edgeTo[edge]!;
    const name = nodeText(heap, to);
    if (heap.nodeType[to] !== NODE.object || !HANDLES.has(name) || isIdleSocket(context, to)) continue;
    const nodes = byClass.get(name);
    if (nodes === undefined) byClass.set(name, [to]);
    else nodes.push(to);
  }
}

/**
 * A socket that waits in a pool for its next request. An `http.Agent` sets its `_httpMessage` to null, and undici, which has
 * `fetch`, marks it with a symbol. Pools limit their sockets, and servers close idle ones, so a larger pool is no leak.
 */
function isIdleSocket({ heap, oddballs }: StateContext, handle: number): boolean {
  const socket = edgeTarget(heap, handle, '<symbol owner_symbol>');
  const server = edgeTarget(heap, socket, '_server');
  if (socket < 0 || (server >= 0 && heap.nodeType[server] === NODE.object)) return false;
  const request = edgeTarget(heap, socket, '_httpMessage');
  if (request >= 0) return oddballAt(heap, oddballs, request) === 'null';
  const isUnused = edgeTarget(heap, socket, '<symbol no ref>');
  return isUnused >= 0 && oddballAt(heap, oddballs, isUnused) === 'true';
}
