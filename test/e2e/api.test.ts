/** The agent that `start()` returns, used by real applications with the built package. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Snapshot, Status } from '../../src/types/index.ts';
import { AGENT, endChildren, onTrigger, startChild } from '../support/child.ts';

afterEach(endChildren);

const WS = JSON.stringify(join(__dirname, '..', '..', 'node_modules', 'ws'));
const PROM = JSON.stringify(join(__dirname, '..', '..', 'node_modules', 'prom-client'));
const HEAD = `
const { start } = require(${JSON.stringify(AGENT)});
const { WebSocketServer, WebSocket } = require(${WS});
const print = (name, value) => console.log(name + ' ' + JSON.stringify(value));
const wss = new WebSocketServer({ port: 0 });
`;
const valueOf = <T>([, text]: RegExpMatchArray): T => JSON.parse(text ?? '') as T;

test('start() is idempotent and warns once about settings that it ignores', async () => {
  const child = startChild({
    files: {
      'main.js': `${HEAD}
        const agent = start({ intervalMs: 1000, service: 'first' });
        print('same', [start(), start({ service: 'second', intervalMs: 1000, ping: 'off' }), start({ service: 'third' })]
          .map((again) => again === agent));`,
    },
    env: { WSGUARD_SERVICE: '' },
  });
  expect(valueOf(await child.stdoutMatch(/same (.*)/))).toEqual([true, true, true]);
  await child.logLine(/^watching first/);
  const warnings = child.logLines().filter(({ code }) => code === 'WSGUARD_SETTINGS_IGNORED');
  expect(warnings.map(({ ignored }) => ignored)).toEqual([['service', 'ping']]);
});

test('after a preload start() returns the running agent and ignores its options', async () => {
  const child = startChild({
    files: {
      'main.js': `${HEAD}
        const agent = start({ service: 'late' });
        setInterval(() => agent.status().then((status) => print('status', status)), 100);`,
    },
    nodeArgs: ['--require', AGENT],
  });
  const status = valueOf<Status>(await child.stdoutMatch(/status (.*"watcher":"running".*)/));
  expect(status.service).toBe('test');
  expect(child.logLines().find(({ code }) => code === 'WSGUARD_SETTINGS_IGNORED')?.['ignored']).toEqual([
    'service',
  ]);
});

test('status() has connections, registered collections and a verdict of each detector', async () => {
  const child = startChild({
    files: {
      'main.js': `${HEAD}
        const agent = start({ intervalMs: 250 });
        agent.watchRegistry('sessions', new Map([[1, 1], [2, 2]]));
        wss.on('listening', () => new WebSocket('ws://127.0.0.1:' + wss.address().port));
        setInterval(() => agent.status().then((status) => {
          const { watcher, connections, memory } = status;
          if (watcher === 'running' && connections.active === 1 && 'sessions' in memory.registries) print('status', status);
        }), 100);`,
    },
  });
  const status = valueOf<Status>(await child.stdoutMatch(/status (.*)/));
  expect(status).toMatchObject({
    connections: { active: 1, unanswering: 0, byTransport: { websocket: 1 } },
    memory: { registries: { sessions: 2 } },
    timeToLimit: null,
    alerts: [],
  });
  expect(status.verdicts.length).toBeGreaterThan(5);
  expect(status.verdicts.every(({ answer }) => answer !== 'found')).toBe(true);
  expect(status.verdicts.every(({ because }) => typeof because === 'string')).toBe(true);
});

test('status() resolves with watcher silent after two seconds without a reply', async () => {
  const child = startChild({
    files: {
      'main.js': `
        process.on('worker', (worker) => (worker.postMessage = () => undefined));
        ${HEAD}
        const agent = start({ intervalMs: 250 });
        setTimeout(() => {
          const before = Date.now();
          agent.status().then((status) => print('status', { ...status, afterMs: Date.now() - before }));
        }, 500);`,
    },
  });
  const status = valueOf<Status & { afterMs: number }>(await child.stdoutMatch(/status (.*)/));
  expect(status.watcher).toBe('silent');
  expect(status.afterMs).toBeGreaterThanOrEqual(1_900);
  expect(status.memory.heapUsed).toBeGreaterThan(0);
});

test.each([
  ['fork', {}, /\/\.wsguard\/snapshots\/heap-\d+-by-hand\.heapsnapshot\.gz$/],
  ['inprocess', { WSGUARD_SNAPSHOT: 'inprocess' }, /\/\.wsguard\/snapshots\/heap-\d+-by-hand\.heapsnapshot$/],
])(
  'snapshot(label) goes through the gate (%s), and an error in a listener has no other effect',
  async (method, env, name) => {
    const main = `${HEAD}
    const agent = start();
    agent.on('snapshot', () => { throw new Error('the fault of a listener'); });
    agent.on('snapshot', ({ outcome }) => print('event', outcome));
    agent.snapshot('by hand').then((snapshot) => print('snapshot', snapshot));`;
    const written = startChild({
      files: { 'main.js': main },
      env: { WSGUARD_PAUSE_BUDGET_MS: '20000', ...env },
    });
    const snapshot = valueOf<Snapshot>(await written.stdoutMatch(/snapshot (.*)/));
    expect(snapshot).toMatchObject({ outcome: 'written', method, redacted: true });
    const file = snapshot.outcome === 'written' ? snapshot.file : '';
    expect(file).toMatch(name);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(file, '..')).filter((name) => name.includes('tmp'))).toEqual([]);
    await written.stdoutMatch(/event "written"/);
    expect(written.process.exitCode).toBeNull();

    const refused = startChild({ files: { 'main.js': main }, env: { WSGUARD_SNAPSHOT: 'off' } });
    expect(valueOf(await refused.stdoutMatch(/snapshot (.*)/))).toMatchObject({
      outcome: 'refused',
      reason: expect.stringContaining('WSGUARD_SNAPSHOT=off') as string,
    });
    expect(existsSync(join(refused.cwd, '.wsguard', 'snapshots'))).toBe(false);
  },
);

test('collectInto adds the metrics to a registry of the application and removes them again', async () => {
  const child = startChild({
    files: {
      'main.js': `${HEAD}
        const { Registry, Gauge } = require(${PROM});
        const registry = new Registry();
        new Gauge({ name: 'ws_connections_active', help: 'a metric of the application', registers: [registry] }).set(7);
        const agent = start({ intervalMs: 250 });
        const dispose = agent.collectInto(registry);
        const timer = setInterval(async () => {
          const page = await registry.metrics();
          if (!/^wsguard_heap_used_bytes [1-9]/m.test(page)) return;
          clearInterval(timer);
          dispose();
          print('pages', [page, await registry.metrics()]);
        }, 100);`,
    },
  });
  const [before, after] = valueOf<[string, string]>(await child.stdoutMatch(/pages (.*)/));
  expect(before).toMatch(/^ws_connections_active 7$/m);
  expect(before).toMatch(/^wsguard_alert_active\{kind="heap-growth"\} 0$/m);
  expect(after).not.toMatch(/wsguard_/);
  expect(child.logLines().find(({ code }) => code === 'WSGUARD_METRICS_TAKEN')?.['taken']).toEqual([
    'ws_connections_active',
  ]);
});

test('stop() undoes every hook', async () => {
  const child = startChild({
    files: {
      'main.js': `
        const { EventEmitter } = require('node:events');
        const { channel } = require('node:diagnostics_channel');
        const { WebSocketServer, WebSocket } = require(${WS});
        const CHANNELS = ['net.server.socket', 'tracing:net.server.listen:asyncEnd'];
        const sides = (wss, sockets) => ({
          patched: [EventEmitter.init, EventEmitter.prototype.setMaxListeners, EventEmitter.prototype.on, EventEmitter.prototype.emit,
            WebSocket.prototype.send, WebSocket.prototype.ping, WebSocket.prototype.close, WebSocket.prototype.terminate],
          listeners: ['exit', 'warning', 'SIGTERM', 'SIGINT', 'uncaughtException', 'beforeExit', 'worker'].map((name) => process.listenerCount(name)),
          channels: CHANNELS.map((name) => channel(name).hasSubscribers),
          emitters: [wss, wss._server, ...sockets, ...sockets.map((socket) => socket._socket)].map((emitter) =>
            emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)])),
          symbol: Symbol.for('wsguard.agent') in globalThis,
        });
        const wss = new WebSocketServer({ port: 0 }, async () => {
          const client = new WebSocket('ws://127.0.0.1:' + wss.address().port);
          const [socket] = await require('node:events').once(wss, 'connection');
          await require('node:events').once(client, 'open');
          const before = sides(wss, [socket, client]);
          const { send } = WebSocket.prototype;
          const moment = () => new Promise((resolve) => setTimeout(resolve, 20));
          const agent = require(${JSON.stringify(AGENT)}).start({ intervalMs: 250, timeScale: 600 });
          agent.watchEmitter('wss', wss);
          while (WebSocket.prototype.send === send || (await agent.status()).watcher !== 'running') await moment();
          socket.send('x');
          const during = sides(wss, [socket, client]);
          await agent.stop();
          const same = (a, b) => Object.keys(a).filter((key) =>
            key === 'patched' ? a[key].some((it, i) => it !== b[key][i]) : JSON.stringify(a[key]) !== JSON.stringify(b[key]));
          const until = Date.now() + 30000;
          const left = () => same(before, sides(wss, [socket, client]));
          while (left().length > 0 && Date.now() < until) await moment();
          console.log('changed ' + JSON.stringify([same(before, during), left()]));
          wss.close();
          client.terminate();
        });`,
    },
  });
  const [during, after] = valueOf<[string[], string[]]>(await child.stdoutMatch(/changed (.*)/));
  // The agent adds no listener to `process`.
  expect(during).toEqual(expect.arrayContaining(['patched', 'channels', 'symbol']));
  expect(during).not.toContain('listeners');
  expect(after).toEqual([]);
  expect(await child.exited).toEqual({ code: 0, signal: null });
});

test.each([
  ['a thread', {}, 'refused,running,refused,the agent was stopped; start() starts a new one,false'],
  [
    'WSGUARD_THREAD=off',
    { WSGUARD_THREAD: 'off' },
    'refused,none,refused,the agent was stopped; start() starts a new one,true',
  ],
])('with %s the pending promises of the agent keep the process alive', async (_, env, output) => {
  const main = `
    const agent = require(${JSON.stringify(AGENT)}).start();
    (async () => {
      const { outcome } = await agent.snapshot('last');
      let status;
      // A watcher that is still starting has no reply for the first two seconds.
      do status = await agent.status();
      while (status.watcher === 'silent');
      const { watcher, blind } = status;
      await agent.stop();
      const { outcome: after } = await agent.snapshot('later');
      const { reason } = await agent.audit();
      console.log([outcome, watcher, after, reason, blind.some(({ what }) => what === 'a blocked loop')].join());
    })();`;
  const child = startChild({ files: { 'main.js': main }, env: { ...env, WSGUARD_SNAPSHOT: 'off' } });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(child.stdout()).toContain(output);
});

test.each([
  ['start() in a request', ''],
  ['a preload, and a server that listens in a request', AGENT],
])('%s does not keep the AsyncLocalStorage store of the request', async (_, preload) => {
  const main = `
    const { AsyncLocalStorage } = require('node:async_hooks');
    const storage = new AsyncLocalStorage();
    const wsguard = ${preload === '' ? `require(${JSON.stringify(AGENT)})` : 'null'};
    const server = require('node:http').createServer();
    let ref;
    setTimeout(() => {
      const store = {};
      ref = new WeakRef(store);
      storage.run(store, () => {
        if (wsguard !== null) wsguard.start();
        else require('node:diagnostics_channel').channel('tracing:net.server.listen:asyncEnd').publish({ server });
      });
    }, 10);
    // The agent reads from it that the server listens. A real handle would keep the store itself.
    server._handle = {};
    ${onTrigger(
      'collect',
      `setInterval(() => {
        global.gc();
        if (ref.deref() === undefined) console.log('freed');
      }, 20);`,
    )}`;
  const child = startChild({
    files: { 'main.js': main },
    nodeArgs: ['--expose-gc', ...(preload === '' ? [] : ['--require', preload])],
  });
  // Before that the agent may still be starting.
  await child.logLine(/^watching /);
  child.trigger('collect');
  await child.stdoutMatch(/freed/);
});
