import { countConnections, findAcceptedSockets } from '../../../src/analyse/compare/connections.ts';
import { findOddballs } from '../../../src/analyse/graph/heap.ts';
import { countSockets, objectState } from '../../../src/analyse/verdict/object-state.ts';
import { heapOf } from '../../support/heap-of.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';
import type { Style } from '../../support/heap-snapshot-builder.ts';

/** Only newer files name null, true and false differently; the list of read-only roots tells them apart in all versions. */
function createHeap(style: Style) {
  const builder = new HeapSnapshotBuilder(style);
  const root = builder.node('synthetic', '');
  const roots = builder.node('synthetic', '(Read-only roots)');
  builder.edge(root, 'element', 1, roots);
  const constant = (name: string): number => {
    const node = builder.node('hidden', style === 'node20' ? 'system / Oddball' : name);
    builder.edge(roots, 'internal', `${name}_value`, node);
    return node;
  };
  const constants = {
    null: constant('null'),
    undefined: constant('undefined'),
    true: constant('true'),
    false: constant('false'),
  };
  let fields = 0;
  const object = (
    name: string,
    values: Readonly<Record<string, number | keyof typeof constants>>,
  ): number => {
    const node = builder.node('object', name);
    builder.edge(root, 'property', `f${fields++}`, node);
    for (const [field, value] of Object.entries(values)) {
      builder.edge(node, 'property', field, typeof value === 'number' ? value : constants[value]);
    }
    return node;
  };
  return { builder, object };
}

const STYLES: readonly Style[] = ['node20', 'node26'];

test.each(STYLES)('%s: the state of an object follows from its class and fields', (style) => {
  const { builder, object } = createHeap(style);
  const handle = object('TCP', {});
  const server = object('Server', { _handle: handle, pauseOnConnect: 'false' });
  const closed = object('Socket', { '<symbol kHandle>': 'null', _server: server });
  const open = object('Socket', { '<symbol kHandle>': handle, _server: server });
  const expected: readonly [number, string][] = [
    [closed, 'leaking'],
    [open, 'not-leaking'],
    [server, 'not-leaking'],
    [object('Server', { _handle: 'null', pauseOnConnect: 'false' }), 'unknown'],
    // A client's socket may never have been connected. An HTTP/2 stream may not have its handle yet.
    [object('Socket', { '<symbol kHandle>': 'null', _server: 'null' }), 'unknown'],
    [object('ServerHttp2Stream', { '<symbol kHandle>': 'undefined' }), 'unknown'],
    [object('TLSSocket', { '<symbol kHandle>': 'null', _server: 'null', server }), 'leaking'],
    [object('WebSocket', { _receiver: handle, _socket: closed }), 'leaking'],
    [object('WebSocket', { _receiver: handle, _socket: open }), 'unknown'],
    [object('Session', { socket: closed }), 'unknown'],
    [object('ServerResponse', { outputData: handle, _closed: 'true' }), 'leaking'],
    [object('ServerResponse', { outputData: handle, _closed: 'false' }), 'unknown'],
    [object('IncomingMessage', { rawHeaders: handle, complete: 'true', socket: closed }), 'leaking'],
    [object('IncomingMessage', { rawHeaders: handle, complete: 'true', socket: open }), 'unknown'],
    [object('Socket', { nsp: handle, client: handle, connected: 'false' }), 'leaking'],
    [object('Socket', { nsp: handle, client: handle, connected: 'true' }), 'unknown'],
    [object('Timeout', { _idleTimeout: handle, _destroyed: 'true' }), 'leaking'],
    [object('Timeout', { _idleTimeout: handle, _destroyed: 'false' }), 'unknown'],
    [object('global', {}), 'not-leaking'],
    [object('Object', { connected: 'false', _closed: 'true', _destroyed: 'true' }), 'unknown'],
  ];
  const heap = heapOf(builder);
  const context = { heap, oddballs: findOddballs(heap) };
  expect(expected.map(([node]) => [node, objectState(context, node).state])).toEqual(expected);
  // Each known state has a reason.
  for (const [node, state] of expected) {
    if (state !== 'unknown') expect(objectState(context, node).because).not.toBeNull();
  }
});

