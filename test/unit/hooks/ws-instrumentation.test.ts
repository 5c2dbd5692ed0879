import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Connection } from '../../../src/hooks/connections/connection.ts';
import { NEVER } from '../../../src/hooks/connections/connection.ts';
import { closeCodeLabel, isWebSocket } from '../../../src/hooks/connections/web-socket.ts';
import { WsInstrumentation } from '../../../src/hooks/connections/ws-instrumentation.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { connectionWith, fakeWebSocketClass, FakeSocket } from '../../support/connections.ts';

const pongTo = (ws: object): boolean => (ws as EventEmitter).emit('pong');

function setUp() {
  const clock = createFakeClock();
  const open = new Map<Socket, Connection | null>();
  const instrumentation = new WsInstrumentation(clock, open);
  const FakeWebSocket = fakeWebSocketClass();
  const { send, ping, close } = FakeWebSocket.prototype;
  const originals = { send, ping, close };
  const connect = (fields: object = {}) => {
    const socket = new FakeSocket();
    const ws = new FakeWebSocket(socket, fields);
    const connection = connectionWith({ socket: socket.asSocket, appObject: ws });
    open.set(socket.asSocket, connection);
    instrumentation.instrument(ws);
    return { ws, socket, connection };
  };
  return { clock, open, instrumentation, FakeWebSocket, originals, connect };
}

const RESULTS = { send: 'sent', ping: 'pinged', close: 'closed' };

describe.each(['send', 'ping', 'close'] as const)('%s', (method) => {
  test('the original runs once with the same this and arguments, and its result is returned', () => {
    const { connect } = setUp();
    const { ws } = connect();
    const callback = (): void => undefined;
    const result = (ws[method] as (...args: unknown[]) => unknown)('data', { binary: true }, callback);
    expect(ws.calls).toEqual([[method, ws, 'data', { binary: true }, callback]]);
    expect(result).toBe(RESULTS[method]);
  });

  test('the number of arguments stays: ws reads its arguments by their number', () => {
    const { connect } = setUp();
    const { ws } = connect();
    (ws[method] as () => unknown)();
    expect(ws.calls).toEqual([[method, ws]]);
  });

  test('an error of the original is thrown', () => {
    const { connect } = setUp();
    const { ws } = connect();
    expect(() => (ws[method] as (data: string) => unknown)('throw')).toThrow(`from ${method}`);
    expect(ws.calls).toHaveLength(1);
  });

  test('the wrapper has the name and the length of the original', () => {
    const { connect, originals } = setUp();
    const { ws } = connect();
    expect(ws[method]).not.toBe(originals[method]);
    expect(ws[method].name).toBe(originals[method].name);
    expect(ws[method].length).toBe(originals[method].length);
  });

  test('a class is wrapped once, for any number of WebSockets', () => {
    const { connect, FakeWebSocket } = setUp();
    connect();
    const wrapped = FakeWebSocket.prototype[method];
    const { ws } = connect();
    expect(FakeWebSocket.prototype[method]).toBe(wrapped);
    (ws[method] as () => unknown)();
    expect(ws.calls).toHaveLength(1);
  });

  test('a subclass that inherits the method is wrapped with its parent', () => {
    const { instrumentation, FakeWebSocket, originals } = setUp();
    const Subclass = class extends FakeWebSocket {};
    const [parent, child] = [new FakeWebSocket(new FakeSocket()), new Subclass(new FakeSocket())];
    instrumentation.instrument(child);
    instrumentation.instrument(parent);
    (child[method] as () => unknown)();
    expect(child.calls).toHaveLength(1);
    expect(Object.hasOwn(Subclass.prototype, method)).toBe(false);
    instrumentation.stop();
    expect(FakeWebSocket.prototype[method]).toBe(originals[method]);
  });

  test('stop restores the original', () => {
    const { connect, instrumentation, FakeWebSocket, originals } = setUp();
    connect();
    instrumentation.stop();
    expect(FakeWebSocket.prototype[method]).toBe(originals[method]);
  });

  test('stop keeps a wrapper that other code installed later', () => {
    const { connect, instrumentation, FakeWebSocket } = setUp();
    const { ws } = connect();
    const ours = FakeWebSocket.prototype[method];
    const theirs = function (this: unknown, ...args: unknown[]): unknown {
      return Reflect.apply(ours, this, args);
    };
    FakeWebSocket.prototype[method] = theirs as never;
    instrumentation.stop();
    expect(FakeWebSocket.prototype[method]).toBe(theirs);
    (ws[method] as () => unknown)();
    expect(ws.calls).toHaveLength(1);
  });
});

