/** Applications that break what the agent depends on. Each must run as without the agent, and be watched if possible. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT, endChildren, ROOT, startChild, until, onTrigger } from '../support/child.ts';
import { describeWith, startComponent } from '../support/components.ts';

afterEach(endChildren);

/** Uses `net` only, because other modules of Node fail under what these tests break. */
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
    'deletes its working directory',
    `const fs = require('node:fs'); fs.rmSync(process.cwd(), { recursive: true });`,
  ],
  ['sets process.env to null', 'server.on("listening", () => { process.env = null; });'],
  ['deletes process.env', 'server.on("listening", () => { delete process.env; });'],
  ['has no arguments', 'process.argv = undefined;'],
  ['breaks process._getActiveHandles', `process._getActiveHandles = () => { throw new Error('none'); };`],
  ['breaks server.address()', `server.address = () => { throw new Error('none'); };`],
  [
    'has no Worker',
    `require('node:worker_threads').Worker = class { constructor() { throw new Error('none'); } };`,
  ],
  ['removes all listeners of process', 'process.removeAllListeners();'],
  [
    'replaces timers and Date.now',
    'for (const name of ["setTimeout", "setInterval"]) globalThis[name] = () => 1; Date.now = () => NaN;',
  ],
  [
    'pollutes Object.prototype',
    'Object.prototype.kind = "x"; Object.prototype.secret = true; Object.prototype.env = {};',
  ],
])('an application that %s', async (_, breaks) => {
  const child = startChild({ files: { 'main.js': SERVER + breaks }, nodeArgs: ['--require', AGENT] });
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  await child.logLine(WATCHING);
  expect(await answerOf(port)).toBe('ok');
  expect(child.process.exitCode).toBeNull();
});

// From Node 24 on, each message through a Worker's own port reads `process.env` of the main thread.
for (const name of ['node24', 'node26'] as const) {
  describeWith([name], `an application on ${name}`, () => {
    test('that sets process.env to null', async () => {
      const { path } = await startComponent(name);
      const child = startChild({
        files: { 'main.js': `${SERVER} server.on('listening', () => { process.env = null; });` },
        command: path,
        args: ['--require', AGENT, 'main.js'],
      });
      const [, port] = await child.stdoutMatch(/listening (\d+)/);
      await child.logLine(WATCHING);
      expect(await answerOf(port)).toBe('ok');
      expect(child.process.exitCode).toBeNull();
    });
  });
}

test('an agent that cannot start logs that, and start() returns an inactive agent', async () => {
  const main = `${SERVER}
    globalThis.SharedArrayBuffer = undefined;
    const agent = require(${JSON.stringify(AGENT)}).start();
    agent.snapshot('x').then(({ outcome, reason }) => console.log(outcome + ': ' + reason));`;
  const child = startChild({ files: { 'main.js': main } });
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  await child.stdoutMatch(/refused: the agent could not start; the log has the error/);
  expect(child.logLines().map(({ code }) => code)).toEqual(['WSGUARD_FAULT']);
  expect(await answerOf(port)).toBe('ok');
});

test('a watcher that cannot be restarted is a fault in the log and no error in the application', async () => {
  const breaks = `
    const workers = require('node:worker_threads');
    process.once('worker', (worker) => {
      workers.Worker = class { constructor() { throw new Error('no more threads'); } };
      worker.terminate();
    });`;
  const child = startChild({ files: { 'main.js': breaks + SERVER }, nodeArgs: ['--require', AGENT] });
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  await until(
    () => child.logLines().find(({ code }) => code === 'WSGUARD_FAULT'),
    () => child.stderr(),
  );
  expect(await answerOf(port)).toBe('ok');
});

test('a directory that can never be created does not keep the process alive', async () => {
  const child = startChild({
    files: { 'main.js': SERVER + onTrigger('close', 'server.close();') },
    nodeArgs: ['--require', AGENT],
    env: { WSGUARD_DIR: '/proc/nowhere' },
  });
  await child.logLine(WATCHING);
  child.trigger('close');
  expect(await child.exited).toEqual({ code: 0, signal: null });
});

