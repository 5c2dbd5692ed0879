import { channel } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createHttp2Server } from 'node:http2';
import { connect, createServer as createTcpServer, Socket, type AddressInfo, type Server } from 'node:net';
import { markAgentServer } from '../../../src/core/agent-server.ts';
import { createGuard } from '../../../src/core/guard.ts';
import { isSentAway, SocketTracker } from '../../../src/hooks/connections/socket-tracker.ts';
import { isListening, kindOf, serverOf } from '../../../src/hooks/connections/server-kind.ts';
import { connectionWith, FakeSocket } from '../../support/connections.ts';

/** The members of a server that the tracker reads. */
class FakeServer extends EventEmitter {
  headersTimeout = 60_000;
  listening = true;
  listen(): void {}
  address(): unknown {
    return { port: 8080 };
  }
  get asServer(): Server {
    return this as unknown as Server;
  }
}
const listens = (server: FakeServer): void =>
  channel('tracing:net.server.listen:asyncEnd').publish({ server });
const accepts = (server: FakeServer | null): FakeSocket => {
  const socket = Object.assign(new FakeSocket(), { _server: server });
  channel('net.server.socket').publish({ socket });
  return socket;
};

const faults: string[] = [];
const guard = createGuard(({ part }) => faults.push(part));
const onServe = jest.fn<void, [Server | null]>();
let tracker: SocketTracker;
beforeEach(() => {
  onServe.mockReset();
  tracker = new SocketTracker(guard, onServe);
});
afterEach(() => {
  tracker.stop();
  expect(faults.splice(0)).toEqual([]);
});

describe('kindOf', () => {
  test.each<[string, Server]>([
    ['http', createHttpServer()],
    ['https', createHttpsServer() as unknown as Server],
    ['http2', createHttp2Server() as unknown as Server],
  ])('%s', (kind, server) => {
    expect(kindOf(server)).toBe(kind);
  });

  test('a TCP port serves, a unix socket without http does not', () => {
    const address = jest.fn<never, []>();
    const server = (fields: object): Server => Object.assign(createTcpServer(), { address, ...fields });
    expect(kindOf(server({}))).toBe('tcp');
    expect(kindOf(server({ _pipeName: '/tmp/a.sock' }))).toBe('ignored');
    expect(address).not.toHaveBeenCalled();
  });

  test('a server of the agent does not count', () => {
    const server = createHttpServer();
    markAgentServer(server);
    expect(kindOf(server)).toBe('ignored');
  });
});

describe('servers', () => {
  test('getters of the application do not run', () => {
    const ran: string[] = [];
    const server = createTcpServer();
    const own = { get: () => ran.push('listening') > 0 };
    const socket = Object.defineProperty(new Socket(), '_server', { get: () => ran.push('_server') });
    expect(
      isListening(
        Object.setPrototypeOf(server, Object.create(Object.getPrototypeOf(server), { listening: own })),
      ),
    ).toBe(false);
    expect(serverOf(socket)).toBeUndefined();
    expect(ran).toEqual([]);
  });

  test('a server in a Proxy serves, and none of its traps runs', () => {
    const ran: string[] = [];
    const names = ['get', 'has', 'getPrototypeOf', 'getOwnPropertyDescriptor', 'ownKeys'] as const;
    const traps = Object.fromEntries(names.map((name) => [name, () => void ran.push(name)]));
    const server = new Proxy(new FakeServer(), traps as ProxyHandler<FakeServer>);
    listens(server);
    accepts(server);
    expect([tracker.open.size, onServe.mock.calls.length]).toEqual([1, 1]);
    expect(isListening(server as unknown as Server)).toBe(true);
    expect(ran).toEqual([]);
  });

  test('a server that listens is reported once and listed', () => {
    const server = new FakeServer();
    listens(server);
    listens(server);
    expect(onServe.mock.calls).toEqual([[server]]);
    expect(tracker.servers()).toEqual([{ server, kind: 'http' }]);
  });

  test('a server is found by its first connection too', () => {
    const server = new FakeServer();
    const socket = accepts(server);
    expect(onServe.mock.calls).toEqual([[server]]);
    expect([...tracker.open]).toEqual([[socket, null]]);
  });

  test('a server of the agent is neither reported nor listed, and its sockets are not open', () => {
    const server = new FakeServer();
    markAgentServer(server.asServer);
    listens(server);
    accepts(server);
    expect(onServe).not.toHaveBeenCalled();
    expect(tracker.servers()).toEqual([]);
    expect(tracker.open.size).toBe(0);
  });

  test('no more than 200 servers are listed', () => {
    const servers = Array.from({ length: 210 }, () => new FakeServer());
    servers.forEach(listens);
    expect(tracker.servers()).toHaveLength(200);
  });

  test('after adoptExisting new servers are no longer reported', () => {
    tracker.adoptExisting();
    onServe.mockReset();
    listens(new FakeServer());
    expect(onServe).not.toHaveBeenCalled();
    expect(tracker.servers().length).toBeGreaterThan(0);
  });
});

