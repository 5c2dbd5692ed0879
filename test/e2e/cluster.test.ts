/** Clusters: workers that share a port, and workers that never listen because their primary sends them the sockets. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT, endChildren, ROOT, startChild, until, type Child } from '../support/child.ts';
import { freePorts } from '../support/components.ts';

const { installPackages } = require('../../fixtures/components/install-packages.js') as {
  readonly installPackages: (folder: string) => string;
};
afterEach(endChildren);

const WATCHING = /^watching /;
const SERVE = `
const http = require('node:http');
const { WebSocketServer } = require(${JSON.stringify(require.resolve('ws'))});
const server = http.createServer((request, response) => response.end('ok'));
const wss = new WebSocketServer({ server });
const report = async () => {
  const { byTransport } = (await require(${JSON.stringify(AGENT)}).start().status()).connections;
  console.log('worker ' + process.pid + ' has ' + byTransport.websocket);
};
setInterval(report, 300);
`;
/** Opens and closes 100 connections, then keeps 6. */
const LOAD = `
async function load(port) {
  const { WebSocket } = require(${JSON.stringify(require.resolve('ws'))});
  const open = () => new Promise((resolve, reject) => {
    const ws = new WebSocket('ws://127.0.0.1:' + port);
    ws.on('open', () => resolve(ws)).on('error', reject);
  });
  for (let i = 0; i < 100; i += 1) {
    const ws = await open();
    const closed = new Promise((resolve) => ws.on('close', resolve));
    ws.close();
    await closed;
  }
  for (let i = 0; i < 6; i += 1) await open();
  console.log('loaded');
}`;
const STICKY = `
const cluster = require('node:cluster');
if (cluster.isPrimary) {
  ${LOAD}
  const workers = [cluster.fork(), cluster.fork()];
  const sockets = [];
  let turn = 0;
  const server = require('node:net').createServer({ pauseOnConnect: true }, (socket) => {
    sockets.push(new WeakRef(socket));
    workers[(turn += 1) % 2].send('sticky', socket);
  });
  Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('online', resolve)))).then(() =>
    server.listen(0, '127.0.0.1', () => load(server.address().port)));
  setInterval(() => {
    global.gc();
    console.log('primary holds ' + sockets.filter((ref) => ref.deref()).length + ' of ' + sockets.length);
  }, 300);
} else {
  ${SERVE}
  process.on('message', (message, socket) => {
    if (message !== 'sticky') return;
    server.emit('connection', socket);
    socket.resume();
  });
}`;

/** The last number of connections that each worker reported. */
function connectionsOf(stdout: string): number[] {
  const byPid = new Map<string, number>();
  for (const [, pid = '', count] of stdout.matchAll(/worker (\d+) has (\d+)/g)) byPid.set(pid, Number(count));
  return [...byPid.values()];
}

const untilThreeWatch = (child: Child): Promise<unknown> =>
  until(
    () => (child.logLines().filter(({ msg }) => WATCHING.test(msg)).length === 3 ? true : undefined),
    () => child.stderr(),
  );

test('a sticky primary keeps no socket that it sent away, and the workers count their connections', async () => {
  const child = startChild({
    files: { 'main.js': STICKY },
    env: { NODE_OPTIONS: `--require ${AGENT} --expose-gc`, WSGUARD_INTERVAL_MS: '500' },
  });
  await child.stdoutMatch(/loaded/);
  await until(
    () => (connectionsOf(child.stdout()).join() === '3,3' ? true : undefined),
    () => child.stdout() + child.stderr(),
  );
  // The primary has its own six clients in this process, but none of the sockets that it accepted.
  await child.stdoutMatch(/primary holds 0 of 106/);
  await untilThreeWatch(child);
  expect(child.logLines().filter(({ level }) => level > 30)).toEqual([]);
});

test('a worker that never listens wakes without start(), at its first connection', async () => {
  const worker = STICKY.replace('setInterval(report, 300);', '');
  const child = startChild({
    files: { 'main.js': worker },
    env: { NODE_OPTIONS: `--require ${AGENT} --expose-gc` },
  });
  await child.stdoutMatch(/loaded/);
  await untilThreeWatch(child);
});

