/** Counts the connections that the servers of a process accepted, open and closed, and their change between snapshots. */
import type { ConnectionCount } from '../../types/index.ts';
import { NODE, edgeTarget, findOddballs, oddballAt } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

/** Accepted sockets in one snapshot. */
export interface AcceptedSockets {
  readonly nodes: Uint32Array;
  /** 1 when the handle is null. */
  readonly isClosed: Uint8Array;
}

/**
 * A server sets `_server` of each `net.Socket` that it accepts; it is null for other sockets. Below a `TLSSocket` is a
 * `net.Socket` that is closed with it, so each connection counts once.
 */
export function findAcceptedSockets(heap: Heap): AcceptedSockets {
  const { nodeCount, nodeType, nodeName, names } = heap;
  const socketName = names.indexOf('Socket');
  const nodes: number[] = [];
  const isClosed: number[] = [];
  const oddballs = findOddballs(heap);
  for (let node = 0; node < nodeCount && socketName >= 0; node += 1) {
    if (nodeName[node] !== socketName || nodeType[node] !== NODE.object) continue;
    const handle = edgeTarget(heap, node, '<symbol kHandle>');
    const server = edgeTarget(heap, node, '_server');
    if (handle < 0 || server < 0 || nodeType[server] !== NODE.object) continue;
    nodes.push(node);
    isClosed.push(oddballAt(heap, oddballs, handle) === 'null' ? 1 : 0);
  }
  return { nodes: Uint32Array.from(nodes), isClosed: Uint8Array.from(isClosed) };
}

/** The first snapshot's sockets, and the matching of nodes when the ids of both files agree. */
export interface EarlierSockets {
  readonly accepted: AcceptedSockets;
  /** Node of the current snapshot -> earlier node plus one; 0 for new nodes. Null when ids do not agree. */
  readonly earlierNode: Uint32Array | Uint8Array | null;
}

export function countConnections(
  current: AcceptedSockets,
  earlier: EarlierSockets | null,
): ConnectionCount | null {
  const counts = openAndClosed(current);
  const before = earlier === null ? null : openAndClosed(earlier.accepted);
  const all = counts.open + counts.closed + (before === null ? 0 : before.open + before.closed);
  if (all === 0) return null;
  const since =
    earlier?.earlierNode == null ? null : changesSince(current, earlier.accepted, earlier.earlierNode);
  return { ...counts, before, since };
}

function openAndClosed({ isClosed }: AcceptedSockets): { open: number; closed: number } {
  const closed = isClosed.reduce((sum, each) => sum + each, 0);
  return { open: isClosed.length - closed, closed };
}

function changesSince(
  current: AcceptedSockets,
  earlier: AcceptedSockets,
  earlierNode: Uint32Array | Uint8Array,
): NonNullable<ConnectionCount['since']> {
  const wasClosed = new Map([...earlier.nodes].map((node, index) => [node, earlier.isClosed[index] === 1]));
  let [opened, openedAndClosed, closed, kept] = [0, 0, 0, 0];
  for (let index = 0; index < current.nodes.length; index += 1) {
    const isClosed = current.isClosed[index] === 1;
    const wasClosedEarlier = wasClosed.get(earlierNode[current.nodes[index]!]! - 1);
    if (wasClosedEarlier === undefined) {
      if (isClosed) openedAndClosed += 1;
      else opened += 1;
    } else {
      kept += 1;
      if (isClosed && !wasClosedEarlier) closed += 1;
    }
  }
  return { opened, openedAndClosed, closed, released: earlier.nodes.length - kept };
}