describe('closing handshakes', () => {
  test('started by the server are known with their time until they are taken', () => {
    const { connect, clock, instrumentation } = setUp();
    const [{ ws }, { ws: stopping }] = [connect(), connect()];
    clock.advance(1_000);
    ws.close(1000);
    stopping.close(1001, 'going away');
    expect(instrumentation.takeServerClose(ws)).toEqual({ atMs: 1_000, isShutdown: false });
    expect(instrumentation.takeServerClose(ws)).toBeNull();
    expect(instrumentation.takeServerClose(stopping)).toEqual({ atMs: 1_000, isShutdown: true });
  });

  test.each([
    ['the reply to a close frame of the peer', { _closeFrameReceived: true }],
    ['a second close', { readyState: 2 }],
    ['a client in the same process', { _isServer: false }],
  ])('not started by the server: %s', (_name, fields) => {
    const { connect, instrumentation } = setUp();
    const { ws } = connect(fields);
    ws.close(1001);
    expect(ws.calls).toEqual([['close', ws, 1001]]);
    expect(instrumentation.takeServerClose(ws)).toBeNull();
  });
});

describe('messages', () => {
  test('sent on an open WebSocket, failed on another one', () => {
    const { connect, instrumentation } = setUp();
    const { ws } = connect();
    ws.send('one');
    ws.send('two');
    ws.readyState = 3;
    ws.send('too late');
    expect(instrumentation).toMatchObject({ messagesSent: 2, messagesFailed: 1 });
  });

  test('of clients in the same process are not counted', () => {
    const { connect, instrumentation } = setUp();
    const { ws } = connect({ _isServer: false });
    ws.send('from a client');
    expect(ws.calls).toHaveLength(1);
    expect(instrumentation).toMatchObject({ messagesSent: 0, messagesFailed: 0 });
  });
});

describe('round trips', () => {
  test('are measured from a ping of the application to its pong', () => {
    const { connect, clock, instrumentation } = setUp();
    const { ws, connection } = connect();
    clock.advance(1_000);
    ws.ping();
    expect(connection).toMatchObject({
      appPingAtMs: 1_000,
      unansweredPingAtMs: 1_000,
      roundTripStartMs: 1_000,
      hasPongListener: true,
    });
    clock.advance(30);
    pongTo(ws);
    expect(connection).toMatchObject({ unansweredPingAtMs: NEVER, roundTripStartMs: NEVER });
    expect(instrumentation.roundTrips.read()).toMatchObject({ sumSeconds: 0.03 });
    pongTo(ws);
    expect(instrumentation.roundTrips.read()?.counts.at(-1)).toBe(1);
  });

  test('need one listener for a WebSocket, which stop removes', () => {
    const { connect, instrumentation } = setUp();
    const [first, second] = [connect(), connect()];
    for (const { ws } of [first, first, second]) ws.ping();
    expect(first.ws.listeners('pong')).toHaveLength(1);
    expect(first.ws.listeners('pong')).toEqual(second.ws.listeners('pong'));
    instrumentation.stop();
    expect(first.ws.listenerCount('pong') + second.ws.listenerCount('pong')).toBe(0);
  });

  test('an older unanswered ping keeps its time', () => {
    const { connect, clock } = setUp();
    const { ws, connection } = connect();
    connection.unansweredPingAtMs = 5;
    clock.advance(1_000);
    ws.ping();
    expect(connection).toMatchObject({ unansweredPingAtMs: 5, roundTripStartMs: 1_000 });
  });

  test.each([
    ['a WebSocket that is not open', { readyState: 2 }],
    ['a WebSocket without a socket', { _socket: null }],
    ['a WebSocket on an unknown socket', { _socket: new FakeSocket() }],
  ])('%s has none', (_case, fields) => {
    const { connect } = setUp();
    const { ws, connection } = connect(fields);
    ws.ping();
    expect(connection.appPingAtMs).toBe(NEVER);
    expect(ws.listenerCount('pong')).toBe(0);
    pongTo(ws);
  });

  test('a getter of the application that throws does not stop its ping', () => {
    const { connect } = setUp();
    const { ws, connection } = connect();
    Object.defineProperty(ws, '_socket', {
      get() {
        throw new Error('code of the application');
      },
    });
    ws.ping();
    expect(ws.calls).toHaveLength(1);
    expect(connection.appPingAtMs).toBe(NEVER);
  });
});