describe('sockets', () => {
  const opened = jest.fn<void, [Socket]>();
  const closed = jest.fn<void, [Socket, unknown]>();
  beforeEach(() => {
    opened.mockReset();
    closed.mockReset();
    tracker.observe({ socketOpened: opened, socketClosed: closed });
  });

  test('a socket is open from its acceptance to its close, and the observer is called for both', () => {
    const socket = accepts(new FakeServer());
    expect(opened.mock.calls).toEqual([[socket]]);
    const connection = connectionWith();
    tracker.open.set(socket.asSocket, connection);
    socket.emit('close');
    expect(closed.mock.calls).toEqual([[socket, connection]]);
    expect(tracker.open.size).toBe(0);
    socket.emit('close');
    expect(closed).toHaveBeenCalledTimes(1);
  });

  test('all sockets share one close listener', () => {
    const server = new FakeServer();
    const [first, second] = [accepts(server), accepts(server)];
    expect(first.listeners('close')).toHaveLength(1);
    expect(first.listeners('close')).toEqual(second.listeners('close'));
  });

  test('a socket that belongs to no server, and a destroyed one, are not open', () => {
    accepts(null);
    const destroyed = Object.assign(new FakeSocket(), { destroyed: true });
    tracker.add(destroyed.asSocket);
    expect(tracker.open.size).toBe(0);
    expect(opened).not.toHaveBeenCalled();
  });

  test('a socket that is added twice has one listener', () => {
    const socket = new FakeSocket();
    tracker.add(socket.asSocket);
    tracker.add(socket.asSocket);
    expect(socket.listenerCount('close')).toBe(1);
    expect(opened).toHaveBeenCalledTimes(1);
  });

  test('with TLS the decrypted socket is open, not the raw one', () => {
    const server = Object.assign(new FakeServer(), { setSecureContext: () => undefined });
    accepts(server);
    expect(tracker.open.size).toBe(0);
    const secure = new FakeSocket();
    server.emit('secureConnection', secure);
    expect([...tracker.open.keys()]).toEqual([secure]);
    tracker.stop();
    expect(server.listenerCount('secureConnection')).toBe(0);
  });

  test('a fault of the observer stays in the guard', () => {
    closed.mockImplementation(() => {
      throw new Error('a fault');
    });
    const socket = accepts(new FakeServer());
    expect(() => socket.emit('close')).not.toThrow();
    expect(faults.splice(0)).toEqual(['socket closed']);
  });

  test('stop removes the listeners and unsubscribes', () => {
    const socket = accepts(new FakeServer());
    tracker.stop();
    expect(socket.listenerCount('close')).toBe(0);
    expect(tracker.open.size).toBe(0);
    opened.mockReset();
    accepts(new FakeServer());
    expect(opened).not.toHaveBeenCalled();
    expect(channel('net.server.socket').hasSubscribers).toBe(false);
  });
});

