/** The remedies with real WebSockets, HTTP servers, Socket.IO and clients that vanish, freeze and come in storms. */
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { Server as SocketIoServer } from 'socket.io';
import { io as connectSocketIo, Manager } from 'socket.io-client';
import { WebSocket, WebSocketServer } from 'ws';
import {
  ConnectionRegistry,
  drain,
  heartbeat,
  memoryGuard,
  memorySafeServer,
  safeSend,
  sseHeartbeat,
  type DrainTarget,
  type MemorySafeServer,
  type MemorySafeServerOptions,
} from '../../src/remedy/index.ts';
import { eventuallyPasses } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';

/** The package `ws7` is ws 7, which has no types here. */
const { Server: WebSocketServer7 } = require('ws7') as { Server: typeof WebSocketServer };

/** A drain ends earlier, when all of its clients have closed. */
const DRAIN_MS = 30_000;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => (server.close(), server.closeAllConnections()));
  return portOf(server);
}

async function webSocketServer(options: object = {}): Promise<WebSocketServer> {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
  await once(wss, 'listening');
  cleanups.push(() => {
    for (const ws of wss.clients ?? []) ws.terminate();
    wss.close();
  });
  return wss;
}

async function client(port: number, headers: Record<string, string> = {}): Promise<WebSocket> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}`, { headers });
  ws.on('error', () => undefined);
  cleanups.push(() => ws.terminate());
  await once(ws, 'open');
  return ws;
}

/** Completes the handshake and then neither reads nor writes, like a host that is gone. */
async function frozenClient(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(
    'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  await once(socket, 'data');
  socket.pause();
  return socket;
}

describe('heartbeat', () => {
  test.each([true, false])(
    'ends a frozen client and keeps a live one, clientTracking %s',
    async (clientTracking) => {
      const wss = await webSocketServer({ clientTracking });
      const opened: WebSocket[] = [];
      wss.on('connection', (ws) => void opened.push(ws));
      const dead: unknown[] = [];
      const clock = createFakeClock();
      cleanups.push(heartbeat(wss, { intervalMs: 200, onDead: (ws) => dead.push(ws) }, clock));
      const live = await client(portOf(wss));
      await frozenClient(portOf(wss));
      const pong = once(opened[0]!, 'pong');
      clock.advance(200);
      await pong;
      clock.advance(200);
      expect(dead).toHaveLength(1);
      // `toEqual` would print two WebSockets.
      expect(dead[0] === opened[1]).toBe(true);
      await eventuallyPasses(() => expect(opened[1]!.readyState).toBe(WebSocket.CLOSED));
      expect(live.readyState).toBe(WebSocket.OPEN);
      if (clientTracking) expect(wss.clients.size).toBe(1);
    },
  );
});

describe('sseHeartbeat', () => {
  test('ends the stream of a client that does not read, and keeps the one that does', async () => {
    const frame = `data: ${'x'.repeat(65_536)}\n\n`;
    const dead: ServerResponse[] = [];
    const streams: ServerResponse[] = [];
    const clock = createFakeClock();
    const options = {
      intervalMs: 100,
      stalledAfterMs: 400,
      onDead: (stream: ServerResponse) => dead.push(stream),
    };
    const server = createServer((_request, response) => {
      streams.push(response);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: hello\n\n');
      sseHeartbeat(response, options, clock);
      // Twice what the kernel takes for a client that reads nothing.
      for (let n = 0; n < 128; n += 1) response.write(frame);
    });
    const port = await listening(server);
    let text = '';
    get({ port, host: '127.0.0.1' }, (response: IncomingMessage) => {
      response.on('data', (chunk: Buffer) => (text = (text + String(chunk)).slice(-100)));
      response.on('error', () => undefined);
    }).on('error', () => undefined);
    await eventuallyPasses(() => expect(streams).toHaveLength(1));
    const frozen = connect(port, '127.0.0.1').on('error', () => undefined);
    cleanups.push(() => frozen.destroy());
    await once(frozen, 'connect');
    frozen.pause();
    frozen.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    // The time passes only while the client that reads has read everything.
    await eventuallyPasses(() => {
      expect(streams[0]!.writableLength).toBe(0);
      clock.advance(options.intervalMs);
      expect(dead).toHaveLength(1);
    });
    expect(dead[0] === streams[1]).toBe(true);
    await eventuallyPasses(() => expect(text).toMatch(/\n\n:\n\n:\n\n$/));
    expect(streams[0]!.destroyed).toBe(false);
  });
});

describe('safeSend', () => {
  test('a client that does not read costs at most the high-water mark beyond the kernel', async () => {
    const wss = await webSocketServer();
    const connected = once(wss, 'connection') as Promise<[WebSocket]>;
    await frozenClient(portOf(wss));
    const [ws] = await connected;
    const outcomes = { sent: 0, dropped: 0, queued: 0, closed: 0 };
    for (let n = 0; n < 2_000; n += 1) {
      outcomes[safeSend(ws, Buffer.alloc(8_192))] += 1;
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(outcomes.dropped).toBeGreaterThan(0);
    expect(outcomes.sent + outcomes.dropped).toBe(2_000);
    // One more message fits while the buffer is still at the mark.
    expect(ws.bufferedAmount).toBeLessThan(16_384 + 2 * 8_300);
  });

  test('queue: everything arrives, in order, at a client that reads late', async () => {
    const wss = await webSocketServer();
    const connected = once(wss, 'connection') as Promise<[WebSocket]>;
    const reader = await client(portOf(wss));
    reader.pause();
    const [ws] = await connected;
    const filler = 'x'.repeat(50_000);
    const outcomes: string[] = [];
    for (let n = 0; n < 1_000 && outcomes.filter((outcome) => outcome === 'queued').length < 15; n += 1) {
      outcomes.push(safeSend(ws, `${n} ${filler}`, { policy: 'queue' }));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(outcomes.filter((outcome) => outcome === 'queued')).toHaveLength(15);
    const received: number[] = [];
    reader.on('message', (data: Buffer) => received.push(Number.parseInt(data.toString(), 10)));
    reader.resume();
    await eventuallyPasses(() => expect(received).toHaveLength(outcomes.length));
    expect(received).toEqual(outcomes.map((_outcome, index) => index));
  });
});

describe('safeSend beside send', () => {
  test('queue: messages follow bytes that the application sent itself', async () => {
    const wss = await webSocketServer();
    const connected = once(wss, 'connection') as Promise<[WebSocket]>;
    const reader = await client(portOf(wss));
    reader.pause();
    const [ws] = await connected;
    const received: string[] = [];
    reader.on('message', (data: Buffer) => data.length < 100 && received.push(data.toString()));
    for (let n = 0; n < 40; n += 1) ws.send(Buffer.alloc(262_144));
    const messages = ['first', 'second', 'third'];
    expect(messages.map((text) => safeSend(ws, text, { policy: 'queue' }))).toEqual(Array(3).fill('queued'));
    reader.resume();
    await eventuallyPasses(() => expect(received).toEqual(messages));
  });
});

describe('ConnectionRegistry', () => {
  test('a client that left while the server looked up its user is not added', async () => {
    const wss = await webSocketServer();
    const registry = new ConnectionRegistry();
    cleanups.push(() => registry.close());
    let added: unknown;
    wss.on('connection', (ws, request) => {
      ws.once('close', () => setImmediate(() => (added = registry.add(ws, request))));
    });
    (await client(portOf(wss))).terminate();
    await eventuallyPasses(() => expect(added).toBeNull());
    expect(registry.size).toBe(0);
  });
});

describe('drain', () => {
  test('ws 7, whose own close terminates the clients: they get the hint and the code 1001 too', async () => {
    const wss = new WebSocketServer7({ port: 0, host: '127.0.0.1' });
    await once(wss, 'listening');
    const ws = await client(portOf(wss));
    const hint = once(ws, 'message');
    const closed = once(ws, 'close');
    expect(await drain(wss, { deadlineMs: DRAIN_MS })).toEqual({ closed: 1, forced: 0 });
    expect(JSON.parse(String((await hint)[0]))).toMatchObject({ type: 'SERVER_SHUTDOWN' });
    expect((await closed)[0]).toBe(1001);
    expect(wss.clients.size).toBe(0);
  });

  test('WebSockets get the hint and the code 1001; a frozen one is forced at the deadline', async () => {
    const wss = await webSocketServer();
    const port = portOf(wss);
    const clients = await Promise.all(Array.from({ length: 20 }, () => client(port)));
    await frozenClient(port);
    const hints = clients.map(async (ws) => JSON.parse(String((await once(ws, 'message'))[0])) as object);
    const codes = clients.map(async (ws) => (await once(ws, 'close'))[0] as number);
    const result = await drain(wss, { reconnectInMs: 1_000, deadlineMs: 1_000 });
    expect(result).toEqual({ closed: 20, forced: 1 });
    expect(await Promise.all(codes)).toEqual(Array(20).fill(1001));
    const waits = (await Promise.all(hints)).map((hint) => (hint as { reconnectInMs: number }).reconnectInMs);
    expect(await hints[0]).toMatchObject({ type: 'SERVER_SHUTDOWN' });
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(2_000);
    expect(new Set(waits).size).toBeGreaterThan(10);
    await expect(client(port)).rejects.toThrow('ECONNREFUSED');
  });

  test.each<[string, (registry: ConnectionRegistry) => DrainTarget | DrainTarget[]]>([
    ['a ConnectionRegistry', (registry) => registry],
    ['a server and a ConnectionRegistry', (registry) => [createServer(), registry]],
    ['an array of connections', (registry) => [...registry] as never],
  ])('%s: its clients get the hint and the code 1001', async (_name, targetOf) => {
    const wss = await webSocketServer({ clientTracking: false });
    const registry = new ConnectionRegistry();
    cleanups.push(() => registry.close());
    wss.on('connection', (ws, request) => void registry.add(ws, request));
    const clients = await Promise.all([1, 2, 3].map(() => client(portOf(wss))));
    const codes = clients.map(async (ws) => (await once(ws, 'close'))[0] as number);
    await eventuallyPasses(() => expect(registry.size).toBe(3));
    expect(await drain(targetOf(registry), { deadlineMs: DRAIN_MS })).toEqual({ closed: 3, forced: 0 });
    expect(await Promise.all(codes)).toEqual([1001, 1001, 1001]);
    expect(registry.size).toBe(0);
  });

  test('event streams get retry and end; plain requests are finished first', async () => {
    const responses: ServerResponse[] = [];
    const server = createServer((request, response) => {
      responses.push(response);
      if (request.url !== '/events') return void setTimeout(() => response.end('late'), 200);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
      return void sseHeartbeat(response);
    });
    const port = await listening(server);
    const text = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        get({ port, path, host: '127.0.0.1' }, (response: IncomingMessage) => {
          let body = '';
          response.on('data', (chunk: Buffer) => (body += String(chunk)));
          response.on('end', () => resolve(body));
        }).on('error', reject);
      });
    const [events, plain] = [text('/events'), text('/')];
    await eventuallyPasses(() => expect(responses).toHaveLength(2));
    const result = await drain(server, { deadlineMs: DRAIN_MS });
    expect(result).toEqual({ closed: 1, forced: 0 });
    expect(await events).toMatch(/^data: 1\n\nretry: \d{4}\n\n$/);
    expect(await plain).toBe('late');
  });

  test('Socket.IO clients get the hint and are disconnected', async () => {
    const server = createServer();
    const io = new SocketIoServer(server);
    const port = await listening(server);
    const clients = await Promise.all(
      (['websocket', 'polling'] as const).map(async (transport) => {
        const socket = connectSocketIo(`http://127.0.0.1:${port}`, {
          transports: [transport],
          reconnection: false,
        });
        await new Promise((resolve) => socket.once('connect', () => resolve(null)));
        return socket;
      }),
    );
    const hints: unknown[] = [];
    for (const socket of clients) socket.on('SERVER_SHUTDOWN', (hint: unknown) => hints.push(hint));
    const result = await drain(io, { deadlineMs: DRAIN_MS });
    expect(result).toEqual({ closed: 2, forced: 0 });
    await eventuallyPasses(() => expect(clients.map(({ connected }) => connected)).toEqual([false, false]));
    expect(hints).toHaveLength(2);
    expect(hints[0]).toMatchObject({ type: 'SERVER_SHUTDOWN' });
  });

  test('a Socket.IO client in several namespaces is one connection, and gets the hint in each', async () => {
    const server = createServer();
    const io = new SocketIoServer(server);
    io.of('/chat');
    io.of('/news');
    const port = await listening(server);
    const manager = new Manager(`http://127.0.0.1:${port}`, { reconnection: false });
    const hints: string[] = [];
    for (const name of ['/chat', '/news']) {
      const socket = manager.socket(name);
      socket.on('SERVER_SHUTDOWN', () => hints.push(name));
      await new Promise((resolve) => socket.once('connect', () => resolve(null)));
    }
    expect(await drain(io, { deadlineMs: DRAIN_MS })).toEqual({ closed: 1, forced: 0 });
    await eventuallyPasses(() => expect(hints.toSorted()).toEqual(['/chat', '/news']));
  });
});