describe('pings of the agent', () => {
  test('use the original method and do not count as the application’s', () => {
    const { connect, instrumentation } = setUp();
    const { ws, connection } = connect();
    instrumentation.ping(ws);
    expect(ws.calls).toEqual([['ping', ws]]);
    expect(connection.appPingAtMs).toBe(NEVER);
  });

  test('use the method of the WebSocket when its class is not wrapped', () => {
    const { instrumentation, FakeWebSocket } = setUp();
    const ws = new FakeWebSocket(new FakeSocket());
    instrumentation.ping(ws);
    expect(ws.calls).toEqual([['ping', ws]]);
  });

  test('pong listeners of the application are distinguished from that of the agent', () => {
    const { connect, instrumentation } = setUp();
    const { ws, connection } = connect();
    expect(instrumentation.hasAppPongListener(ws, connection)).toBe(false);
    ws.ping();
    expect(instrumentation.hasAppPongListener(ws, connection)).toBe(false);
    ws.on('pong', () => undefined);
    expect(instrumentation.hasAppPongListener(ws, connection)).toBe(true);
  });
});

test.each([
  [1000, '1000'],
  [1006, '1006'],
  [1015, '1015'],
  [1004, 'other'],
  [999, 'other'],
  [2999, 'other'],
  [3000, '3xxx'],
  [3999, '3xxx'],
  [4000, '4xxx'],
  [4999, '4xxx'],
  [5000, 'other'],
])('close code %d has the label %s', (code, label) => {
  expect(closeCodeLabel(code)).toBe(label);
});

const noop = (): void => undefined;
test.each<[boolean, unknown]>([
  [true, { readyState: 1, ping: noop, send: noop }],
  [false, { readyState: 1, send: noop }],
  [false, { readyState: 'open', ping: noop, send: noop }],
  [false, null],
  [false, 'websocket'],
])('isWebSocket: %s', (expected, value) => {
  expect(isWebSocket(value)).toBe(expected);
});

describe('an application that treats the class in an unusual way', () => {
  test('send without `this` throws the error of the original', () => {
    const { connect, originals } = setUp();
    const { ws } = connect();
    const errorOf = (send: () => unknown): unknown => {
      try {
        return send();
      } catch (error) {
        return (error as Error).message;
      }
    };
    const messages = [ws, originals].map((owner) => errorOf(Reflect.get(owner, 'send') as () => unknown));
    expect(messages[0]).toBe(messages[1]);
  });

  test('a getter that throws fails only where the original reads it', () => {
    const { connect } = setUp();
    const { ws } = connect();
    Object.defineProperty(ws, 'readyState', {
      get: () => {
        throw new Error('odd');
      },
    });
    expect(ws.send('data')).toBe('sent');
  });

  test.each(['freeze', 'seal and make read-only'])('%s: it stays, and the agent says so', (how) => {
    const { connect, FakeWebSocket, instrumentation, originals } = setUp();
    if (how === 'freeze') Object.freeze(FakeWebSocket.prototype);
    else Object.defineProperty(FakeWebSocket.prototype, 'ping', { writable: false });
    const { ws } = connect();
    connect();
    expect(instrumentation.hasFixedPrototype).toBe(true);
    for (const name of ['send', 'ping']) expect(Reflect.get(ws, name)).toBe(Reflect.get(originals, name));
    instrumentation.ping(ws);
    expect(ws.calls).toEqual([['ping', ws]]);
    instrumentation.stop();
  });
});
