import { EventEmitter } from 'node:events';
import type { Server } from 'node:net';
import { channel } from 'node:diagnostics_channel';
import { createGuard } from '../../../src/core/guard.ts';
import { installPreloadHooks, type PreloadHooks } from '../../../src/hooks/preload-hooks.ts';
import { peerKey, TcpTable } from '../../../src/hooks/connections/tcp-table.ts';
import { ServerProbes } from '../../../src/hooks/server-probes.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { fakeWebSocketClass, FakeSocket } from '../../support/connections.ts';

const MINUTE_MS = 60_000;
const NONE = { websocket: 0, sse: 0, polling: 0, upgraded: 0 };
const faults: string[] = [];
const guard = createGuard(({ part, error }) => faults.push(`${part}: ${String(error)}`));

let hooks: PreloadHooks;
let probes: ServerProbes;
let clock: ReturnType<typeof createFakeClock>;
afterEach(() => {
  probes.stop();
  hooks.stop();
  expect(faults.splice(0)).toEqual([]);
});

function start(config: Partial<{ ping: 'auto' | 'off'; maxConnections: number | null }> = {}) {
  clock = createFakeClock();
  hooks = installPreloadHooks({ guard, onServe: () => undefined });
  probes = new ServerProbes({
    clock,
    guard,
    config: { timeScale: 1, ping: 'auto', maxConnections: null, ...config },
    preloadHooks: hooks,
  });
}
/** A handle of Node writes the address into its argument. */
const HANDLE = { getsockname: (into: { port?: number }) => void (into.port = 8080) };
/** The agent reads fields of Node, because an application can override the method. */
const address = (): never => {
  throw new Error('of the application');
};
function listens(fields: object = {}): Server {
  const server = Object.assign(new EventEmitter(), {
    headersTimeout: 1,
    address,
    _handle: HANDLE,
    ...fields,
  });
  channel('tracing:net.server.listen:asyncEnd').publish({ server });
  return server as unknown as Server;
}
const FakeWebSocket = fakeWebSocketClass();
function openWebSocket(): { socket: FakeSocket; ws: InstanceType<typeof FakeWebSocket> } {
  const socket = new FakeSocket();
  const ws = new FakeWebSocket(socket);
  hooks.sockets.add(socket.asSocket);
  return { socket, ws };
}

test('a reading of an idle process', () => {
  start();
  const { connections, emitters, ...rest } = probes.read(0);
  expect(rest).toEqual({ registries: [], queues: [], rooms: [], blind: [] });
  expect(emitters.map(({ emitter, event }) => [emitter, event])).toContainEqual(['process', '*']);
  expect(connections).toEqual({
    active: NONE,
    openedTotal: NONE,
    closedTotal: NONE,
    unanswering: 0,
    asleep: 0,
    awokenTotal: 0,
    lost: 0,
    lostEndedTotal: 0,
    unaskable: 0,
    retained: null,
    uncollected: 0,
    sendBufferBytes: 0,
    slow: 0,
    closeCodes: {},
    receivedBytesTotal: 0,
    messagesSentTotal: 0,
    messagesFailedTotal: 0,
    rtt: null,
    maxConnections: null,
  });
});

test('new sockets are classified within a second, also those that are older than the probes', () => {
  clock = createFakeClock();
  hooks = installPreloadHooks({ guard, onServe: () => undefined });
  openWebSocket();
  const config = { timeScale: 1, ping: 'auto', maxConnections: null } as const;
  probes = new ServerProbes({ clock, guard, config, preloadHooks: hooks });
  openWebSocket();
  clock.advance(1_000);
  expect(probes.read(0).connections.active).toEqual({ ...NONE, websocket: 2 });
});

test('closed connections are not checked while V8 marks the heap', () => {
  start();
  const { socket, ws } = openWebSocket();
  clock.advance(1_000);
  socket.emit('close');
  probes.read(0);
  clock.advance(60_000);
  const retainedAt = (majorGcs: number | null): number | null => {
    probes.read(majorGcs);
    clock.advance(1_000);
    return probes.read(null).connections.retained;
  };
  expect(retainedAt(null)).toBeNull();
  expect(retainedAt(2)).toBe(1);
  expect(ws).toBeDefined();
});

