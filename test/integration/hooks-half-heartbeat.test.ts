/** Half a heartbeat: applications that listen for pongs and never ping, and libraries whose pings the agent does not see. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { listen, muteClient, startSampling, type Sampling } from '../support/sampling.ts';

/** Three minutes of silence pass in 300 ms. A reply still has 2 s. */
const TIME_SCALE = 600;
const load = createRequire(__filename);
let sampling: Sampling;
const open: { close(): void }[] = [];

afterEach(() => {
  sampling.sampler.stop();
  for (const thing of open.splice(0)) thing.close();
});

async function serve(server: Server): Promise<number> {
  open.push(server, { close: () => server.closeAllConnections() });
  return listen(server);
}

interface PingedClient {
  readonly ws: WebSocket;
  pings: number;
}

/** A client that replies to pings and sends nothing else. */
async function connectClient(port: number, path = '/'): Promise<PingedClient> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  const client = { ws, pings: 0 };
  ws.on('ping', () => (client.pings += 1));
  ws.on('error', () => undefined);
  await once(ws, 'open');
  open.push({ close: () => ws.terminate() });
  return client;
}

async function connectMute(port: number, count: number, path = '/'): Promise<void> {
  const sockets = await Promise.all(Array.from({ length: count }, () => muteClient(port, path)));
  for (const socket of sockets) open.push({ close: () => socket.destroy() });
}

interface Accepting {
  on(event: 'connection', listener: (ws: WebSocket) => void): void;
}
type ServerClass = new (options: { server: Server }) => Accepting;

function serverOf(version: string): ServerClass {
  const { Server } = load(version) as { Server: ServerClass };
  return Server;
}

test.each([
  ['ws 6', 'ws6'],
  ['ws 7', 'ws7'],
  ['ws 8', 'ws'],
])(
  '%s: pinged under suspicion only, and the pong stays away from the application',
  async (_name, version) => {
    sampling = startSampling({ timeScale: TIME_SCALE });
    const server = createServer();
    const heard: string[] = [];
    new (serverOf(version))({ server }).on('connection', (ws) => {
      ws.on('error', () => undefined);
      ws.on('pong', (data) => heard.push(String(data)));
    });
    const port = await serve(server);
    const client = await connectClient(port);
    await connectMute(port, 3);
    const before = await sampling.until('unknown', ({ connections }) => connections.unaskable === 4);
    expect(client.pings).toBe(0);
    expect(before.connections.suspicionProbes).toEqual({
      silent: 4,
      probed: 0,
      unanswering: 0,
      halfHeartbeat: 0,
    });
    expect(before.blind.map(({ what }) => what)).toContain('whether some silent peers respond');
    sampling.sampler.setSuspicion(true);
    const after = await sampling.until('3 mute', ({ connections }) => connections.unanswering === 3);
    expect(after.connections.suspicionProbes).toMatchObject({ unanswering: 3, halfHeartbeat: 3 });
    expect(client.pings).toBeGreaterThan(0);
    client.ws.pong('from the client');
    await sampling.until('the pong of the client', () => heard.length > 0);
    expect(heard).toEqual(['from the client']);
  },
);

test('a peer that froze and replies late is responsive again, and the application does not receive the reply', async () => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const server = createServer();
  let pongs = 0;
  new WebSocketServer({ server }).on('connection', (ws) => {
    ws.on('error', () => undefined);
    ws.on('pong', () => (pongs += 1));
  });
  const port = await serve(server);
  const { ws } = await connectClient(port);
  (ws as unknown as { pause(): void }).pause();
  sampling.sampler.setSuspicion(true);
  await sampling.until('frozen', ({ connections }) => connections.unanswering === 1);
  sampling.sampler.setSuspicion(false);
  (ws as unknown as { resume(): void }).resume();
  await sampling.until('back', ({ connections }) => connections.unanswering === 0);
  expect(pongs).toBe(0);
});

/** Rounds after which a connection is idle. A busy machine makes each of them longer. */
const IDLE_ROUNDS = 3;
const ROUND_MS = 500;

interface Sweep {
  readonly port: number;
  /** The path of each connection that the sweep has closed. */
  readonly closed: string[];
  /** The path of the connection for each pong that reached the application. */
  readonly pongs: string[];
  /** Ends a round, and closes the connections that are idle. */
  readonly endRound: () => void;
}

