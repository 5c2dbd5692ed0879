import type { ConnectionCount } from '../../types/index.ts';
import { constantAt, constantsOf } from '../graph/constants.ts';
import { NODE, follow } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';

/** The sockets in one snapshot that its servers accepted. */
export interface Accepted {
  readonly nodes: Uint32Array;
  /** 1: its handle is null. */
  readonly isClosed: Uint8Array;
}

/**
 * `_server` is set by the server that accepted a `net.Socket` and is null for others. Below TLS lies one too, which
 * is closed with it, so every connection is counted once.
 */
export function findAccepted(heap: Heap): Accepted {
  const { nodeCount, nodeType, nodeName, names } = heap;
  const name = names.word('Socket');
  const nodes: number[] = [];
  const isClosed: number[] = [];
  const constants = constantsOf(heap);
  for (let node = 0; node < nodeCount && name >= 0; node++) {
    if (nodeName[node] !== name || nodeType[node] !== NODE.object) continue;
    const handle = follow(heap, node, '<symbol kHandle>');
    const server = follow(heap, node, '_server');
    if (handle < 0 || server < 0 || nodeType[server] !== NODE.object) continue;
    nodes.push(node);
    isClosed.push(constantAt(heap, constants, handle) === 'null' ? 1 : 0);
  }
  return { nodes: Uint32Array.from(nodes), isClosed: Uint8Array.from(isClosed) };
}

/** The earlier snapshot, and where the later one's nodes stood in it, when ids tell. */
export interface Then {
  readonly accepted: Accepted;
  /** By node of the later snapshot: where it stood, plus one; 0: new. */
  readonly before: Uint32Array | Uint8Array | null;
}

export function countConnections(now: Accepted, then: Then | null): ConnectionCount | null {
  const current = openAndClosed(now);
  const before = then === null ? null : openAndClosed(then.accepted);
  const all = current.open + current.closed + (before === null ? 0 : before.open + before.closed);
  if (all === 0) return null;
  const since = then?.before == null ? null : changes(now, then.accepted, then.before);
  return { ...current, before, since };
}

function openAndClosed({ isClosed }: Accepted): { open: number; closed: number } {
  const closed = isClosed.reduce((sum, each) => sum + each, 0);
  return { open: isClosed.length - closed, closed };
}

function changes(
  now: Accepted,
  then: Accepted,
  before: Uint32Array | Uint8Array,
): NonNullable<ConnectionCount['since']> {
  const wasClosed = new Map([...then.nodes].map((node, at) => [node, then.isClosed[at] === 1]));
  let [opened, openedAndClosed, closed, kept] = [0, 0, 0, 0];
  for (let at = 0; at < now.nodes.length; at++) {
    const isClosed = now.isClosed[at] === 1;
    const was = wasClosed.get(before[now.nodes[at]!]! - 1);
    if (was === undefined) {
      if (isClosed) openedAndClosed++;
      else opened++;
    } else {
      kept++;
      if (isClosed && !was) closed++;
    }
  }
  return { opened, openedAndClosed, closed, released: then.nodes.length - kept };
}