test('a settings file that is a FIFO is reported and does not block the start', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-fifo-'));
  const fifo = join(dir, 'settings.json');
  expect(spawnSync('mkfifo', [fifo]).status).toBe(0);
  const child = startChild({
    files: { 'main.js': SERVER },
    nodeArgs: ['--require', AGENT],
    env: { WSGUARD_CONFIG: fifo },
  });
  await child.logLine(WATCHING);
  expect(child.logLines().find(({ code }) => code === 'WSGUARD_SETTING')).toMatchObject({
    setting: 'WSGUARD_CONFIG',
    expected: expect.stringContaining('not a regular file') as string,
  });
  rmSync(dir, { recursive: true });
});

test('an exit during redaction leaves no unredacted snapshot', async () => {
  const main = `
    globalThis.much = Array.from({ length: 100000 }, (_, i) => ({ i, text: 'text ' + i }));
    const { existsSync, readdirSync } = require('node:fs');
    const agent = require(${JSON.stringify(AGENT)}).start();
    agent.snapshot('x').then(({ outcome }) => console.log('too early: ' + outcome));
    const raw = '.wsguard/snapshots/.raw';
    setInterval(() => {
      if (existsSync(raw) && readdirSync(raw).length > 0) process.exit(0);
    }, 1);`;
  const env = { WSGUARD_PAUSE_BUDGET_MS: '60000', WSGUARD_SNAPSHOT: 'inprocess' };
  const child = startChild({ files: { 'main.js': main }, env });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  expect(child.stdout()).toBe('');
  expect(readdirSync(join(child.cwd, '.wsguard', 'snapshots', '.raw'))).toEqual([]);
});

test.each([
  // The redaction can finish before it checks its owner.
  ['died', 1, [0, 3], []],
  ['runs', process.pid, [0], ['raw', 'redacted']],
])('a redaction whose owner %s', (_, owner, statuses, remaining) => {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-redaction-'));
  const [from, to] = [join(dir, 'raw'), join(dir, 'redacted')];
  // A fresh process has a small heap; the heap of this one holds all the tests.
  spawnSync(process.execPath, ['-e', 'require("node:v8").writeHeapSnapshot(process.argv[1])', from]);
  const worker = join(ROOT, 'dist', 'capture', 'redaction-process.js');
  const { status } = spawnSync(process.execPath, [worker], {
    input: JSON.stringify({ from, to, redact: true, gzip: false, owner }),
  });
  expect(statuses).toContain(status);
  expect(readdirSync(dir).toSorted()).toEqual(remaining);
  rmSync(dir, { recursive: true });
});

/** Waits until /metrics counts the five clients in a Map that the application did not register. */
async function untilMapIsDiscovered(child: ReturnType<typeof startChild>): Promise<void> {
  const { exports } = (await child.logLine(WATCHING)) as unknown as { exports: string[] };
  const url = exports.flatMap((name) => /prometheus (\S+)/.exec(name)?.[1] ?? [])[0] ?? '';
  await until(
    async () => (/registry="clients"\} 5/.test(await (await fetch(url)).text()) ? true : undefined),
    () => child.stderr(),
  );
}

test('the discovery of collections runs no code of the application, such as traps of a Proxy', async () => {
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
  await untilMapIsDiscovered(child);
  expect(child.stdout()).toBe('');
  expect(child.logLines().filter(({ code }) => code === 'WSGUARD_FAULT')).toEqual([]);
});

test('a large Buffer or object in the scope of a handler does not block the discovery', async () => {
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
  await untilMapIsDiscovered(child);
  expect(child.process.exitCode).toBeNull();
  expect(child.logLines().filter(({ code }) => code === 'WSGUARD_FAULT')).toEqual([]);
});

test('an address space limit that leaves no room for a Worker: the watcher runs without a thread', async () => {
  const child = startChild({
    files: { 'main.js': SERVER },
    command: 'sh',
    args: ['-c', 'ulimit -v 1400000 && exec "$0" --require "$1" main.js', process.execPath, AGENT],
  });
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  expect(JSON.stringify((await child.logLine(WATCHING))['cannotSee'])).toContain('ulimit -v');
  expect(await answerOf(port)).toBe('ok');
});