/** Closes connections from which neither a message nor a pong came for some rounds, and never pings. */
async function serveIdleSweep(): Promise<Sweep> {
  const server = createServer();
  const lastRounds = new Map<WebSocket, number>();
  let round = 0;
  const closed: string[] = [];
  const pongs: string[] = [];
  new WebSocketServer({ server }).on('connection', (ws, { url = '' }) => {
    const refresh = (): void => void lastRounds.set(ws, round);
    refresh();
    ws.on('message', refresh);
    ws.on('pong', () => {
      pongs.push(url);
      refresh();
    });
    ws.on('error', () => undefined);
    ws.on('close', () => {
      lastRounds.delete(ws);
      closed.push(url);
    });
  });
  const endRound = (): void => {
    round += 1;
    for (const [ws, last] of lastRounds) if (round - last > IDLE_ROUNDS) ws.terminate();
  };
  return { port: await serve(server), closed, pongs, endRound };
}

test.each(['off', 'auto'] as const)(
  'an idle sweep that pongs refresh closes the same connections with WSGUARD_PING=%s',
  async (ping) => {
    sampling = startSampling({ timeScale: TIME_SCALE, ping });
    const { port, closed, pongs, endRound } = await serveIdleSweep();
    const quiet = await Promise.all(Array.from({ length: 10 }, () => connectClient(port, '/quiet')));
    const beating = await Promise.all(Array.from({ length: 5 }, () => connectClient(port, '/beating')));
    await connectMute(port, 5, '/frozen');
    sampling.sampler.setSuspicion(true);
    void sampling.sampler.pingAll();
    const arePinged = (): boolean => quiet.every(({ pings }) => pings > 0);
    await sampling.until('the pings of the agent', () => ping === 'off' || arePinged());
    for (let beats = beating.length; closed.length < 15; beats += beating.length) {
      beating.forEach(({ ws }) => ws.pong());
      await sampling.until('the pongs of a round', () => pongs.length >= beats);
      await new Promise((resolve) => setTimeout(resolve, ROUND_MS));
      endRound();
    }
    expect(closed).not.toContain('/beating');
    // Only a pong that reaches the application can refresh its sweep.
    expect(new Set(pongs)).toEqual(new Set(['/beating']));
    const pinged = quiet.filter(({ pings }) => pings > 0);
    expect(pinged).toHaveLength(ping === 'auto' ? 10 : 0);
  },
);

type Upgrade = (server: Server) => void;

const LIBRARIES: readonly (readonly [name: string, path: string, upgrade: Upgrade])[] = [
  [
    'websocket',
    '/',
    (server) => {
      const { server: LibraryServer } = load('websocket') as {
        server: new (options: object) => {
          on(event: 'request', listener: (request: Accepted) => void): void;
        };
      };
      const wss = new LibraryServer({ httpServer: server, keepalive: false });
      wss.on('request', (request) => request.accept(null, null));
    },
  ],
  [
    'faye-websocket',
    '/',
    (server) => {
      const Faye = load('faye-websocket') as new (request: object, socket: Duplex, head: Buffer) => object;
      server.on('upgrade', (request, socket, head) => void new Faye(request, socket, head));
    },
  ],
  [
    'SockJS',
    '/echo/000/session/websocket',
    (server) => {
      const sockjs = load('sockjs') as {
        createServer(options: object): { installHandlers(server: Server, options: object): void };
      };
      const log = (): void => undefined;
      sockjs.createServer({ log }).installHandlers(server, { prefix: '/echo' });
    },
  ],
];
interface Accepted {
  accept(protocol: null, origin: null): void;
}

test.each(LIBRARIES)('%s: a silent peer is pinged under suspicion', async (_name, path, upgrade) => {
  sampling = startSampling({ timeScale: TIME_SCALE });
  const server = createServer();
  upgrade(server);
  const port = await serve(server);
  const client = await connectClient(port, path);
  await connectMute(port, 3, path);
  await sampling.until('unknown', ({ connections }) => connections.unaskable === 4);
  expect(client.pings).toBe(0);
  sampling.sampler.setSuspicion(true);
  const { connections } = await sampling.until('mute', (sample) => sample.connections.unanswering === 3);
  expect(connections.active).toMatchObject({ upgraded: 4, websocket: 0 });
  expect(connections.suspicionProbes).toMatchObject({ unanswering: 3, halfHeartbeat: 0 });
  expect(client.pings).toBeGreaterThan(0);
  expect(client.ws.readyState).toBe(WebSocket.OPEN);
});
