/** Whether an object should still be alive, judged by its class and fields, and the sockets below an entry. */
import { isTimerLink, isTimersList } from '../compare/containers.ts';
import {
  EDGE,
  EDGE_TYPE_MASK,
  NODE,
  className,
  edgeTarget,
  edgeText,
  nodeText,
  oddballAt,
} from '../graph/heap.ts';
import type { Heap, Oddballs } from '../graph/heap.ts';

export interface ObjectState {
  readonly state: 'leaking' | 'not-leaking' | 'unknown';
  /** The fact in the snapshot that proves the state. */
  readonly because: string | null;
}

export interface StateContext {
  readonly heap: Heap;
  readonly oddballs: Oddballs;
}

const MAX_FIELDS = 120;
type Fields = ReadonlyMap<string, number>;

const leaking = (because: string): ObjectState => ({ state: 'leaking', because });
const notLeaking = (because: string): ObjectState => ({ state: 'not-leaking', because });
export const unknown = (because: string | null = null): ObjectState => ({ state: 'unknown', because });

export const OPEN_SOCKET = 'an open socket: it has a handle';

/** The values of numbers are in no snapshot, so a `readyState` cannot be read. */
export function objectState(context: StateContext, node: number): ObjectState {
  const { heap } = context;
  if (heap.nodeType[node] !== NODE.object) return unknown();
  const name = className(heap, node);
  if (name === 'globalThis') return notLeaking('the global object');
  if (name === 'process') return notLeaking('the process object');
  if (isTimersList(heap, node)) return notLeaking('a list of active timers');
  const fields = fieldsOf(heap, node);
  if (name === 'Module' && fields.has('exports') && fields.has('children')) {
    return notLeaking('a loaded module');
  }
  return (
    socketState(context, fields) ??
    serverState(context, fields) ??
    messageState(context, fields) ??
    wrapperState(context, fields) ??
    unknown()
  );
}

/** A `net.Socket` or `TLSSocket`. Without a handle it is closed, or, if no server accepted it, it was never open. */
function socketState(context: StateContext, fields: Fields): ObjectState | null {
  const handle = fields.get('<symbol kHandle>');
  if (handle === undefined) return null;
  if (context.heap.nodeType[handle] === NODE.object) return notLeaking(OPEN_SOCKET);
  if (valueOf(context, handle) !== 'null') return unknown();
  const isAccepted = [fields.get('_server'), fields.get('server')].some((node) =>
    isObject(context.heap, node),
  );
  return isAccepted
    ? leaking('a closed socket: its handle is null')
    : unknown('a socket without a handle: it is closed or was never connected');
}

function serverState({ heap }: StateContext, fields: Fields): ObjectState | null {
  if (!fields.has('_handle') || !fields.has('pauseOnConnect')) return null;
  return isObject(heap, fields.get('_handle'))
    ? notLeaking('a listening server: it has a handle')
    : unknown();
}

/** Requests and responses. Node sets `_closed` when it emits `close`. */
function messageState(context: StateContext, fields: Fields): ObjectState | null {
  if (fields.has('outputData') && valueOf(context, fields.get('_closed')) === 'true') {
    return leaking('an HTTP message that has ended: _closed is true');
  }
  const isIncoming = fields.has('rawHeaders') && fields.has('complete');
  return isIncoming && isClosedSocket(context, fields.get('socket'))
    ? leaking('an HTTP message of a closed socket')
    : null;
}

/** Objects of ws, Socket.IO and Node's timers, recognised by fields, because bundlers rename classes. */
function wrapperState(context: StateContext, fields: Fields): ObjectState | null {
  if (fields.has('_receiver') && isClosedSocket(context, fields.get('_socket'))) {
    return leaking('a closed WebSocket: the handle of its socket is null');
  }
  const isSocketIo = fields.has('nsp') && fields.has('client');
  if (isSocketIo && valueOf(context, fields.get('connected')) === 'false') {
    return leaking('not connected: connected is false');
  }
  const isTimer = fields.has('_idleTimeout') || fields.has('_idleStart') || fields.has('_onImmediate');
  return isTimer && valueOf(context, fields.get('_destroyed')) === 'true'
    ? leaking('a timer that was cleared or has fired: _destroyed is true')
    : null;
}

function isClosedSocket(context: StateContext, node: number | undefined): boolean {
  if (node === undefined || !isObject(context.heap, node)) return false;
  return socketState(context, fieldsOf(context.heap, node))?.state === 'leaking';
}

const isObject = (heap: Heap, node: number | undefined): boolean =>
  node !== undefined && heap.nodeType[node] === NODE.object;

const valueOf = ({ heap, oddballs }: StateContext, node: number | undefined): string | null =>
  node === undefined ? null : oddballAt(heap, oddballs, node);

function fieldsOf(heap: Heap, node: number): Fields {
  const fields = new Map<string, number>();
  const end = Math.min(heap.firstEdge[node + 1]!, heap.firstEdge[node]! + MAX_FIELDS);
  for (let edge = heap.firstEdge[node]!; edge < end; edge += 1) {
    if ((heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.property) {
      fields.set(edgeText(heap, edge), heap.edgeTo[edge]!);
    }
  }
  return fields;
}

/** From a session object to the socket of its WebSocket. */
const MAX_SOCKET_DEPTH = 4;
const MAX_VISITED = 50;

/** Number of entries that refer to a closed socket, and to an open one only. */
export function countSockets(heap: Heap, entries: readonly number[]): { closed: number; open: number } {
  let [closed, open] = [0, 0];
  for (const entry of entries) {
    const handle = findSocketHandle(heap, entry, MAX_SOCKET_DEPTH, new Set());
    if (handle < 0) continue;
    if (isNull(heap, handle)) closed += 1;
    else open += 1;
  }
  return { closed, open };
}

/** The `kHandle` of the first closed socket below a node, else of the first open one, else -1. */
function findSocketHandle(heap: Heap, node: number, depth: number, visited: Set<number>): number {
  if (visited.has(node) || visited.size > MAX_VISITED) return -1;
  visited.add(node);
  const handle = edgeTarget(heap, node, '<symbol kHandle>');
  if (handle >= 0) return handle;
  if (depth === 0) return -1;
  let openHandle = -1;
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
    const to = heap.edgeTo[edge]!;
    const edgeType = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    const name = edgeText(heap, edge);
    const isField = edgeType === EDGE.property || edgeType === EDGE.context || name === 'context';
    if (!isField || name === '__proto__' || isTimerLink(heap, edge)) continue;
    const type = heap.nodeType[to];
    if (type !== NODE.object && type !== NODE.closure) continue;
    const below = findSocketHandle(heap, to, depth - 1, visited);
    if (below >= 0 && isNull(heap, below)) return below;
    if (openHandle < 0) openHandle = below;
  }
  return openHandle;
}

/** Node 20 and 22 name the null object `system / Oddball`; later versions name it `null`. */
export function isNull(heap: Heap, node: number): boolean {
  return heap.nodeType[node] === NODE.hidden && /^(null|system \/ Oddball)$/.test(nodeText(heap, node));
}
