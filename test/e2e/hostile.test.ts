/** Applications that break what the agent leans on: each is served as without it, and watched as far as that goes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT, endAll, ROOT, startChild, until, whenTold } from '../support/child.ts';
import { describeWith, startComponent } from '../support/components.ts';

afterEach(endAll);

/** Only `net`: more of Node than that does not stand what is done here. */
const SERVER = `
const net = require('node:net');
const server = net.createServer((socket) => socket.end('ok'));
server.listen(0, '127.0.0.1', () => console.log('listening ' + address().port));
const address = server.address.bind(server);
`;
const WATCHING = /^watching /;

async function answerOf(port: string | undefined): Promise<string> {
  const { connect } = await import('node:net');
  return new Promise((resolve, reject) => {
    let text = '';
    connect(Number(port), '127.0.0.1')
      .on('data', (chunk: Buffer) => (text += chunk))
      .on('end', () => resolve(text))
      .on('error', reject);
  });
}

test.each([
  [
    'takes its working directory away',
    `const fs = require('node:fs'); fs.rmSync(process.cwd(), { recursive: true });`,
  ],
  ['empties process.env', 'server.on("listening", () => { process.env = null; });'],
  ['deletes process.env', 'server.on("listening", () => { delete process.env; });'],
  ['has no arguments', 'process.argv = undefined;'],
  ['hides its handles', `process._getActiveHandles = () => { throw new Error('none'); };`],
  ['refuses an address', `server.address = () => { throw new Error('none'); };`],
  [
    'has no Worker',
    `require('node:worker_threads').Worker = class { constructor() { throw new Error('none'); } };`,
  ],
  ['takes all listeners away', 'process.removeAllListeners();'],
  [
    'replaces time',
    'for (const name of ["setTimeout", "setInterval"]) globalThis[name] = () => 1; Date.now = () => NaN;',
  ],
  [
    'pollutes Object',
    'Object.prototype.kind = "x"; Object.prototype.secret = true; Object.prototype.env = {};',
  ],
])('an application that %s', async (_, breaks) => {
  const child = startChild({ files: { 'main.js': SERVER + breaks }, nodeArgs: ['--require', AGENT] });
  const [, port] = await child.printed(/listening (\d+)/);
  await child.said(WATCHING);
  expect(await answerOf(port)).toBe('ok');
  expect(child.process.exitCode).toBeNull();
});

// Node 24 looks into `process.env` at each word of a Worker; whoever says one must not end the application with it.
for (const name of ['node24', 'node26'] as const) {
  describeWith([name], `an application on ${name}`, () => {
    test('that takes process.env away', async () => {
      const { path } = await startComponent(name);
      const child = startChild({
        files: { 'main.js': `${SERVER} server.on('listening', () => { process.env = null; });` },
        command: path,
        args: ['--require', AGENT, 'main.js'],
      });
      const [, port] = await child.printed(/listening (\d+)/);
      await child.said(WATCHING);
      expect(await answerOf(port)).toBe('ok');
      expect(child.process.exitCode).toBeNull();
    });
  });
}

test('an agent that cannot begin says so, and start() is answered', async () => {
  const main = `${SERVER}
    globalThis.SharedArrayBuffer = undefined;
    const agent = require(${JSON.stringify(AGENT)}).start();
    agent.snapshot('x').then(({ outcome, reason }) => console.log(outcome + ': ' + reason));`;
  const child = startChild({ files: { 'main.js': main } });
  const [, port] = await child.printed(/listening (\d+)/);
  await child.printed(/refused: the agent could not start; the log has the error/);
  expect(child.lines().map(({ code }) => code)).toEqual(['WSGUARD_FAULT']);
  expect(await answerOf(port)).toBe('ok');
});

test('a watcher that cannot be started again is given up without a word into the application', async () => {
  const breaks = `
    const workers = require('node:worker_threads');
    process.once('worker', (worker) => {
      workers.Worker = class { constructor() { throw new Error('no more threads'); } };
      worker.terminate();
    });`;
  const child = startChild({ files: { 'main.js': breaks + SERVER }, nodeArgs: ['--require', AGENT] });
  const [, port] = await child.printed(/listening (\d+)/);
  await until(
    () => child.lines().find(({ code }) => code === 'WSGUARD_FAULT'),
    () => child.stderr(),
  );
  expect(await answerOf(port)).toBe('ok');
});

test('a directory that can never be made is said, and the process ends when it wants to', async () => {
  const child = startChild({
    files: { 'main.js': SERVER + whenTold('close', 'server.close();') },
    nodeArgs: ['--require', AGENT],
    env: { WSGUARD_DIR: '/proc/nowhere' },
  });
  await child.said(WATCHING);
  child.tell('close');
  expect(await child.exited).toEqual({ code: 0, signal: null });
});