test.each(STYLES)('%s: accepted connections are counted by their state in both snapshots', (style) => {
  const { builder, object } = createHeap(style);
  const handle = object('TCP', {});
  const server = object('Server', {});
  const socket = (state: number | 'null', of: number | 'null' = server): number =>
    object('Socket', { '<symbol kHandle>': state, _server: of });
  const [stays, closes] = [socket(handle), socket('null')];
  const [opened, openedAndClosed] = [socket(handle), socket('null')];
  // A client socket, and an object of Socket.IO that is also called Socket.
  socket(handle, 'null');
  object('Socket', { nsp: server });
  const heap = heapOf(builder);
  const now = findAcceptedSockets(heap);
  expect([...now.nodes]).toEqual([stays, closes, opened, openedAndClosed]);
  const earlierNode = new Uint32Array(heap.nodeCount);
  earlierNode[stays] = 7;
  earlierNode[closes] = 8;
  const accepted = { nodes: Uint32Array.of(6, 7, 90), isClosed: Uint8Array.of(0, 0, 1) };
  const counts = { open: 2, closed: 2, before: { open: 2, closed: 1 } };
  const since = { opened: 1, openedAndClosed: 1, closed: 1, released: 1 };
  expect(countConnections(now, { accepted, earlierNode })).toEqual({ ...counts, since });
  expect(countConnections(now, { accepted, earlierNode: null })).toEqual({ ...counts, since: null });
  expect(countConnections(now, null)).toEqual({ open: 2, closed: 2, before: null, since: null });
});

test('without accepted connections there are no counts', () => {
  const { builder } = createHeap('node26');
  expect(countConnections(findAcceptedSockets(heapOf(builder)), null)).toBeNull();
});

test('sockets below entries: the handle of a closed socket is null, which Node 20 names differently', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const entryWith = (handle: number): number => {
    const entry = builder.node('object', 'Session');
    const socket = builder.node('object', 'Socket');
    builder.edge(root, 'element', entry, entry).edge(entry, 'property', 'socket', socket);
    builder.edge(socket, 'property', '<symbol kHandle>', handle);
    return entry;
  };
  const entries = [
    entryWith(builder.node('object', 'TCP')),
    entryWith(builder.node('object', 'TCP')),
    entryWith(builder.node('hidden', 'null')),
    entryWith(builder.node('hidden', 'system / Oddball')),
    builder.node('object', 'Session'),
  ];
  // An entry with a closed and an open socket counts as closed.
  const both = entryWith(builder.node('object', 'TCP'));
  builder.edge(both, 'property', 'last', entries[2]!);
  expect(countSockets(heapOf(builder), [...entries, both])).toEqual({ closed: 3, open: 2 });
});

test('the timer of an entry leads to no socket of the timer that comes next in the list of Node', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const [open, closed] = ['TCP', 'null'].map((name) => {
    const [entry, timer, socket] = [
      builder.node('object', 'Client'),
      builder.node('object', 'Timeout'),
      builder.node('object', 'Socket'),
    ];
    const handle = builder.node(name === 'null' ? 'hidden' : 'object', name);
    builder.edge(root, 'element', entry, entry).edge(entry, 'property', 'timer', timer);
    builder.edge(timer, 'property', 'socket', socket);
    builder.edge(socket, 'property', '<symbol kHandle>', handle);
    return { entry, timer };
  });
  builder.edge(open!.timer, 'property', '_idleNext', closed!.timer);
  builder.edge(closed!.timer, 'property', '_idlePrev', open!.timer);
  expect(countSockets(heapOf(builder), [open!.entry, closed!.entry])).toEqual({ closed: 1, open: 1 });
});
