// One server for each remedy, for test/bench/remedy.mjs. Each returns:
//   port      where it listens
//   left()    numbers that are 0 when nothing is left of the clients
//   did()     numbers that show that the remedy had work to do
//   close()   ends it; afterwards nothing may keep the process alive
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const require = createRequire(import.meta.url);
const remedy = require(join(root, 'dist', 'remedy', 'index.js'));
const { eventStreamsOf } = require(join(root, 'dist', 'remedy', 'sse-heartbeat.js'));
const { remedyList } = require(join(root, 'dist', 'core', 'remedy-list.js'));

const HEARTBEAT_MS = 2_000;
const DRAIN_DEADLINE_MS = 10_000;
const FLEETS = 50;
const MIB = 2 ** 20;
const TEXT = 'x'.repeat(500);
const BIG = 'x'.repeat(65_536);
/** With 30 clients the kernel's buffers are full after three seconds. */
const SLOW_BYTES = 262_144;

const actions = (name) => remedyList().actions.get(name) ?? 0;
const host = '127.0.0.1';

async function listen(server) {
  server.listen(0, host);
  await once(server, 'listening');
  return server.address().port;
}

function webSocketServer(options = {}) {
  const { WebSocketServer } = require('ws');
  const server = createServer();
  const wss = new WebSocketServer({ server, ...options });
  wss.on('connection', (ws) => ws.on('error', () => undefined));
  return { server, wss };
}

/** The server of all remedies, with a listener on a shared emitter for each connection and a shared queue. */
async function all() {
  const bus = new EventEmitter().setMaxListeners(0);
  const jobs = new remedy.BoundedMessageQueue({ name: 'jobs' });
  const safe = remedy.memorySafeServer({ port: 0, statsPort: null, host, intervalMs: HEARTBEAT_MS });
  safe.wss.on('connection', (ws) => {
    remedy.scopedListeners(ws).on(bus, 'tick', (text) => remedy.safeSend(ws, text, { policy: 'queue' }));
    ws.on('message', (data) => jobs.queue(data));
  });
  const timer = setInterval(() => bus.emit('tick', TEXT), 500);
  const { port } = await safe.listening;
  return {
    port,
    left() {
      while (jobs.dequeue() !== undefined);
      return {
        entries: safe.registry.size,
        tracked: safe.wss.clients.size,
        rooms: safe.rooms.size,
        listeners: bus.listenerCount('tick'),
      };
    },
    did: () => ({
      removed: safe.registry.getStats().totalRemoved,
      terminated: actions('heartbeat terminated'),
    }),
    async close() {
      clearInterval(timer);
      await safe.close();
    },
  };
}

/** A heartbeat without the client list of ws. */
async function heartbeat() {
  const { server, wss } = webSocketServer({ clientTracking: false });
  let open = 0;
  wss.on('connection', (ws) => {
    open += 1;
    ws.on('close', () => (open -= 1));
  });
  const stop = remedy.heartbeat(wss, { intervalMs: HEARTBEAT_MS });
  return {
    port: await listen(server),
    left: () => ({ open }),
    did: () => ({ terminated: actions('heartbeat terminated') }),
    close() {
      stop();
      wss.close();
      server.close();
    },
  };
}

/** Event streams. Those with `?big` get so much that the kernel's buffers fill up when the client is frozen. */
async function sse() {
  let open = 0;
  let opened = 0;
  const big = new Set();
  const server = createServer((request, response) => {
    open += 1;
    opened += 1;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: hello\n\n');
    remedy.sseHeartbeat(response, { intervalMs: 500, stalledAfterMs: 2_000 });
    if (request.url.includes('big')) big.add(response);
    response
      .on('error', () => undefined)
      .on('close', () => {
        open -= 1;
        big.delete(response);
      });
  });
  const timer = setInterval(() => {
    for (const response of big) if (response.writableLength < MIB) response.write(`data: ${BIG}\n\n`);
  }, 100);
  return {
    port: await listen(server),
    left: () => ({ open, streams: eventStreamsOf(server).size, big: big.size }),
    did: () => ({ opened, destroyed: actions('sseHeartbeat destroyed') }),
    close() {
      clearInterval(timer);
      return remedy.drain(server);
    },
  };
}

async function redisClients() {
  const { Redis } = require('ioredis');
  const [publisher, observer] = [new Redis(process.env.REDIS_URL), new Redis(process.env.REDIS_URL)];
  return {
    publisher,
    channels: async () => (await observer.pubsub('CHANNELS')).length,
    end: () => [publisher, observer].forEach((client) => client.disconnect()),
  };
}

/** The parts of a fan-out that do not depend on the transport. */
function fleetsOf(publisher) {
  const fleets = remedy.fanout(publisher);
  let serial = 0;
  const timer = setInterval(() => {
    serial += 1;
    fleets.publish(`fleet ${serial % FLEETS}`, TEXT).catch(() => undefined);
  }, 20);
  return {
    subscribe: (connection) => fleets.subscribe(`fleet ${(serial += 1) % FLEETS}`, connection),
    left: () => ({ keys: fleets.stats().keys, connections: fleets.stats().connections }),
    did: () => ({ received: fleets.stats().received, delivered: fleets.stats().delivered }),
    close() {
      clearInterval(timer);
      fleets.close();
    },
  };
}

