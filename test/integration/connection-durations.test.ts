import { EventEmitter, once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, Socket } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { createClock } from '../../src/core/clock.ts';
import { CLOSE_STATUSES, type CloseStatus, type Sample } from '../../src/types/sample.ts';
import { listen, muteClient, startSampling, type Sampling } from '../support/sampling.ts';

let sampling: Sampling;
const open: { close(): unknown }[] = [];
afterEach(() => {
  sampling.sampler.stop();
  for (const thing of open.splice(0)) thing.close();
});

/** A real clock that a test can set forward, so that no test waits for a peer. */
function shiftableClock() {
  const real = createClock();
  let aheadMs = 0;
  return {
    ...real,
    nowMs: () => real.nowMs() + aheadMs,
    skip: (ms: number) => void (aheadMs += ms),
  };
}

/** Number of closed connections by `transport status`. */
const countsOf = ({ connections }: Sample): Record<string, number> =>
  Object.fromEntries(
    (connections.durations ?? []).map(({ transport, status, durations }) => [
      `${transport} ${status}`,
      durations.counts.at(-1) ?? 0,
    ]),
  );
const totalOf = (sample: Sample): number => Object.values(countsOf(sample)).reduce((sum, n) => sum + n, 0);
const untilClosed = (count: number): Promise<Sample> =>
  sampling.until(`${count} durations`, (sample) => totalOf(sample) >= count);

interface Served {
  readonly server: Server;
  readonly port: number;
  /** Connects a client; resolves with the WebSocket of the server when the agent has classified it. */
  readonly accept: (client?: (port: number) => unknown) => Promise<WebSocket>;
}

async function serveWebSockets(): Promise<Served> {
  const server = createServer();
  const wss = new WebSocketServer({ server });
  open.push(wss, server, { close: () => server.closeAllConnections() });
  const port = await listen(server);
  return {
    server,
    port,
    accept: async (client = (to) => new WebSocket(`ws://127.0.0.1:${to}`)) => {
      const before = sampling.sampler.read().connections.openedTotal.websocket;
      const accepted = once(wss, 'connection');
      client(port);
      const [ws] = (await accepted) as [WebSocket];
      await sampling.until('classified', ({ connections }) => connections.openedTotal.websocket > before);
      return ws;
    },
  };
}

const connectMute = (port: number): void => {
  void muteClient(port).then((socket) => {
    socket.on('error', () => undefined);
    open.push({ close: () => socket.destroy() });
  });
};

test('a WebSocket that was open for two hours, by the way in which it ended', async () => {
  const clock = shiftableClock();
  sampling = startSampling({}, clock);
  const { accept } = await serveWebSockets();
  const clients: WebSocket[] = [];
  const connectClient = (port: number): void => {
    clients.push(new WebSocket(`ws://127.0.0.1:${port}`));
  };
  const ends: [CloseStatus, (ws: WebSocket, client: WebSocket) => void][] = [
    ['normal_closure', (_ws, client) => client.close(1000)],
    ['normal_closure', (_ws, client) => client.close(1001)],
    ['normal_closure', (_ws, client) => client.close()],
    ['normal_closure', (ws) => ws.close(4000)],
    ['abnormal', (ws) => ws.close(1011)],
    ['abnormal', (_ws, client) => client.terminate()],
    ['abnormal', (ws) => ws.terminate()],
    ['app_shutdown', (ws) => ws.close(1001, 'going away')],
    ['app_shutdown', (ws) => ws.close(1012)],
  ];
  const accepted: WebSocket[] = [];
  for (let i = 0; i < ends.length; i += 1) {
    accepted.push(await accept(connectClient));
    const client = clients[i] as WebSocket;
    if (client.readyState !== WebSocket.OPEN) await once(client, 'open');
  }
  clock.skip(2 * 3_600_000);
  const expected = Object.fromEntries(CLOSE_STATUSES.map((status) => [status, 0]));
  for (const [i, [status, end]] of ends.entries()) {
    expected[status] = (expected[status] ?? 0) + 1;
    end(accepted[i] as WebSocket, clients[i] as WebSocket);
    const sample = await untilClosed(i + 1);
    expect(countsOf(sample)[`websocket ${status}`]).toBe(expected[status]);
  }
  const rows = sampling.sampler.read().connections.durations ?? [];
  for (const { durations } of rows) {
    // Open for two hours: above the bound of an hour and below that of four.
    const hour = durations.boundsSeconds.indexOf(3_600);
    expect(durations.counts[hour]).toBe(0);
    expect(durations.counts[hour + 1]).toBe(durations.counts.at(-1));
    expect(durations.boundsSeconds.at(-1)).toBe(7 * 86_400);
  }
});

