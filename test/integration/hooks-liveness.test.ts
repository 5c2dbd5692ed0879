import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually } from '../support/eventually.ts';
import { listen, muteClient, startSampling, type Sampling } from '../support/sampling.ts';
import { createSkippingClock } from '../support/skipping-clock.ts';

/** Three minutes of silence pass in 300 ms. A reply still has 2 s. */
const TIME_SCALE = 600;
let sampling: Sampling;
const open: { close(): void }[] = [];

afterEach(() => {
  sampling.sampler.stop();
  for (const thing of open.splice(0)) thing.close();
});

async function wsServer(onConnection: (ws: WebSocket) => void = () => undefined): Promise<number> {
  const server = createServer();
  const wss = new WebSocketServer({ server });
  wss.on('connection', (ws) => {
    ws.on('error', () => undefined);
    onConnection(ws);
  });
  open.push(wss, server, { close: () => server.closeAllConnections() });
  return listen(server);
}
/** Clients that reply to pings. */
async function connectClients(
  port: number,
  count: number,
  onPing: (ws: WebSocket) => void = () => undefined,
): Promise<WebSocket[]> {
  const clients = Array.from({ length: count }, () => new WebSocket(`ws://127.0.0.1:${port}`));
  for (const ws of clients) ws.on('ping', () => onPing(ws));
  await Promise.all(clients.map((ws) => once(ws, 'open')));
  for (const ws of clients) open.push({ close: () => ws.terminate() });
  return clients;
}
const EMPTY_PONG_BYTES = 6;
const socketOf = (ws: WebSocket): Socket => (ws as unknown as { _socket: Socket })._socket;
/** Clients that never reply. */
async function connectMuteClients(port: number, count: number): Promise<Socket[]> {
  const sockets = await Promise.all(Array.from({ length: count }, () => muteClient(port)));
  for (const socket of sockets) open.push({ close: () => socket.destroy() });
  return sockets;
}

test('silent peers that do not reply to a ping are unresponsive; silent peers that reply are not', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const port = await wsServer();
  const clients = await connectClients(port, 12);
  const pinged = clients.map((ws) => once(ws, 'ping'));
  await connectMuteClients(port, 7);
  const sample = await sampling.until('7 mute', ({ connections }) => connections.unanswering === 7);
  expect(sample.connections.active.websocket).toBe(19);
  expect(sample.connections.unaskable).toBe(0);
  await Promise.all(pinged);
  // Pings of the agent count neither as messages nor as round trips of the application.
  expect(sample.connections.messagesSentTotal).toBe(0);
  expect(sample.connections.rtt).toBeNull();
});

test('a peer that sends again is responsive again', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const port = await wsServer();
  const [peer] = await connectMuteClients(port, 1);
  await sampling.until('mute', ({ connections }) => connections.unanswering === 1);
  peer?.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
  await sampling.until('responsive', ({ connections }) => connections.unanswering === 0);
});

test('with WSGUARD_PING=off a silent peer is unknown, never unresponsive', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE, ping: 'off' });
  const port = await wsServer();
  const [client] = await connectClients(port, 1);
  let pings = 0;
  client?.on('ping', () => (pings += 1));
  await connectMuteClients(port, 3);
  const sample = await sampling.until('4 unknown', ({ connections }) => connections.unaskable === 4);
  expect(sample.connections.unanswering).toBe(0);
  expect(pings).toBe(0);
  expect(sample.blind.map(({ why }) => why)).toContain('WSGUARD_PING=off');
});

test('where the application pings, the agent sends no pings and counts the peers that do not reply', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const heartbeats: NodeJS.Timeout[] = [];
  /** Pings of the application to the first client, and pings that this client received. */
  let sent = 0;
  let pings = 0;
  const port = await wsServer((ws) => {
    const isFirst = heartbeats.length === 0;
    ws.on('pong', () => undefined);
    const ping = (): void => {
      if (isFirst) sent += 1;
      ws.ping();
    };
    heartbeats.push(setInterval(ping, 400));
  });
  open.push({ close: () => heartbeats.forEach(clearInterval) });
  await connectClients(port, 1, () => (pings += 1));
  await connectMuteClients(port, 2);
  const sample = await sampling.until('2 mute', ({ connections }) => connections.unanswering === 2);
  expect(sample.connections.unaskable).toBe(0);
  const timed = await sampling.until('a round trip', ({ connections }) => connections.rtt !== null);
  expect(timed.connections.rtt?.counts.at(-1)).toBeGreaterThan(0);
  expect(timed.connections.rtt?.counts).toHaveLength((timed.connections.rtt?.boundsSeconds.length ?? 0) + 1);
  const before = sent;
  await sampling.until('three more pings of the application', () => sent >= before + 3 && pings >= sent);
  expect(pings).toBe(sent);
});