test('long-polling sessions are connections that cannot be probed', () => {
  start();
  class Engine extends EventEmitter {
    readonly clients = { a: { transport: { name: 'polling' } } };
    readonly clientsCount = 1;
    handleUpgrade(): void {}
  }
  const engine = new Engine();
  const { connections, registries } = probes.read(0);
  expect(connections).toMatchObject({
    active: { ...NONE, polling: 1 },
    openedTotal: { ...NONE, polling: 1 },
    unaskable: 1,
  });
  expect(registries).toEqual([{ name: 'engine.io clients', entries: 1, source: 'found' }]);
  expect(engine.listenerCount('connection')).toBe(0);
});

test('collections that the application registers come before those of libraries', () => {
  start();
  class WebSocketServer extends EventEmitter {
    readonly clients = new Set([1, 2]);
    shouldHandle(): void {}
    handleUpgrade(): void {}
  }
  const server = new WebSocketServer();
  const sessions = new Map([[1, 'a']]);
  probes.collections.watchRegistry('sessions', sessions);
  expect(probes.read(0).registries).toEqual([
    { name: 'sessions', entries: 1, source: 'app' },
    { name: 'ws clients', entries: 2, source: 'found' },
  ]);
  expect(server.clients.size + sessions.size).toBe(3);
});

test('the application’s own collections are searched when connections have opened', () => {
  start();
  class WebSocketServer extends EventEmitter {
    handleUpgrade(): void {}
  }
  const server = new WebSocketServer();
  const clients = new Map<object, object>();
  server.on('connection', (ws: object) => clients.set(ws, ws));
  for (let n = 0; n < 3; n += 1) server.emit('connection', openWebSocket().ws);
  clock.advance(1_000);
  probes.read(0);
  clock.advance(100);
  expect(probes.read(0).registries).toEqual([{ name: 'clients', entries: 3, source: 'found' }]);
});

describe('maxConnections', () => {
  test.each([
    ['no server has a limit', null, [undefined, 0, Infinity], null],
    ['the limits of all servers are added', null, [100, undefined, 50], 150],
    ['WSGUARD_MAX_CONNECTIONS has precedence', 5_000, [100], 5_000],
  ])('%s', (_case, maxConnections, limits, expected) => {
    start({ maxConnections });
    const servers = limits.map((limit) => listens({ maxConnections: limit }));
    expect(probes.read(0).connections.maxConnections).toBe(expected);
    expect(servers).toHaveLength(limits.length);
  });
});

test('servers are listed with their addresses', () => {
  start();
  const servers = [
    listens(),
    listens({ setSecureContext: () => undefined, _pipeName: '/run/app.sock' }),
    listens({ _handle: null }),
  ];
  expect(probes.servers()).toEqual(['http on port 8080', 'https on /run/app.sock', 'http']);
  expect(servers).toHaveLength(3);
});

test('listeners of an http server are shown under its name', () => {
  start();
  const server = listens();
  server.on('request', () => undefined);
  expect(probes.read(0).emitters).toContainEqual({
    emitter: 'http server',
    event: '*',
    listeners: 1,
    eventNames: 1,
    source: 'found',
  });
});

test('blind lists what cannot be seen', () => {
  start({ ping: 'off' });
  const server = Object.assign(new EventEmitter(), {
    updateSettings: () => undefined,
    address,
  });
  channel('tracing:net.server.listen:asyncEnd').publish({ server });
  expect(probes.blind()).toEqual([
    { what: 'HTTP/2 streams', why: 'only HTTP/1 connections are counted' },
    { what: 'silent peers that the application does not ping', why: 'WSGUARD_PING=off' },
  ]);
});

describe('pingAll', () => {
  test('pings silent connections, and resolves when the time for the pongs is over', async () => {
    start();
    const { ws } = openWebSocket();
    clock.advance(1_000);
    probes.read(0);
    clock.advance(3 * MINUTE_MS);
    probes.read(0);
    expect(ws.calls).toHaveLength(1);
    const silent = openWebSocket();
    clock.advance(3 * MINUTE_MS + 1_000);
    let isOver = false;
    const over = probes.pingAll().then(() => (isOver = true));
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    expect(silent.ws.calls).toHaveLength(1);
    expect(isOver).toBe(false);
    clock.advance(MINUTE_MS + 1_000);
    await over;
    expect(probes.read(0).connections.unanswering).toBe(2);
  });

  test('does nothing with WSGUARD_PING=off', async () => {
    start({ ping: 'off' });
    const { ws } = openWebSocket();
    clock.advance(10 * MINUTE_MS);
    await probes.pingAll();
    expect(ws.calls).toEqual([]);
  });
});