describe('memoryGuard', () => {
  test.each(['ws', 'Socket.IO'])(
    'under pressure an upgrade of %s gets 503 and leaves nothing behind',
    async (library) => {
      const server = createServer();
      const io = library === 'Socket.IO' ? new SocketIoServer(server) : null;
      const wss = io === null ? new WebSocketServer({ server }) : null;
      const port = await listening(server);
      await new Promise((onPressure) => {
        cleanups.push(memoryGuard({ thresholdBytes: 1, intervalMs: 20, servers: [server], onPressure }));
      });
      const path = io === null ? '/' : '/socket.io/?EIO=4&transport=websocket';
      const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`);
      const [error] = (await once(ws, 'error')) as [Error];
      expect(error.message).toMatch(/503/);
      expect(wss?.clients.size ?? io!.engine.clientsCount).toBe(0);
      await new Promise((resolve) => (io === null ? resolve(null) : void io.close(() => resolve(null))));
    },
  );
});

describe('memorySafeServer', () => {
  async function start(
    options: MemorySafeServerOptions = {},
  ): Promise<MemorySafeServer & { port: number; statsPort: number | null }> {
    const server = memorySafeServer({
      port: 0,
      statsPort: 0,
      host: '127.0.0.1',
      WebSocketServer: WebSocketServer as never,
      ...options,
    });
    cleanups.push(() => server.close());
    return { ...server, ...(await server.listening) };
  }
  const nextMessage = async (ws: WebSocket): Promise<unknown> =>
    JSON.parse(String(((await once(ws, 'message')) as [Buffer])[0]));
  const send = (ws: WebSocket, message: object): void => ws.send(JSON.stringify(message));

  test('join, room-message, leave and ping', async () => {
    const { port, rooms } = await start();
    const [a, b] = [await client(port, { 'x-client-id': 'a' }), await client(port)];
    for (const ws of [a, b]) send(ws, { type: 'join', room: 'lobby' });
    await eventuallyPasses(() => expect(rooms.members('lobby').size).toBe(2));
    const received = nextMessage(b);
    send(a, { type: 'room-message', room: 'lobby', data: { n: 1 } });
    expect(await received).toEqual({ type: 'room-message', room: 'lobby', from: 'a', data: { n: 1 } });
    const pong = nextMessage(a);
    send(a, { type: 'ping' });
    expect(await pong).toEqual({ type: 'pong' });
    send(b, { type: 'leave', room: 'lobby' });
    await eventuallyPasses(() => expect(rooms.members('lobby').size).toBe(1));
  });

  test.each(['no JSON', 'null', '[1]', '{"type":"join"}', '{"type":"join","room":7}'])(
    '%s is answered with an error',
    async (text) => {
      const { port, rooms } = await start();
      const ws = await client(port);
      const answer = nextMessage(ws);
      ws.send(text);
      expect(await answer).toMatchObject({ type: 'error' });
      expect(rooms.size).toBe(0);
    },
  );

  test('a message above maxPayload closes its connection with 1009', async () => {
    const { port, registry } = await start({ maxPayload: 1_000 });
    const ws = await client(port);
    const closed = once(ws, 'close');
    ws.send('x'.repeat(1_001));
    expect((await closed)[0]).toBe(1009);
    await eventuallyPasses(() => expect(registry.size).toBe(0));
  });

  test('/stats is JSON, on the local address only', async () => {
    const { port, statsPort } = await start();
    await client(port);
    const response = await fetch(`http://127.0.0.1:${statsPort}/stats`);
    expect(await response.json()).toMatchObject({
      connections: { active: 1, maxConnections: 10_000 },
      rooms: 0,
    });
    expect((await fetch(`http://127.0.0.1:${statsPort}/other`)).status).toBe(404);
  });

  test('churn, storms, vanished and frozen clients leave no entry, member or listener', async () => {
    const { port, registry, rooms, wss } = await start({ intervalMs: 1_000 });
    for (let wave = 0; wave < 3; wave += 1) {
      const frozen = await Promise.all(Array.from({ length: 20 }, () => frozenClient(port)));
      const clients = await Promise.all(Array.from({ length: 80 }, () => client(port)));
      for (const [index, ws] of clients.entries()) {
        send(ws, { type: 'join', room: `room ${index % 7}` });
        send(ws, { type: 'room-message', room: `room ${index % 7}`, data: 'x'.repeat(1_000) });
      }
      await eventuallyPasses(() => expect(rooms.size).toBe(7));
      for (const [index, ws] of clients.entries()) {
        if (index % 2 === 0) ws.close();
        else ws.terminate();
      }
      for (const socket of frozen.slice(0, 10)) socket.destroy();
    }
    await eventuallyPasses(() => {
      expect(registry.getStats()).toMatchObject({ active: 0, totalAdded: 300, totalRemoved: 300 });
      expect([rooms.size, wss.clients!.size]).toEqual([0, 0]);
    });
  });

  test('close drains the clients and closes both ports', async () => {
    const server = await start();
    const { port, statsPort } = server;
    const ws = await client(port);
    const closed = once(ws, 'close');
    expect(await server.close()).toEqual({ closed: 1, forced: 0 });
    expect((await closed)[0]).toBe(1001);
    await expect(fetch(`http://127.0.0.1:${statsPort}/stats`)).rejects.toThrow();
  });
});