test('the agent sends no pings to an application whose sockets have a timeout', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const port = await wsServer((ws) => void socketOf(ws).setTimeout(600_000));
  const [client] = await connectClients(port, 1);
  let pings = 0;
  client?.on('ping', () => (pings += 1));
  await sampling.until('unknown', ({ connections }) => connections.unaskable === 1);
  await sampling.sampler.pingAll();
  expect(pings).toBe(0);
});

test('a connection that the application does not read is unknown', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const port = await wsServer((ws) => (ws as unknown as { pause(): void }).pause());
  await connectClients(port, 2);
  const sample = await sampling.until('unknown', ({ connections }) => connections.unaskable === 2);
  expect(sample.connections.unanswering).toBe(0);
});

test('before an alert all silent peers are pinged, also those that are not due', async () => {
  // A peer is silent after 3 min, and the next ping is due 5 min after a ping.
  const clock = createSkippingClock();
  sampling = startSampling({}, clock);
  const peers: WebSocket[] = [];
  const port = await wsServer((ws) => void peers.push(ws));
  let pings = 0;
  const [client] = await connectClients(port, 1, () => (pings += 1));
  const [ws] = peers as [WebSocket];
  const { bytesRead: initialBytes } = socketOf(ws);
  const pongs = (): number => (socketOf(ws).bytesRead - initialBytes) / EMPTY_PONG_BYTES;
  await sampling.until('it', ({ connections }) => connections.active.websocket === 1);
  clock.skip(181_000);
  await sampling.until('the first ping and its pong', () => pings === 1 && pongs() === 1);
  sampling.sampler.read();
  clock.skip(190_000);
  sampling.sampler.read();
  const text = once(client as WebSocket, 'message');
  ws.send('what was sent before this has arrived before it');
  await text;
  expect(pings).toBe(1);
  const allPinged = sampling.sampler.pingAll();
  await eventually(() => pings === 2 && pongs() === 2, 'the second ping and its pong');
  clock.skip(62_000);
  await allPinged;
  expect(sampling.sampler.read().connections.unanswering).toBe(0);
});

test('quiet event streams are unknown; one whose send buffer grows and does not move is unresponsive', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: hello\n\n');
    if (request.url !== '/flood') return;
    const flood = setInterval(() => response.writableLength < 64e6 && response.write(chunk), 5);
    response.on('close', () => clearInterval(flood));
  });
  open.push(server, { close: () => server.closeAllConnections() });
  const port = await listen(server);
  const openStream = (path: string, reads: boolean): void => {
    const request = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.on('error', () => undefined);
      if (reads) response.resume();
    });
    request.on('error', () => undefined);
    open.push({ close: () => request.destroy() });
  };
  for (let i = 0; i < 4; i += 1) openStream('/', true);
  await sampling.until('4 unknown', ({ connections }) => connections.unaskable === 4);
  openStream('/flood', false);
  const sample = await sampling.until('stuck', ({ connections }) => connections.unanswering === 1);
  expect(sample.connections.active.sse).toBe(5);
  expect(sample.connections.unaskable).toBe(4);
  expect(sample.connections.sendBufferBytes).toBeGreaterThan(1024 * 1024);
});

test('an upgrade whose peer has ended its side, and which the server keeps open, is unresponsive', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const server = createServer();
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: custom\r\nConnection: Upgrade\r\n\r\n');
    socket.resume();
    open.push({ close: () => socket.destroy() });
  });
  open.push(server);
  const port = await listen(server);
  const [peer] = await connectMuteClients(port, 2);
  await sampling.until('2 open', ({ connections }) => connections.active.upgraded === 2);
  peer?.end();
  const sample = await sampling.until('peer ended', ({ connections }) => connections.unanswering === 1);
  expect(sample.connections.active.upgraded).toBe(2);
});