test('after a stall of the event loop no peer is unresponsive for a pong that was not read', () => {
  start();
  openWebSocket();
  clock.advance(1_000);
  clock.advance(3 * MINUTE_MS);
  probes.read(0);
  // The clock moves on without its timers, as it does while the loop is blocked.
  const nowMs = clock.nowMs() + 2 * MINUTE_MS;
  jest.spyOn(clock, 'nowMs').mockReturnValue(nowMs);
  expect(probes.read(0).connections.unanswering).toBe(0);
});

describe('locateListeners', () => {
  test('finds the listeners of an emitter by the name that a reading gave it', async () => {
    start();
    const bus = new EventEmitter().setMaxListeners(0);
    for (let n = 0; n < 20; n += 1) bus.on('tick', function onTick() {});
    probes.listeners.watch('bus', bus);
    await expect(probes.locateListeners('bus', 'tick')).resolves.toMatchObject({
      function: 'onTick',
      file: __filename,
    });
    await expect(probes.locateListeners('no such emitter', 'tick')).resolves.toBeNull();
  });
});

const ITERATIONS = 4;
const iterations = async (): Promise<void> => {
  for (let iteration = 0; iteration < ITERATIONS; iteration += 1)
    await new Promise((resolve) => setImmediate(resolve));
};

test('a reading has the listeners that opened connections add, and none of the closes', async () => {
  start();
  const bus = new EventEmitter().setMaxListeners(0);
  const noop = (): void => undefined;
  for (let n = 0; n < 8; n += 1) bus.on('news', noop);
  probes.listeners.watch('bus', bus);
  const changes = (): object | undefined =>
    probes.read(0).emitters.find(({ event }) => event === 'news')?.changes;
  // The first reading finds the count.
  expect(changes()).toBeUndefined();
  expect(changes()).toEqual({ opened: 0, added: 0, other: 0, unseen: 0, before: 8 });

  const WebSocketOfServer = class extends FakeWebSocket {
    terminate(): void {}
  };
  const socket = new FakeSocket();
  expect(new WebSocketOfServer(socket)).toBeDefined();
  hooks.sockets.add(socket.asSocket);
  bus.on('news', noop);
  await iterations();
  expect(changes()).toMatchObject({ opened: 1, added: 1, other: 0 });

  socket.emit('close');
  bus.off('news', noop);
  await iterations();
  bus.on('news', noop);
  hooks.emitters.onWebSocket({ _isServer: true });
  await iterations();
  const { other, ...rest } = changes() as { other: number };
  expect(rest).toMatchObject({ opened: 2, added: 1 });
  expect(other).toBeGreaterThanOrEqual(1);
});

test('after stop a closed connection is no longer counted, and no listener is left', () => {
  start();
  const { socket, ws } = openWebSocket();
  clock.advance(1_000);
  ws.ping();
  probes.stop();
  expect(ws.listenerCount('pong')).toBe(0);
  socket.emit('close');
  expect(probes.connections.read().closed).toEqual(NONE);
});

test('the TCP table is read again while all peers that it is read for are lost', () => {
  start();
  const socket = Object.assign(new FakeSocket(), {
    parser: {},
    _httpMessage: {
      writableEnded: false,
      _header: 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n',
    },
    localPort: 8080,
    remoteAddress: '10.0.0.2',
    remotePort: 54_321,
  });
  let lost = new Set([peerKey(socket.asSocket) ?? '']);
  jest.spyOn(TcpTable.prototype, 'requestRead').mockImplementation((onPeers) => onPeers(lost));
  hooks.sockets.add(socket.asSocket);
  const readLater = () => {
    clock.advance(MINUTE_MS);
    return probes.read(0).connections;
  };
  expect(readLater()).toMatchObject({ unanswering: 0, unaskable: 1 });
  expect(readLater()).toMatchObject({ unanswering: 1, unaskable: 0 });
  lost = new Set();
  readLater();
  expect(readLater()).toMatchObject({ unanswering: 0, unaskable: 1, awokenTotal: 1 });
  jest.restoreAllMocks();
});
