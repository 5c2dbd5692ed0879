'use strict';
/* oxlint-disable typescript/unbound-method -- what is patched is compared as it lies on its prototype */
// One scenario in a process of its own, on the built files; prints what it saw as one line of JSON.
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
async function until(look) {
  for (;;) {
    const found = look();
    if (found) return found;
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
  /** As tsx does it: what runs is not what lies on the disk under its name, and carries its map in itself. */
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

  /** What the application's handlers close over, by the names of its own code, without a call of its own. */
  async discovery() {
    const hooks = install();
    const { WebSocketServer, WebSocket } = require('ws');
    const clients = new Map();
    const rooms = new Map();
    const topics = new Map();
    const jobs = [];
    const colours = ['red', 'green', 'blue', 'black'];
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
      const own = [];
      clients.set(clients.size, { ws });
      rooms.set(`room ${rooms.size}`, new Set([ws]));
      topics.set(`topic ${topics.size}`, { history: ['hi'], members: new Set([ws]) });
      tasks.push(() => ws.close(1000, colours[0]));
      ws.on('message', (data) => own.push(data) && jobs.push({ data, cached: cache.get(1) }));
    });
    const port = await listening(server);
    const sampler = sample(hooks);
    const peers = Array.from({ length: 4 }, () => new WebSocket(`ws://127.0.0.1:${port}`));
    await until(() => sampler.read().registries.some(({ name }) => name === 'clients'));
    for (const peer of peers) for (let i = 0; i < 5; i += 1) peer.send('hi');
    const {
      registries,
      queues,
      rooms: found,
    } = await until(() => {
      const seen = sampler.read();
      return seen.queues.some(({ items }) => items === 20) && clients.size === 4 && seen;
    });
    sampler.watchRegistry('by hand', clients);
    const once = sampler.read().registries.filter(({ name }) => name === 'clients' || name === 'by hand');
    sampler.stop();
    peers.forEach((peer) => peer.terminate());
    wss.close();
    server.close();
    return { registries, queues, rooms: found, once, kept: [manager.connections.size, tasks.length] };
  },

  /** What is kept by the id of a Socket.IO socket is kept for each connection, whatever it is. */
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
    const own = ({ name }) => /^(presence|typing|profiles|channels|readers)$/.test(name);
    const { registries, rooms } = await until(() => {
      const seen = sampler.read();
      const [registries, rooms] = [seen.registries.filter(own), seen.rooms.filter(own)];
      return registries.length > 0 && rooms.length > 0 && presence.size === 4 && { registries, rooms };
    });
    sampler.stop();
    peers.forEach((peer) => peer.close());
    await socketIo.close();
    return { registries, rooms };
  },

  /** Node's own warnings lead to emitters that were not kept at birth, and to EventTargets. */
  async warnings() {
    const hooks = install();
    const sampler = sample(hooks);
    class Crowd extends EventEmitter {}
    const crowd = Array.from({ length: 60 }, () => new Crowd());
    for (let i = 0; i < 20; i += 1) crowd[59].on('data', () => {});
    const target = new EventTarget();
    for (let i = 0; i < 20; i += 1) target.addEventListener('stop', () => {});
    await turns(5);
    const seen = { crowd: rows(sampler, 'Crowd'), target: rows(sampler, 'EventTarget') };
    sampler.stop();
    return seen;
  },

  /** After stop() everything that was patched is what it was, and nothing keeps the process alive. */
  async stop() {
    const { WebSocket } = require('ws');
    const look = () => ({
      init: EventEmitter.init,
      setMaxListeners: EventEmitter.prototype.setMaxListeners,
      send: WebSocket.prototype.send,
      ping: WebSocket.prototype.ping,
      warning: process.listenerCount('warning'),
      exit: process.listenerCount('exit'),
    });
    const before = look();
    const hooks = install();
    const pair = await wsPair();
    const sampler = sample(hooks, { timeScale: 1000 });
    await until(() => sampler.read().connections.active.websocket === 1);
    pair.ws.on('pong', () => {});
    pair.ws.ping();
    await until(() => sampler.read().connections.rtt !== null);
    const during = look();
    const changed = Object.keys(before).filter((name) => before[name] !== during[name]);
    const own = pair.ws._socket.listenerCount('close');
    sampler.stop();
    const after = look();
    const seen = {
      changed,
      left: Object.keys(before).filter((name) => before[name] !== after[name]),
      pongListeners: pair.ws.listenerCount('pong'),
      closeListenersTaken: own - pair.ws._socket.listenerCount('close'),
      channels: ['net.server.socket', 'tracing:net.server.listen:asyncEnd'].map((name) =>
        require('node:diagnostics_channel').hasSubscribers(name),
      ),
      held: hooks.preloadHooks.sockets.open.size,
    };
    pair.client.send('still served');
    seen.served = String(await new Promise((resolve) => pair.ws.on('message', resolve)));
    pair.end();
    return seen;
  },

  /** Whoever wrapped after us keeps a working chain, through us, when we stop. */
  async wrappedAfterUs() {
    const hooks = install();
    const ours = EventEmitter.init;
    let calls = 0;
    EventEmitter.init = function init(options) {
      calls += 1;
      return ours.call(this, options);
    };
    hooks.preloadHooks.stop();
    const bus = new EventEmitter();
    const heard = new Promise((resolve) => bus.on('x', resolve));
    bus.emit('x', 'heard');
    return { heard: await heard, calls, buses: hooks.preloadHooks.emitters.buses().length };
  },

  /** An application that breaks what we lean on goes on as it would without us. */
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
    delete process.env; // before it listens Node's own cluster would fail
    process.execArgv = undefined;
    const sampler = sample(hooks, { timeScale: 1000 });
    await until(() => sampler.read().connections.active.websocket === 1);
    Object.defineProperty(pair.ws, 'bufferedAmount', {
      get() {
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
    const seen = {
      echoed: await echoed,
      heap: memory.heapUsedBytes > 0 && limits.heapCapacityBytes > 0,
      parts: [...new Set(faults.map((fault) => fault.split(':')[0]))],
    };
    sampler.stop();
    pair.end();
    return seen;
  },

  /** A start() in code finds the server and the connections that were there before. */
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
      const seen = sampler.read();
      return seen.connections.active.sse === 2 && seen.blind.length >= Number(process.argv[3]) && seen;
    });
    sampler.stop();
    requests.forEach((request) => request.destroy());
    server.close();
    return { blind };
  },

  /** A private pipe, of tsx say, does not wake us; a unix socket with http on it does, a TCP port too. */
  async wakes() {
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

void scenarios[process.argv[2]](...process.argv.slice(3)).then((seen) =>
  process.stdout.write(`${JSON.stringify({ ...seen, faults })}\n`),
);
