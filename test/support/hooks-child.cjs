'use strict';
/* oxlint-disable typescript/unbound-method -- the scenario `stop` compares methods on their prototypes */
// Runs one scenario on the built files in its own process, and prints its result as one line of JSON.
const { join } = require('node:path');
const { EventEmitter } = require('node:events');
const http = require('node:http');

const DIST = join(__dirname, '..', '..', 'dist');
const { createClock } = require(join(DIST, 'core', 'clock.js'));
const { createGuard } = require(join(DIST, 'core', 'guard.js'));
const { installPreloadHooks } = require(join(DIST, 'hooks', 'preload-hooks.js'));

const faults = [];
function install() {
  const guard = createGuard(({ part, error }) => faults.push(`${part}: ${error}`));
  return { guard, preloadHooks: installPreloadHooks({ guard, onServe: () => {} }) };
}
function sample({ guard, preloadHooks }, more) {
  const { createSampler } = require(join(DIST, 'agent', 'sampler.js'));
  const { loadConfig } = require(join(DIST, 'config', 'load-config.js'));
  const input = { env: {}, code: more, readFile: () => '', cwd: '/', mainFile: null, execArgv: [] };
  return createSampler({ clock: createClock(), guard, config: loadConfig(input).config, preloadHooks });
}
const listening = (server) =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
const turns = async (count) => {
  for (let i = 0; i < count; i += 1) await new Promise(setImmediate);
};
/** Calls `read` until it returns a truthy value. */
async function until(read) {
  for (;;) {
    const value = read();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const rethrow = (message) => {
  throw new Error(message);
};
const rows = (sampler, emitter) =>
  sampler
    .read()
    .emitters.filter((row) => row.emitter === emitter)
    .map(({ event, listeners, eventNames }) => [event, listeners, eventNames]);

async function wsPair() {
  const { WebSocketServer, WebSocket } = require('ws');
  const server = http.createServer();
  const wss = new WebSocketServer({ server });
  const port = await listening(server);
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  const [ws] = await new Promise((resolve) => wss.on('connection', (...args) => resolve(args)));
  await new Promise((resolve) => (client.readyState === 1 ? resolve() : client.on('open', resolve)));
  const end = () => {
    client.terminate();
    wss.close();
    server.close();
  };
  return { server, wss, ws, client, end };
}

const scenarios = {
  async locate() {
    const hooks = install();
    const sampler = sample(hooks);
    const bus = new EventEmitter();
    bus.setMaxListeners(0);
    for (let i = 0; i < 40; i += 1) bus.on('price', function onPrice() {});
    class Feed extends EventEmitter {}
    const feed = new Feed();
    for (let i = 0; i < 100; i += 1) feed.once(`user:${i}`, onUser.bind(null, i));
    function onUser() {}
    class Screen extends EventEmitter {}
    const screen = new Screen();
    for (let i = 0; i < 40; i += 1)
      screen.on(
        'resize',
        debounce(function onResize() {}),
      );
    function debounce(func) {
      return function debounced(...args) {
        return func(...args);
      };
    }
    sampler.read();
    const located = [
      await sampler.locateListener('EventEmitter', 'price'),
      await sampler.locateListener('EventEmitter', '*'),
      await sampler.locateListener('Feed', '*'),
      await sampler.locateListener('Screen', 'resize'),
      await sampler.locateListener('nothing', 'x'),
    ];
    sampler.stop();
    return { located };
  },
  /** tsx transpiles in memory: the script has the name of a file on disk, but other code, and its map is inside it. */
  async 'locate-transpiled'(written, sourcemap) {
    const { transformSync } = require('esbuild');
    const { runInThisContext } = require('node:vm');
    const { locateListeners } = require(join(DIST, 'hooks', 'inspector', 'locate-listeners.js'));
    const file = '/srv/feed.ts';
    const options = { loader: 'ts', minifyWhitespace: true, sourcefile: file };
    const { code } = transformSync(written, { ...options, sourcemap: sourcemap === 'inline' && sourcemap });
    const bus = new EventEmitter();
    runInThisContext(code, { filename: file })(bus);
    return locateListeners(bus, 'tick');
  },

  /** Collections that the application's handlers close over, with the names of its code. It registers none of them. */
  async discovery() {
    const hooks = install();
    const { WebSocketServer, WebSocket } = require('ws');
    const clients = new Map();
    const rooms = new Map();
    const topics = new Map();
    const jobs = [];
    const colors = ['red', 'green', 'blue', 'black'];
    const cache = new Map([1, 2, 3, 4].map((id) => [id, { id }]));
    const tasks = [];
    class Manager {
      connections = new Set();
      constructor(wss) {
        wss.on('connection', this.welcome.bind(this));
      }
      welcome(ws) {
        this.connections.add(ws);
      }
    }
    const server = http.createServer();
    const wss = new WebSocketServer({ server });
    const manager = new Manager(wss);
    wss.on('connection', (ws) => {
      const messages = [];
      clients.set(clients.size, { ws });
      rooms.set(`room ${rooms.size}`, new Set([ws]));
      topics.set(`topic ${topics.size}`, { history: ['hi'], members: new Set([ws]) });
      tasks.push(() => ws.close(1000, colors[0]));
      ws.on('message', (data) => messages.push(data) && jobs.push({ data, cached: cache.get(1) }));
    });
    const port = await listening(server);
    const sampler = sample(hooks);
    const peers = Array.from({ length: 4 }, () => new WebSocket(`ws://127.0.0.1:${port}`));
    await until(() => sampler.read().registries.some(({ name }) => name === 'clients'));
    for (const peer of peers) for (let i = 0; i < 5; i += 1) peer.send('hi');
    const {
      registries,
      queues,
      rooms: roomRows,
    } = await until(() => {
      const reading = sampler.read();
      return reading.queues.some(({ items }) => items === 20) && clients.size === 4 && reading;
    });
    sampler.watchRegistry('by hand', clients);
    const notTwice = sampler.read().registries.filter(({ name }) => name === 'clients' || name === 'by hand');
    sampler.stop();
    peers.forEach((peer) => peer.terminate());
    wss.close();
    server.close();
    return { registries, queues, rooms: roomRows, notTwice, sizes: [manager.connections.size, tasks.length] };
  },

  /** Socket.IO gives an id to one connection only, so a collection with ids as keys has an entry for each connection. */
  async 'discovery-by-id'() {
    const hooks = install();
    const { Server } = require('socket.io');
    const { io } = require('socket.io-client');
    const presence = new Map();
    const typing = new Set();
    const channels = new Map();
    const readers = new Map(['a', 'b', 'c'].map((page) => [page, new Set([`user-of-${page}`])]));
    const profiles = new Map(['ann', 'bob', 'eve', 'joe'].map((user) => [user, { user }]));
    const server = http.createServer();
    const socketIo = new Server(server);
    socketIo.of('/chat').on('connection', (socket) => {
      presence.set(socket.id, { since: Date.now(), profile: profiles.get('ann') });
      typing.add(socket.id);
      channels.set(`channel ${channels.size}`, new Set([socket.id]));
      for (const users of readers.values()) users.add('somebody else');
    });
    const port = await listening(server);
    const sampler = sample(hooks);
    const peers = Array.from({ length: 4 }, () =>
      io(`http://127.0.0.1:${port}/chat`, { transports: ['websocket'], forceNew: true }),
    );
    const isOfApplication = ({ name }) => /^(presence|typing|profiles|channels|readers)$/.test(name);
    const { registries, rooms } = await until(() => {
      const reading = sampler.read();
      const registries = reading.registries.filter(isOfApplication);
      const rooms = reading.rooms.filter(isOfApplication);
      return registries.length > 0 && rooms.length > 0 && presence.size === 4 && { registries, rooms };
    });
    sampler.stop();
    peers.forEach((peer) => peer.close());
    await socketIo.close();
    return { registries, rooms };
  },

  /** Node's warnings lead to emitters beyond the first 50 of a class, and to EventTargets. */
  async warnings() {
    const hooks = install();
    const sampler = sample(hooks);
    class Crowd extends EventEmitter {}
    const crowd = Array.from({ length: 60 }, () => new Crowd());
    for (let i = 0; i < 20; i += 1) crowd[59].on('data', () => {});
    const target = new EventTarget();
    for (let i = 0; i < 20; i += 1) target.addEventListener('stop', () => {});
    await turns(5);
    const result = { crowd: rows(sampler, 'Crowd'), target: rows(sampler, 'EventTarget') };
    sampler.stop();
    return result;
  },

  /** stop() restores every patched method, and nothing keeps the process alive. */
  async stop() {
    const { WebSocket } = require('ws');
    const readState = () => ({
      init: EventEmitter.init,
      setMaxListeners: EventEmitter.prototype.setMaxListeners,
      send: WebSocket.prototype.send,
      ping: WebSocket.prototype.ping,
      destroy: require('node:net').Socket.prototype._destroy,
      processEmit: process.emit,
      warning: process.listenerCount('warning'),
      exit: process.listenerCount('exit'),
    });
    const before = readState();
    const hooks = install();
    const pair = await wsPair();
    const sampler = sample(hooks, { timeScale: 1000 });
    await until(() => sampler.read().connections.active.websocket === 1);
    pair.ws.on('pong', () => {});
    pair.ws.ping();
    await until(() => sampler.read().connections.rtt !== null);
    const during = readState();
    const changed = Object.keys(before).filter((name) => before[name] !== during[name]);
    sampler.stop();
    const after = readState();
    const result = {
      changed,
      notRestored: Object.keys(before).filter((name) => before[name] !== after[name]),
      pongListeners: pair.ws.listenerCount('pong'),
      channels: ['net.server.socket', 'tracing:net.server.listen:asyncEnd'].map((name) =>
        require('node:diagnostics_channel').hasSubscribers(name),
      ),
      openSockets: hooks.preloadHooks.sockets.open.size,
    };
    pair.client.send('still served');
    result.served = String(await new Promise((resolve) => pair.ws.on('message', resolve)));
    pair.end();
    return result;
  },

  /** Another wrapper around the agent's wrapper works after stop(). */
  async 'wrapped-later'() {
    const hooks = install();
    const ours = EventEmitter.init;
    let calls = 0;
    EventEmitter.init = function init(options) {
      calls += 1;
      return ours.call(this, options);
    };
    hooks.preloadHooks.stop();
    const bus = new EventEmitter();
    const received = new Promise((resolve) => bus.on('x', resolve));
    bus.emit('x', 'received');
    return { received: await received, calls, buses: hooks.preloadHooks.emitters.buses().length };
  },

  /** An application that breaks methods that the hooks use is served as without the agent. */
  async hostile() {
    const hooks = install();
    const on = EventEmitter.prototype.on;
    EventEmitter.prototype.on = function patched(name, listener) {
      return on.call(this, name, listener);
    };
    EventEmitter.prototype.eventNames = function broken() {
      throw new Error('the application broke it');
    };
    class Strange extends EventEmitter {
      listenerCount() {
        throw new Error('no count');
      }
    }
    const noConstructor = { get: () => rethrow('no constructor') };
    Object.defineProperty(Strange.prototype, 'constructor', noConstructor);
    const strange = new Strange();
    strange.setMaxListeners(0);
    for (let i = 0; i < 20; i += 1) strange.on('x', () => {});
    const pair = await wsPair();
    // Not before the server listens: Node's own cluster module would fail.
    delete process.env;
    process.execArgv = undefined;
    const sampler = sample(hooks, { timeScale: 1000 });
    await until(() => sampler.read().connections.active.websocket === 1);
    let reads = 0;
    Object.defineProperty(pair.ws, 'bufferedAmount', {
      get() {
        reads += 1;
        throw new Error('no amount');
      },
    });
    for (let i = 0; i < 10; i += 1) sampler.read();
    const { memory, limits } = sampler.read();
    const echoed = new Promise((resolve) =>
      pair.client.on('message', (data) => resolve(Buffer.from(data).toString())),
    );
    pair.ws.on('message', (data) => pair.ws.send(data));
    pair.client.send('served');
    const result = {
      echoed: await echoed,
      heap: memory.heapUsedBytes > 0 && limits.heapCapacityBytes > 0,
      reads,
    };
    sampler.stop();
    pair.end();
    return result;
  },

  /** A late start() finds the servers and connections that are older. */
  async late() {
    const pair = await wsPair();
    const hooks = install();
    hooks.preloadHooks.sockets.adoptExisting();
    const sampler = sample(hooks);
    await until(() => sampler.read().connections.active.websocket === 1);
    const { servers } = sampler.attached();
    sampler.stop();
    pair.end();
    return { servers: servers.length };
  },

  async permission() {
    const hooks = install();
    const server = http.createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
    });
    const port = await listening(server);
    const sampler = sample(hooks, { timeScale: 10_000 });
    const get = () => http.get({ host: '127.0.0.1', port, agent: false }, (response) => response.resume());
    const requests = [get(), get()];
    const { blind } = await until(() => {
      const reading = sampler.read();
      const hasAll = reading.blind.length >= Number(process.argv[3]);
      return reading.connections.active.sse === 2 && hasAll && reading;
    });
    sampler.stop();
    requests.forEach((request) => request.destroy());
    server.close();
    return { blind };
  },

  /** A server that serves wakes the agent: http on a unix socket, or a TCP port. A private pipe (of tsx, for example) does not. */
  async wake() {
    const net = require('node:net');
    const guard = createGuard(() => {});
    const woken = [];
    const dir = require('node:fs').mkdtempSync(join(require('node:os').tmpdir(), 'wsguard-pipe-'));
    const kinds = {
      pipe: [net.createServer(), join(dir, 'a')],
      httpOnPipe: [http.createServer(), join(dir, 'b')],
      tcp: [net.createServer(), 0],
      http2: [require('node:http2').createServer(), 0],
    };
    for (const [name, [server, where]] of Object.entries(kinds)) {
      const preloadHooks = installPreloadHooks({ guard, onServe: () => woken.push(name) });
      await new Promise((resolve) => server.listen(where, resolve));
      await turns(2);
      if (name === 'pipe') {
        await new Promise((resolve) => net.connect(where).on('connect', resolve));
        await turns(5);
      }
      preloadHooks.stop();
      server.close();
    }
    setImmediate(() => process.exit());
    return { woken };
  },
};

void scenarios[process.argv[2]](...process.argv.slice(3)).then((result) =>
  process.stdout.write(`${JSON.stringify({ ...result, faults })}\n`),
);
