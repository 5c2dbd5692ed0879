import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WatchedConnections } from '../../../src/hooks/connections/watched-connections.ts';
import { FakeSocket } from '../../support/connections.ts';

const stream = (): Socket => new FakeSocket().asSocket;
const idsOf = (watched: WatchedConnections) => [...watched.named()].map(({ id }) => id);

test.each([
  ['a socket', (socket: Socket) => socket],
  ['a WebSocket of ws', (socket: Socket) => ({ _socket: socket })],
  ['a response, or a connection of the package websocket', (socket: Socket) => ({ socket })],
])('%s leads to its socket', (_case, connectionOn) => {
  const socket = stream();
  const { watch } = new WatchedConnections().add(connectionOn(socket) as unknown as Duplex);
  expect(watch.socket).toBe(socket);
});

test.each([
  ['an object that is not a stream', {}, 'object'],
  ['null', null, 'null'],
  ['a closed WebSocket', { _socket: null }, 'object'],
])('%s is a wrong argument', (_case, connection, received) => {
  expect(() => new WatchedConnections().add(connection as Duplex)).toThrow(
    expect.objectContaining({
      code: 'WSGUARD_WATCH_ARGUMENT',
      message: `wsguard: expected a socket or a stream, got ${received}`,
    }),
  );
});

test.each([[''], [5], [null]])('the id %p is a wrong argument', (id) => {
  const watched = new WatchedConnections();
  expect(() => watched.add(stream(), { id: id as string })).toThrow(
    expect.objectContaining({ code: 'WSGUARD_WATCH_ARGUMENT' }),
  );
  expect(watched.hasUsedIds).toBe(false);
});

test('an id is cut to 64 characters and has no control characters', () => {
  const watched = new WatchedConnections();
  watched.add(stream(), { id: `user\n\u001B[31m${'x'.repeat(100)}` });
  expect(idsOf(watched)).toEqual([`user\uFFFD\uFFFD[31m${'x'.repeat(54)}`]);
});

test('a second call with an id replaces the first', () => {
  const watched = new WatchedConnections();
  const [first, second] = [stream(), stream()];
  const { watch } = watched.add(first, { id: 'user 1' });
  const { replaced } = watched.add(second, { id: 'user 1' });
  expect(replaced).toBe(first);
  expect(watched.has(first)).toBe(false);
  expect([watched.idOf(first), watched.idOf(second)]).toEqual([null, 'user 1']);
  // The first Dispose must not end the second watch.
  expect(watched.end(watch)).toBe(false);
  expect(watched.idOf(second)).toBe('user 1');
});

test('a second call for a connection replaces its id', () => {
  const watched = new WatchedConnections();
  const socket = stream();
  watched.add(socket, { id: 'old' });
  const { watch, replaced } = watched.add(socket, { id: 'new' });
  expect(replaced).toBeNull();
  expect(idsOf(watched)).toEqual(['new']);
  expect(watched.end(watch)).toBe(true);
  expect(watched.has(socket)).toBe(false);
  expect(idsOf(watched)).toEqual([]);
});

test('the same id for the same connection changes nothing', () => {
  const watched = new WatchedConnections();
  const socket = stream();
  watched.add(socket, { id: 'user 1' });
  expect(watched.add(socket, { id: 'user 1' }).replaced).toBeNull();
  expect(watched.idOf(socket)).toBe('user 1');
});

test('a connection without an id is watched', () => {
  const watched = new WatchedConnections();
  const socket = stream();
  watched.add(socket);
  expect(watched.has(socket)).toBe(true);
  expect(watched.idOf(socket)).toBeNull();
  expect(watched.hasUsedIds).toBe(false);
});

test('a closed connection is forgotten with its id', () => {
  const watched = new WatchedConnections();
  const socket = stream();
  watched.add(socket, { id: 'user 1' });
  watched.forget(socket);
  watched.forget(stream());
  expect(watched.has(socket)).toBe(false);
  expect(idsOf(watched)).toEqual([]);
  expect(watched.hasUsedIds).toBe(true);
});

test('beyond 10,000 ids connections are watched without theirs', () => {
  const watched = new WatchedConnections();
  for (let n = 0; n < 10_000; n += 1) watched.add(stream(), { id: `user ${n}` });
  const late = stream();
  watched.add(late, { id: 'late' });
  expect(watched.has(late)).toBe(true);
  expect(watched.idOf(late)).toBeNull();
  expect(idsOf(watched)).toHaveLength(10_000);
});