test('terminated after a ping without a pong: timeout; and before the peer could reply: abnormal', async () => {
  const clock = shiftableClock();
  sampling = startSampling({}, clock);
  const { accept } = await serveWebSockets();
  const dead = await accept(connectMute);
  dead.ping();
  clock.skip(30_000);
  dead.terminate();
  expect(countsOf(await untilClosed(1))).toEqual({ 'websocket timeout': 1 });
  const replying = await accept();
  replying.ping();
  await once(replying, 'pong');
  clock.skip(30_000);
  replying.terminate();
  expect(countsOf(await untilClosed(2))).toEqual({ 'websocket timeout': 1, 'websocket abnormal': 1 });
});

test('a peer that does not reply to the close frame of the server: timeout', async () => {
  const clock = shiftableClock();
  sampling = startSampling({}, clock);
  const { accept } = await serveWebSockets();
  const ws = await accept(connectMute);
  ws.close(1000);
  clock.skip(30_000);
  ws.terminate();
  expect(countsOf(await untilClosed(1))).toEqual({ 'websocket timeout': 1 });
});

test('a connection that ends after server.close() ends by the shutdown, whatever its code', async () => {
  sampling = startSampling();
  const { server, accept } = await serveWebSockets();
  const [first, second] = [await accept(), await accept()];
  server.close();
  first.close(1000);
  second.terminate();
  expect(countsOf(await untilClosed(2))).toEqual({ 'websocket app_shutdown': 2 });
});

test('event streams: the response ended, the client left, the connection was reset, the server destroyed it', async () => {
  sampling = startSampling();
  const streams = new EventEmitter();
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: 1\n\n');
    streams.emit('stream', response);
  });
  open.push(server, { close: () => server.closeAllConnections() });
  const port = await listen(server);
  const serve = async (client: () => void): Promise<ServerResponse> => {
    const before = sampling.sampler.read().connections.openedTotal.sse;
    const opened = once(streams, 'stream');
    client();
    const [response] = (await opened) as [ServerResponse];
    await sampling.until('classified', ({ connections }) => connections.openedTotal.sse > before);
    return response;
  };
  const request = (): Promise<IncomingMessage> =>
    new Promise((resolve) => {
      get({ port, host: '127.0.0.1', agent: false }, (message) => {
        // Unread data would make the kernel reset the connection when the client leaves.
        message.on('error', () => undefined).once('data', () => resolve(message));
      });
    });
  const messages: Promise<IncomingMessage>[] = [];
  const connectClient = (): void => void messages.push(request());
  (await serve(connectClient)).end();
  expect(countsOf(await untilClosed(1))).toEqual({ 'sse normal_closure': 1 });
  await serve(connectClient);
  (await messages[1])?.destroy();
  expect(countsOf(await untilClosed(2))).toEqual({ 'sse normal_closure': 2 });
  const raw = new Socket();
  await serve(() => {
    raw.connect(port, '127.0.0.1', () => raw.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    raw.resume();
  });
  raw.resetAndDestroy();
  expect(countsOf(await untilClosed(3))).toEqual({ 'sse normal_closure': 2, 'sse abnormal': 1 });
  (await serve(connectClient)).destroy();
  expect(countsOf(await untilClosed(4))).toEqual({ 'sse normal_closure': 2, 'sse abnormal': 2 });
});

test('an upgrade to another protocol: ended by its peer', async () => {
  const clock = shiftableClock();
  sampling = startSampling({}, clock);
  const server = createServer();
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n');
    socket.on('end', () => socket.end()).resume();
  });
  open.push(server, { close: () => server.closeAllConnections() });
  const port = await listen(server);
  const client = connect(port, '127.0.0.1', () => {
    client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
  });
  client.resume();
  await sampling.until('upgraded', ({ connections }) => connections.active.upgraded === 1);
  client.end();
  expect(countsOf(await untilClosed(1))).toEqual({ 'upgraded normal_closure': 1 });
});
