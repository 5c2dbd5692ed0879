import { constantAt } from '../graph/constants.ts';
import type { Constants } from '../graph/constants.ts';
import { EDGE, EDGE_MASK, NODE, edgeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { className } from '../locate/path.ts';
import { isTimersList } from '../compare/timers.ts';

/** Should an object still be there? And the fact in the snapshot that says so. */
export interface Stated {
  readonly state: 'leaking' | 'not-leaking' | 'unknown';
  readonly because: string | null;
}
export interface Facts {
  readonly heap: Heap;
  readonly constants: Constants;
}

const MOST_FIELDS = 120;
type Fields = ReadonlyMap<string, number>;

const leaking = (because: string): Stated => ({ state: 'leaking', because });
const notLeaking = (because: string): Stated => ({ state: 'not-leaking', because });
export const unknown = (because: string | null = null): Stated => ({ state: 'unknown', because });

export const OPEN_SOCKET = 'an open socket: it has a handle';

/** By what an object is and by its own fields. Numbers are in no snapshot, so a `readyState` says nothing. */
export function stateOf(facts: Facts, node: number): Stated {
  const { heap } = facts;
  if (heap.nodeType[node] !== NODE.object) return unknown();
  const name = className(heap, node);
  if (name === 'globalThis') return notLeaking('the global object');
  if (name === 'process') return notLeaking('the object of the process');
  if (isTimersList(heap, node)) return notLeaking('a list of timers that run');
  const fields = fieldsOf(heap, node);
  if (name === 'Module' && fields.has('exports') && fields.has('children')) {
    return notLeaking('a module that is loaded');
  }
  return (
    ofSocket(facts, fields) ??
    ofServer(facts, fields) ??
    ofMessage(facts, fields) ??
    ofWrapper(facts, fields) ??
    unknown()
  );
}

/** A `net.Socket` or `TLSSocket`: without a handle it is closed, or, when no server accepted it, was never open. */
function ofSocket(facts: Facts, fields: Fields): Stated | null {
  const handle = fields.get('<symbol kHandle>');
  if (handle === undefined) return null;
  if (facts.heap.nodeType[handle] === NODE.object) return notLeaking(OPEN_SOCKET);
  if (constantOf(facts, handle) !== 'null') return unknown();
  const isAccepted = [fields.get('_server'), fields.get('server')].some((at) => isObject(facts.heap, at));
  return isAccepted
    ? leaking('a closed socket: its handle is null')
    : unknown('a socket without a handle: closed, or never connected');
}

function ofServer({ heap }: Facts, fields: Fields): Stated | null {
  if (!fields.has('_handle') || !fields.has('pauseOnConnect')) return null;
  const isOpen = isObject(heap, fields.get('_handle'));
  return isOpen ? notLeaking('a server that listens: it has a handle') : unknown();
}

/** Requests and responses: `_closed` is set when Node has emitted `close`. */
function ofMessage(facts: Facts, fields: Fields): Stated | null {
  if (fields.has('outputData') && constantOf(facts, fields.get('_closed')) === 'true') {
    return leaking('a message that has ended: _closed is true');
  }
  const isIncoming = fields.has('rawHeaders') && fields.has('complete');
  return isIncoming && isClosedSocket(facts, fields.get('socket'))
    ? leaking('a message of a closed socket')
    : null;
}

/** What libraries wrap a socket in, known by fields, since bundlers give classes other names. */
function ofWrapper(facts: Facts, fields: Fields): Stated | null {
  if (fields.has('_receiver') && isClosedSocket(facts, fields.get('_socket'))) {
    return leaking('a closed WebSocket: the handle of its socket is null');
  }
  const isSocketIo = fields.has('nsp') && fields.has('client');
  if (isSocketIo && constantOf(facts, fields.get('connected')) === 'false') {
    return leaking('not connected: connected is false');
  }
  const isTimer = fields.has('_idleTimeout') || fields.has('_idleStart') || fields.has('_onImmediate');
  return isTimer && constantOf(facts, fields.get('_destroyed')) === 'true'
    ? leaking('a timer that is cleared or has fired: _destroyed is true')
    : null;
}

function isClosedSocket(facts: Facts, node: number | undefined): boolean {
  if (node === undefined || !isObject(facts.heap, node)) return false;
  return ofSocket(facts, fieldsOf(facts.heap, node))?.state === 'leaking';
}

const isObject = (heap: Heap, node: number | undefined): boolean =>
  node !== undefined && heap.nodeType[node] === NODE.object;

const constantOf = ({ heap, constants }: Facts, node: number | undefined): string | null =>
  node === undefined ? null : constantAt(heap, constants, node);

function fieldsOf(heap: Heap, node: number): Fields {
  const fields = new Map<string, number>();
  const end = Math.min(heap.firstEdge[node + 1]!, heap.firstEdge[node]! + MOST_FIELDS);
  for (let edge = heap.firstEdge[node]!; edge < end; edge++) {
    if ((heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.property) {
      fields.set(edgeText(heap, edge), heap.edgeTo[edge]!);
    }
  }
  return fields;
}