describe('published packages', () => {
  let modules: string;
  beforeAll(() => {
    modules = join(installPackages(join(ROOT, 'fixtures', 'cluster')), 'node_modules');
  });
  const load = (name: string): string => `require(${JSON.stringify(join(modules, name))})`;

  test('@socket.io/sticky: the primary keeps no socket, and each worker counts its sessions', async () => {
    const { http: port } = await freePorts(['http']);
    const main = `
const cluster = require('node:cluster');
const http = require('node:http');
const { setupMaster, setupWorker } = ${load('@socket.io/sticky')};
if (cluster.isPrimary) {
  const sockets = [];
  const server = http.createServer().on('connection', (socket) => sockets.push(new WeakRef(socket)));
  setupMaster(server, { loadBalancingMethod: 'round-robin' });
  cluster.setupPrimary({ serialization: 'advanced' });
  server.listen(${port}, '127.0.0.1');
  for (let n = 0; n < 2; n += 1) cluster.fork();
  setInterval(() => {
    global.gc();
    console.log('primary holds ' + sockets.filter((ref) => ref.deref()).length + ' of ' + sockets.length);
  }, 300);
} else {
  const { Server } = ${load('socket.io')};
  const io = new Server(http.createServer());
  setupWorker(io);
  io.on('connection', (socket) => socket.join('lobby'));
  setInterval(async () => {
    const { byTransport } = (await require(${JSON.stringify(AGENT)}).start().status()).connections;
    console.log('worker ' + process.pid + ' has ' + byTransport.websocket);
  }, 300);
}`;
    const child = startChild({
      files: { 'main.js': main },
      env: { NODE_OPTIONS: `--require ${AGENT} --expose-gc`, WSGUARD_INTERVAL_MS: '500' },
    });
    await until(
      () => (connectionsOf(child.stdout()).length === 2 ? true : undefined),
      () => child.stdout() + child.stderr(),
    );
    const client = startChild({
      files: {
        'client.js': `
const { WebSocket } = require(${JSON.stringify(require.resolve('ws'))});
const connect = () => new Promise((resolve, reject) => {
  const ws = new WebSocket('ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket');
  ws.once('message', () => resolve(ws)).on('error', reject);
});
(async () => {
  for (let n = 0; n < 40; n += 1) {
    const ws = await connect();
    const closed = new Promise((resolve) => ws.on('close', resolve));
    ws.close();
    await closed;
  }
  for (let n = 0; n < 6; n += 1) await connect();
  console.log('loaded');
})();`,
      },
    });
    await client.stdoutMatch(/loaded/);
    await until(
      () => (connectionsOf(child.stdout()).reduce((sum, count) => sum + count, 0) === 6 ? true : undefined),
      () => child.stdout() + child.stderr(),
    );
    // The sweep of a sample lets go of what was sent away.
    await child.stdoutMatch(/primary holds 0 of 46/);
    expect(child.logLines().filter(({ level }) => level > 30)).toEqual([]);
  });

  test('pm2 -i 2: one agent in each worker, none in its daemon; their lines are in pm2.log', async () => {
    const { http: port } = await freePorts(['http']);
    const pm2 = join(modules, 'pm2', 'bin', 'pm2');
    const files = {
      'app.js': `${SERVE.replace('setInterval(report, 300);', '')} server.listen(${port}, '127.0.0.1');`,
    };
    const folder = startChild({ files, args: ['-e', ''] });
    const run = (...args: string[]): ReturnType<typeof startChild> =>
      startChild({
        files: {},
        args: [pm2, ...args],
        cwd: folder.cwd,
        env: { PM2_HOME: join(folder.cwd, 'pm2'), NODE_OPTIONS: `--require ${AGENT}` },
      });
    try {
      expect((await run('start', 'app.js', '-i', '2').exited).code).toBe(0);
      const log = (): string => readFileSync(join(folder.cwd, 'pm2', 'pm2.log'), 'utf8');
      const watching = (): unknown[] => [...log().matchAll(/"pid":(\d+),[^\n]*"msg":"watching/g)];
      await until(() => (watching().length === 2 ? true : undefined), log);
      const pids = new Set([...log().matchAll(/"pid":(\d+),[^\n]*"msg":"watching/g)].map(([, pid]) => pid));
      expect(pids.size).toBe(2);
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('ok');
    } finally {
      expect((await run('kill').exited).code).toBe(0);
    }
  });
});
