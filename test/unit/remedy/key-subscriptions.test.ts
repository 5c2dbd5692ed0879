import { EventEmitter } from 'node:events';
import { KeySubscriptions } from '../../../src/remedy/key-subscriptions.ts';
import { FakeWebSocket } from '../../support/web-sockets.ts';

function setUp() {
  const changes: [string, boolean][] = [];
  const keys = new KeySubscriptions((key, isUsed) => changes.push([key, isUsed]));
  return { changes, keys };
}

test('a key is used from its first connection to its last', () => {
  const { changes, keys } = setUp();
  const [a, b] = [new FakeWebSocket(), new FakeWebSocket()];
  keys.add('x', a);
  keys.add('x', b);
  keys.add('x', b);
  keys.remove('x', a);
  expect(changes).toEqual([['x', true]]);
  keys.remove('x', b);
  keys.remove('x', b);
  expect(changes).toEqual([
    ['x', true],
    ['x', false],
  ]);
  expect([keys.connections, keys.connectionsByKey.size]).toEqual([0, 0]);
});

test.each(['close', 'disconnect'])('a connection leaves all its keys on %s', (event) => {
  const { changes, keys } = setUp();
  const connection = new EventEmitter();
  for (const key of ['x', 'y']) keys.add(key, connection);
  expect(connection.listenerCount(event)).toBe(1);
  connection.emit(event);
  expect(changes.slice(2)).toEqual([
    ['x', false],
    ['y', false],
  ]);
  expect(connection.eventNames()).toEqual([]);
});

test('an object with a WebSocket counts by its WebSocket, and a closed one is not added', () => {
  const { keys } = setUp();
  const open = { ws: new FakeWebSocket() };
  keys.add('x', open);
  keys.add('x', { ws: Object.assign(new FakeWebSocket(), { readyState: 3 }) });
  expect([...keys.connectionsByKey.get('x')!]).toEqual([open]);
  open.ws.terminate();
  expect(keys.connectionsByKey.size).toBe(0);
});

test('clear removes all listeners', () => {
  const { keys } = setUp();
  const ws = new FakeWebSocket();
  keys.add('x', ws);
  keys.clear();
  expect([ws.eventNames(), keys.connections]).toEqual([[], 0]);
});