async function fanout() {
  const { server, wss } = webSocketServer();
  const redis = await redisClients();
  const fleets = fleetsOf(redis.publisher);
  wss.on('connection', (ws) => fleets.subscribe(ws));
  const stop = remedy.heartbeat(wss, { intervalMs: HEARTBEAT_MS });
  return {
    port: await listen(server),
    left: async () => ({
      ...fleets.left(),
      subscriptions: await redis.channels(),
      tracked: wss.clients.size,
    }),
    did: fleets.did,
    close() {
      stop();
      fleets.close();
      redis.end();
      wss.close();
      server.close();
    },
  };
}

/** Socket.IO ends frozen clients itself: it has a heartbeat. */
async function socketio() {
  const { Server } = require('socket.io');
  const server = createServer();
  const io = new Server(server, { pingInterval: HEARTBEAT_MS, pingTimeout: HEARTBEAT_MS });
  const redis = await redisClients();
  const fleets = fleetsOf(redis.publisher);
  io.on('connection', (socket) => {
    void socket.join(`room ${socket.id.charCodeAt(0) % FLEETS}`);
    fleets.subscribe(socket);
  });
  return {
    port: await listen(server),
    left: async () => ({
      ...fleets.left(),
      subscriptions: await redis.channels(),
      clients: io.engine.clientsCount,
      rooms: io.of('/').adapter.rooms.size,
    }),
    did: fleets.did,
    async close() {
      fleets.close();
      await io.close();
      redis.end();
    },
  };
}

/** Clients of `/slow` get messages without a limit, so that their send buffers fill the memory. No heartbeat ends them. */
async function guard() {
  const { server, wss } = webSocketServer();
  const slow = new Set();
  wss.on('connection', (ws, request) => {
    if (!request.url.includes('slow')) return;
    slow.add(ws);
    ws.on('close', () => slow.delete(ws));
  });
  const timer = setInterval(() => {
    for (const ws of slow) ws.send(Buffer.alloc(SLOW_BYTES), () => undefined);
  }, 100);
  const { heapUsed, external } = process.memoryUsage();
  let periods = 0;
  const stopGuard = remedy.memoryGuard({
    thresholdBytes: heapUsed + external + 150 * MIB,
    intervalMs: 250,
    servers: [server],
    webSocketServers: [wss],
    onPressure: () => (periods += 1),
  });
  return {
    port: await listen(server),
    left: () => ({ tracked: wss.clients.size, slow: slow.size }),
    did: () => ({
      periods,
      terminated: actions('memoryGuard terminated'),
      refused: actions('memoryGuard refused'),
    }),
    close() {
      clearInterval(timer);
      stopGuard();
      wss.close();
      server.close();
    },
  };
}

/** All connections are there until `close` drains them. */
async function drain() {
  const { server, wss } = webSocketServer();
  const result = { closed: 0, forced: 0, drainMs: 0 };
  return {
    port: await listen(server),
    left: () => ({ tracked: wss.clients.size }),
    did: () => result,
    async close() {
      const startedMs = performance.now();
      const { closed, forced } = await remedy.drain([wss, server], { deadlineMs: DRAIN_DEADLINE_MS });
      Object.assign(result, { closed, forced, drainMs: Math.round(performance.now() - startedMs) });
    },
  };
}

export const SERVERS = { all, heartbeat, sse, fanout, socketio, guard, drain };

/** Runs in the child process: reports on `report`, ends the server on `close`. */
async function serve(name) {
  const sockets = () => process.getActiveResourcesInfo().filter((type) => type === 'TCPSocketWrap').length;
  const timers = () => process.getActiveResourcesInfo().filter((type) => type === 'Timeout').length;
  const server = await SERVERS[name]();
  // The clients of Redis connect first, so that their sockets count as the server's.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const atStart = { sockets: sockets(), timers: timers() };
  async function report(isClosed) {
    for (let n = 0; n < 3; n += 1) {
      globalThis.gc();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { heapUsed, external, rss } = process.memoryUsage();
    return {
      left: {
        // A closed server has no connection to Redis to ask.
        ...(isClosed ? {} : await server.left()),
        sockets: Math.max(0, sockets() - atStart.sockets),
        timers: Math.max(0, timers() - atStart.timers),
      },
      did: server.did(),
      usedBytes: heapUsed + external,
      rssBytes: rss,
    };
  }
  process.on('message', async (command) => {
    const isEnd = command === 'close';
    if (isEnd) await server.close();
    process.send(await report(isEnd));
    if (isEnd) process.disconnect();
  });
  process.send({ port: server.port });
}

if (process.argv[2] === 'serve') await serve(process.argv[3]);