test('a socket of Node is closed when it is destroyed, and has no listener of the agent', async () => {
  const closed = jest.fn<void, [Socket, unknown]>();
  const proto = Object.getPrototypeOf(new Socket({})) as { _destroy: { name: string; length: number } };
  const original = proto._destroy;
  tracker.observe({ socketOpened: () => undefined, socketClosed: closed });
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  expect(tracker.open.has(socket)).toBe(true);
  expect(socket.listenerCount('close')).toBe(0);
  expect(proto._destroy).not.toBe(original);
  expect([proto._destroy.name, proto._destroy.length]).toEqual([original.name, original.length]);
  const error = new Error('the error that the application gives');
  const gotError = once(socket, 'error');
  socket.destroy(error);
  expect(closed.mock.calls).toEqual([[socket, null]]);
  expect(await gotError).toEqual([error]);
  tracker.stop();
  expect(proto._destroy).toBe(original);
  client.destroy();
  server.close();
});

test('adoptExisting finds servers and sockets that are older than the tracker', async () => {
  tracker.stop();
  const server = createTcpServer();
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  const socket = await accepted;
  tracker = new SocketTracker(guard, onServe);
  expect(tracker.open.size).toBe(0);
  tracker.adoptExisting();
  expect(tracker.servers()).toContainEqual({ server, kind: 'tcp' });
  expect(tracker.open.has(socket)).toBe(true);
  expect(tracker.open.has(client)).toBe(false);
  client.destroy();
  socket.destroy();
  server.close();
});

describe('a process whose server does not listen', () => {
  /** Emits what Node emits after the parent sent a socket. The listener belongs to the application. */
  const receives = (server: FakeServer | null): FakeSocket => {
    const socket = Object.assign(new FakeSocket(), {
      server: null,
      setNoDelay: () => undefined,
      remoteAddress: '::1',
    });
    const listener = (_: unknown, handle: FakeSocket): void => void (handle.server = server);
    process.once('message', listener as never);
    (process.emit as (...args: unknown[]) => boolean)('message', 'sticky', socket);
    return socket;
  };

  /** A process that was started with an IPC channel. */
  function trackInChild(): void {
    tracker.stop();
    const channelBefore = Object.getOwnPropertyDescriptor(process, 'channel');
    Object.defineProperty(process, 'channel', { value: {}, configurable: true });
    tracker = new SocketTracker(guard, onServe);
    if (channelBefore === undefined) delete (process as { channel?: unknown }).channel;
    else Object.defineProperty(process, 'channel', channelBefore);
  }

  test('counts a socket that the parent sent, and asks to start', () => {
    trackInChild();
    const server = new FakeServer();
    const socket = receives(server);
    expect(tracker.open.has(socket.asSocket)).toBe(true);
    expect(tracker.servers()).toEqual([{ server, kind: 'http' }]);
    expect(onServe).toHaveBeenCalledWith(null);
    expect(tracker.open.has(receives(null).asSocket)).toBe(true);
  });

  test('stop gives back the original process.emit', () => {
    const target = process as unknown as { emit: () => boolean };
    // A worker of Jest has a channel, and the first tracker wraps there too.
    tracker.stop();
    const original = target.emit;
    trackInChild();
    expect(target.emit).not.toBe(original);
    tracker.stop();
    expect(target.emit).toBe(original);
  });

  test('counts the socket of a request, until a server listens', () => {
    const server = new FakeServer();
    const request = (socket: FakeSocket): void =>
      channel('http.server.request.start').publish({ server, socket: Object.assign(socket, { server }) });
    const socket = new FakeSocket();
    request(socket);
    expect(tracker.open.has(socket.asSocket)).toBe(true);
    expect(onServe).toHaveBeenLastCalledWith(null);
    listens(new FakeServer());
    expect(channel('http.server.request.start').hasSubscribers).toBe(false);
  });

  test('release forgets a socket that was sent away, which emits no close', () => {
    const socket = new FakeSocket();
    tracker.add(socket.asSocket);
    expect(isSentAway(socket.asSocket)).toBe(false);
    socket._handle = null;
    expect(isSentAway(socket.asSocket)).toBe(true);
    tracker.release(socket.asSocket);
    expect(tracker.open.size).toBe(0);
    expect(socket.listenerCount('close')).toBe(0);
  });
});