test('an end while a snapshot is redacted leaves nothing behind that is not', async () => {
  const main = `
    globalThis.much = Array.from({ length: 100000 }, (_, i) => ({ i, text: 'text ' + i }));
    const { existsSync, readdirSync } = require('node:fs');
    const agent = require(${JSON.stringify(AGENT)}).start();
    agent.snapshot('x').then(({ outcome }) => console.log('done too early: ' + outcome));
    const raw = /x\\.heapsnapshot\\.\\d+\\.tmp$/;
    setInterval(() => {
      const names = existsSync('.wsguard/snapshots') ? readdirSync('.wsguard/snapshots') : [];
      if (names.some((name) => raw.test(name))) process.exit(0);
    }, 1);`;
  const child = startChild({ files: { 'main.js': main }, env: { WSGUARD_PAUSE_BUDGET_MS: '60000' } });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(child.stdout()).toBe('');
  const names = readdirSync(join(child.cwd, '.wsguard', 'snapshots'));
  expect(names.filter((name) => /x\.heapsnapshot\.\d+\.tmp$/.test(name))).toEqual([]);
});

test.each([
  // It may be done before it looks.
  ['died', 1, [0, 3], []],
  ['lives', process.pid, [0], ['raw', 'redacted']],
])('a redaction whose owner %s', (_, owner, statuses, left) => {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-redaction-'));
  const [from, to] = [join(dir, 'raw'), join(dir, 'redacted')];
  // Not of this process, whose heap is as large as the tests before left it.
  spawnSync(process.execPath, ['-e', 'require("node:v8").writeHeapSnapshot(process.argv[1])', from]);
  const worker = join(ROOT, 'dist', 'capture', 'redaction-process.js');
  const { status } = spawnSync(process.execPath, [worker], { input: JSON.stringify({ from, to, owner }) });
  expect(statuses).toContain(status);
  expect(readdirSync(dir).toSorted()).toEqual(left);
  rmSync(dir, { recursive: true });
});

/** The page counts the five clients that the server keeps in a map which nobody registered. */
async function allClientsAreFound(child: ReturnType<typeof startChild>): Promise<void> {
  const { exports } = (await child.said(WATCHING)) as unknown as { exports: string[] };
  const url = exports.flatMap((said) => /prometheus (\S+)/.exec(said)?.[1] ?? [])[0] ?? '';
  await until(
    async () => (/registry="clients"\} 5/.test(await (await fetch(url)).text()) ? true : undefined),
    () => child.stderr(),
  );
}

test('registries are found without running code of the application: a Proxy is passed by', async () => {
  const main = `
    const { WebSocketServer, WebSocket } = require(${JSON.stringify(join(ROOT, 'node_modules', 'ws'))});
    const trap = () => { console.log('a trap was run'); throw new Error('trap'); };
    const proxy = new Proxy({}, { get: trap, has: trap, ownKeys: trap, getOwnPropertyDescriptor: trap });
    const clients = new Map();
    const proxies = [proxy, proxy, proxy, proxy];
    const holders = new Set([1, 2, 3, 4].map(() => ({ proxy })));
    const wss = new WebSocketServer({ port: 0 }, () => {
      for (let n = 0; n < 5; n += 1) new WebSocket('ws://127.0.0.1:' + wss.address().port).on('open', function () { this.send('x'); });
    });
    wss.on('connection', (socket) => {
      clients.set(clients.size, socket);
      socket.on('message', () => void [proxies.length, holders.size, clients.size, typeof proxy]);
    });`;
  const child = startChild({
    files: { 'main.js': main },
    nodeArgs: ['--require', AGENT],
    env: { WSGUARD_TIME_SCALE: '60', WSGUARD_PROMETHEUS_PORT: '0' },
  });
  await allClientsAreFound(child);
  expect(child.stdout()).toBe('');
  expect(child.lines().filter(({ code }) => code === 'WSGUARD_FAULT')).toEqual([]);
});

test('large things that a handler closes over hold nobody up: Buffers, objects used as maps', async () => {
  const main = `
    const { WebSocketServer, WebSocket } = require(${JSON.stringify(join(ROOT, 'node_modules', 'ws'))});
    const [clients, table, frame] = [new Map(), {}, Buffer.alloc(30000000)];
    for (let n = 0; n < 100000; n += 1) table['user ' + n] = n;
    const wss = new WebSocketServer({ port: 0 }, () => {
      for (let n = 0; n < 5; n += 1) new WebSocket('ws://127.0.0.1:' + wss.address().port).on('open', function () { this.send('x'); });
    });
    wss.on('connection', (socket) => {
      clients.set(clients.size, socket);
      socket.on('message', () => void [frame.length, table.x]);
    });`;
  const child = startChild({
    files: { 'main.js': main },
    nodeArgs: ['--max-old-space-size=150', '--require', AGENT],
    env: { WSGUARD_TIME_SCALE: '60', WSGUARD_PROMETHEUS_PORT: '0' },
  });
  await allClientsAreFound(child);
  expect(child.process.exitCode).toBeNull();
  expect(child.lines().filter(({ code }) => code === 'WSGUARD_FAULT')).toEqual([]);
});

test('an address space in which a Worker would end the process: it is watched without one', async () => {
  const child = startChild({
    files: { 'main.js': SERVER },
    command: 'sh',
    args: ['-c', 'ulimit -v 1400000 && exec "$0" --require "$1" main.js', process.execPath, AGENT],
  });
  const [, port] = await child.printed(/listening (\d+)/);
  expect(JSON.stringify((await child.said(WATCHING))['cannotSee'])).toContain('ulimit -v');
  expect(await answerOf(port)).toBe('ok');
});
