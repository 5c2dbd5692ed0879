/** Applications that break what the agent depends on. Each must run as without the agent, and be watched if possible. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AGENT,
  endChildren,
  REGISTER,
  ROOT,
  startChild,
  until,
  onTrigger,
  type Child,
} from '../support/child.ts';
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

/** Closes a descriptor, and prints when a sample has been taken after it. */
const closing = (descriptor: string, then: string): string => `
  const fs = require('node:fs');
  fs.closeSync(${descriptor});
  ${then}
  server.on('listening', async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const agent = globalThis[Symbol.for('wsguard.agent')].start();
    for (let n = 0; n < 3; n += 1) await agent.status();
    console.log('result ' + JSON.stringify(result()));
  });`;

test('no line of the log reaches a file that the application opens under the number of stderr', async () => {
  const child = startChild({
    files: {
      'main.js': `${SERVER} ${closing('2', "const file = fs.openSync('data.txt', 'w'); const result = () => [file, fs.readFileSync('data.txt', 'utf8')];")}`,
    },
    nodeArgs: ['--require', AGENT],
    // A warning before the first sample.
    env: { WSGUARD_INTERVAL_MS: 'often' },
  });
  const [, result] = await child.stdoutMatch(/result (.*)/);
  expect(JSON.parse(result ?? '')).toEqual([2, '']);
});

// libuv ends the process when it closes descriptor 0 to 2, which a file of /proc gets that it opens to read the memory.
test.each(['0', '2'])('an application that closes descriptor %s lives', async (descriptor) => {
  const child = startChild({
    files: {
      'main.js': `${SERVER} ${closing(
        descriptor,
        `const result = () => { try { fs.writeSync(${descriptor}, 'x'); return 'written'; } catch ({ code }) { return code; } };`,
      )}`,
    },
    nodeArgs: ['--require', AGENT],
    // The black box reads the memory four times a second in the watcher thread.
    env: { WSGUARD_DIR: './own', WSGUARD_INTERVAL_MS: '1000' },
  });
  const [, result] = await child.stdoutMatch(/result (.*)/);
  // The application gets the same error without the agent.
  expect(result).toBe('"EBADF"');
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  expect(await answerOf(port)).toBe('ok');
  expect(child.process.exitCode).toBeNull();
});

test('start() works where the application has closed its global object to new properties', async () => {
  const main = `${SERVER} Object.preventExtensions(globalThis);
    const { start } = require(${JSON.stringify(AGENT)});
    const agent = start();
    console.log('same ' + (agent === start()));
    agent.status().then(({ connections }) => console.log('status ' + typeof connections.active));`;
  const child = startChild({ files: { 'main.js': main } });
  await child.stdoutMatch(/same true/);
  await child.stdoutMatch(/status number/);
  expect(child.logLines().filter(({ code }) => code === 'WSGUARD_FAULT')).toEqual([]);
});

/** Loads a module of the test's own copy of ws. */
const WS = JSON.stringify(join(ROOT, 'node_modules', 'ws'));
/** Prints the one line that the test compares. */
const REPORT = (text: string): string => `console.log('result ' + JSON.stringify(${text}))`;

/**
 * The application must print the same without and with the agent. `main` prints one `result`, and `blindSpot` must be in
 * `status().blind` where the agent can see less.
 */
interface Case {
  readonly what: string;
  readonly main: string;
  readonly blindSpot?: RegExp;
}
const CONNECTED = `
const { WebSocketServer, WebSocket } = require(${WS});
const wss = new WebSocketServer({ port: 0 }, () => new WebSocket('ws://127.0.0.1:' + wss.address().port));
process.on('warning', (warning) => console.log('warning ' + warning.name + ' ' + warning.message));
const connected = new Promise((resolve) => wss.on('connection', (ws) => setTimeout(resolve, 1500, ws)));`;

const CASES: readonly Case[] = [
  {
    what: 'freezes the prototype of its WebSocket',
    main: `${CONNECTED} Object.freeze(WebSocket.prototype);
      connected.then((ws) => { ws.send('x'); ws.ping(); ${REPORT('[ws.readyState, Object.isFrozen(WebSocket.prototype)]')}; });`,
    blindSpot: /its `send` or `ping` cannot be replaced/,
  },
  {
    what: 'takes send off its object',
    main: `${CONNECTED}
      connected.then(({ send }) => { try { send('x'); } catch (error) { ${REPORT('String(error)')}; } });`,
  },
  {
    what: 'has emitters without a prototype',
    main: `${CONNECTED}
      const { EventEmitter } = require('node:events');
      const bare = Object.create(null);
      EventEmitter.init.call(bare);
      const on = EventEmitter.prototype.on.bind(bare);
      connected.then(() => { for (let n = 0; n < 9; n += 1) on('x', () => n); ${REPORT('bare._events.x.length')}; });`,
  },
  {
    what: 'has ten listeners of each event that the agent watches',
    main: `${CONNECTED}
      const noop = () => {};
      const fill = (emitter, event) => { while (emitter.listenerCount(event) < 10) emitter.on(event, noop); };
      for (const event of ['exit', 'beforeExit', 'worker']) fill(process, event);
      connected.then((ws) => {
        for (const event of ['close', 'error', 'drain']) { fill(ws._socket, event); }
        for (const event of ['close', 'message']) fill(ws, event);
        fill(wss, 'connection');
        setTimeout(() => ${REPORT('[ws._socket.listenerCount("close"), process.listenerCount("exit")]')}, 500);
      });`,
  },
  {
    what: 'overrides what iterates and reads its collections',
    main: `${CONNECTED}
      const ran = [];
      class Ring extends Map {
        *[Symbol.iterator]() { for (;;) { ran.push('iterator'); yield* super.entries(); } }
        get size() { ran.push('size'); return super.size; }
        forEach() { ran.push('forEach'); }
        keys() { ran.push('keys'); return super.keys(); }
      }
      const [ring, model] = [new Ring(), {}];
      for (const name of ['db', 'length', 'size', 'constructor'])
        Object.defineProperty(model, name, { enumerable: true, get() { ran.push(name); return new Map(); } });
      wss.on('connection', (ws) => { ring.set(ring.entries, ws); ws.on('message', () => [ring, model]); });
      wss.on('connection', () => void model);
      connected.then(() => { new WebSocket('ws://127.0.0.1:' + wss.address().port); setTimeout(() => ${REPORT('ran')}, 1500); });`,
  },
  {
    what: 'overrides what its servers, WebSockets and event targets answer',
    main: `${CONNECTED}
      const ran = [];
      const overridden = (thing, name) => {
        const original = thing[name];
        thing[name] = function (...args) { ran.push(name); return original?.apply(this, args) ?? []; };
      };
      const server = require('node:net').createServer().listen(0);
      overridden(server, 'address');
      const target = new EventTarget();
      overridden(target, 'listeners');
      for (let n = 0; n < 12; n += 1) target.addEventListener('price', () => n);
      connected.then((ws) => {
        for (const name of ['listenerCount', 'listeners', 'rawListeners', 'eventNames']) overridden(ws, name);
        setTimeout(() => ${REPORT('ran')}, 5000);
      });`,
  },
  {
    // The agent pings no connection on its schedule whose pongs the application listens for: a ping of ws reads `readyState`.
    what: 'overrides the getters and methods of its WebSockets',
    main: `
      const { WebSocketServer, WebSocket } = require(${WS});
      const ran = [];
      class Client extends WebSocket {
        get readyState() { ran.push('readyState'); return super.readyState; }
        get bufferedAmount() { ran.push('bufferedAmount'); return super.bufferedAmount; }
        get isPaused() { ran.push('isPaused'); return super.isPaused; }
        on(...args) { ran.push('on ' + args[0]); return super.on(...args); }
        ping(...args) { ran.push('ping'); return super.ping(...args); }
      }
      const wss = new WebSocketServer({ port: 0, WebSocket: Client }, () => {
        const peer = new WebSocket('ws://127.0.0.1:' + wss.address().port);
        wss.on('connection', (ws) => {
          ws.on('pong', () => {});
          ran.length = 0;
          for (const name of ['isPaused', 'on']) ws._socket[name] = function (...args) { ran.push('socket ' + name); return Object.getPrototypeOf(ws._socket)[name].apply(this, args); };
          setTimeout(() => { ws.send('x'); peer.close(); }, 6000);
          ws._socket.once('close', () => setTimeout(() => ${REPORT('ran')}, 500));
        });
      });`,
  },
  {
    what: 'profiles its own allocations',
    main: `${CONNECTED}
      const { Session } = require('node:inspector');
      const session = new Session();
      session.connect();
      const post = (method, params) => new Promise((resolve) => session.post(method, params, (error, value) => resolve(error?.message ?? value)));
      connected.then(async () => {
        await post('HeapProfiler.startSampling', { samplingInterval: 1024 });
        globalThis.kept = Array.from({ length: 20000 }, (_, n) => ({ n }));
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const { profile } = await post('HeapProfiler.stopSampling');
        ${REPORT('profile.samples.length > 100')};
      });`,
  },
];

/** Waits for a line with this blind spot. The agent reports some of them only after it has seen a connection. */
const blindMatch = (child: Child, blindSpot = /\[/): Promise<unknown> =>
  child.stdoutMatch(new RegExp(`^blind .*(?:${blindSpot.source})`, 'm'));

describe.each(CASES)('an application that $what', ({ main, blindSpot }) => {
  const env = { WSGUARD_TIME_SCALE: '60', WSGUARD_INTERVAL_MS: '1000' };
  const resultOf = async (nodeArgs: readonly string[]) => {
    const status = `setInterval(async () => { const agent = globalThis[Symbol.for('wsguard.agent')];
      console.log('blind ' + JSON.stringify(agent ? (await agent.start().status()).blind : [])); }, 4000);`;
    const child = startChild({ files: { 'main.js': `${main}\n${status}` }, nodeArgs, env });
    const [, result] = await child.stdoutMatch(/result (.*)/);
    await blindMatch(child, nodeArgs.length > 0 ? blindSpot : undefined);
    const warnings = child
      .stdout()
      .split('\n')
      .filter((line) => line.startsWith('warning'));
    expect(child.process.exitCode).toBeNull();
    return {
      result,
      warnings,
      faults: child.logLines().filter(({ code }) => code === 'WSGUARD_FAULT'),
    };
  };

  test('runs as without the agent', async () => {
    const [bare, guarded] = await Promise.all([resultOf([]), resultOf(['--require', AGENT])]);
    expect(guarded).toEqual(bare);
  });
});

test.each([
  ['node:inspector', /collections that the application does not register/],
  ['/proc', /open descriptors|TCP retransmits/],
])('without %s the agent says what it cannot see', async (missing, blindSpot) => {
  // A preload before the agent's removes it, like a Node without inspector and a container that hides /proc.
  const hide =
    missing === '/proc'
      ? `const fs = require('node:fs');
        const isHidden = (path) => String(path).startsWith('/proc');
        for (const name of ['statSync', 'readdir', 'readFileSync', 'openSync', 'readdirSync', 'existsSync', 'readlinkSync', 'lstatSync']) {
          const original = fs[name];
          fs[name] = function (path, ...rest) {
            if (!isHidden(path)) return original.call(this, path, ...rest);
            if (name === 'existsSync') return false;
            if (name === 'statSync' && rest[0]?.throwIfNoEntry === false) return undefined;
            const error = Object.assign(new Error('ENOENT: no such file, ' + path), { code: 'ENOENT' });
            const callback = rest.at(-1);
            if (typeof callback === 'function') return process.nextTick(callback, error);
            throw error;
          };
        }
        // libuv reads the RSS from /proc.
        process.memoryUsage = () => { throw Object.assign(new Error('ENOENT: uv_resident_set_memory'), { code: 'ENOENT' }); };
        process.memoryUsage.rss = process.memoryUsage;`
      : `const Module = require('node:module');
        const load = Module._load;
        Module._load = function (name, ...rest) {
          if (/^(node:)?inspector/.test(name)) throw Object.assign(new Error('no inspector'), { code: 'ERR_INSPECTOR_NOT_AVAILABLE' });
          return load.call(this, name, ...rest);
        };`;
  const main = `${CONNECTED}
    connected.then(() => new WebSocket('ws://127.0.0.1:' + wss.address().port));
    setInterval(async () => {
      console.log('blind ' + JSON.stringify((await globalThis[Symbol.for('wsguard.agent')].start().status()).blind));
    }, 4000);
    setTimeout(async () => {
      const { snapshot } = globalThis[Symbol.for('wsguard.agent')].start();
      console.log('snapshot ' + JSON.stringify(await snapshot('by hand')));
    }, 3000);`;
  const child = startChild({
    files: { 'main.js': main, 'hide.js': hide },
    nodeArgs: ['--require', './hide.js', '--require', AGENT],
    env: { WSGUARD_TIME_SCALE: '60', WSGUARD_INTERVAL_MS: '500' },
  });
  await blindMatch(child, blindSpot);
  const [, snapshot] = await child.stdoutMatch(/snapshot (.*)/);
  expect(JSON.parse(snapshot ?? '')).toMatchObject({ outcome: 'written' });
  const startLine = child.logLines().find(({ msg }) => String(msg).startsWith('watching'));
  if (missing === '/proc')
    expect(startLine?.msg).toContain(
      'heap snapshots in the process, because a forked capture needs /proc, which cannot be read',
    );
  expect(child.logLines().filter(({ code }) => code === 'WSGUARD_FAULT')).toEqual([]);
});

test.each([
  ['--require', AGENT],
  ['--import', REGISTER],
])('%s: without a module that the agent needs, the application runs', async (flag, entry) => {
  const hide = `const Module = require('node:module');
    const load = Module._load;
    Module._load = function (name, ...rest) {
      if (/async_hooks/.test(name)) throw new Error('no async_hooks');
      return load.call(this, name, ...rest);
    };`;
  const child = startChild({
    files: { 'main.js': SERVER, 'hide.js': hide },
    nodeArgs: ['--require', './hide.js', flag, entry],
  });
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  expect(await answerOf(port)).toBe('ok');
  expect((await child.logLine(/could not be loaded/)).code).toBe('WSGUARD_FAULT');
});

test('start() in an AsyncLocalStorage does not keep the store of its caller', async () => {
  const main = `
    const { AsyncLocalStorage } = require('node:async_hooks');
    const storage = new AsyncLocalStorage();
    globalThis.registry = new FinalizationRegistry(() => console.log('freed'));
    (() => {
      const store = { request: Buffer.alloc(1000) };
      registry.register(store, null);
      setTimeout(() => storage.run(store, () => require(${JSON.stringify(AGENT)}).start()), 10);
    })();
    setInterval(() => global.gc(), 200);`;
  const child = startChild({ files: { 'main.js': main }, nodeArgs: ['--expose-gc'] });
  await child.logLine(WATCHING);
  await child.stdoutMatch(/freed/);
});

test('a variable that the application reads and deletes from process.env is not kept in memory', async () => {
  // From Node 24 on, V8 joins two literals when it compiles, and the result is in the heap.
  const main = `${SERVER}
    delete process.env.DB_PASSWORD;
    setTimeout(() => {
      const file = require('node:path').join(__dirname, 'x.heapsnapshot');
      require('node:v8').writeHeapSnapshot(file);
      console.log('found ' + require('node:fs').readFileSync(file, 'utf8').includes(['hunter2', 'correcthorse'].join('-')));
    }, 1500);`;
  const child = startChild({
    files: { 'main.js': main },
    nodeArgs: ['--require', AGENT],
    env: { DB_PASSWORD: 'hunter2-correcthorse' },
  });
  const [, found] = await child.stdoutMatch(/found (.*)/);
  expect(found).toBe('false');
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

test('a watcher that cannot be restarted is a line in the log and no error in the application', async () => {
  const breaks = `
    const workers = require('node:worker_threads');
    process.once('worker', (worker) => {
      workers.Worker = class { constructor() { throw new Error('no more threads'); } };
      worker.terminate();
    });`;
  const child = startChild({ files: { 'main.js': breaks + SERVER }, nodeArgs: ['--require', AGENT] });
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  await until(
    () => child.logLines().find(({ code }) => code === 'WSGUARD_WATCHER_GAVE_UP'),
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

test('an application that clears require.cache with each request does not make the agent load its files again', async () => {
  const main = `
    const http = require('node:http');
    const { Module } = require('node:module');
    const load = Module._extensions['.js'];
    const loaded = [];
    Module._extensions['.js'] = (module, file) => {
      if (file.startsWith(${JSON.stringify(ROOT)})) loaded.push(file);
      return load(module, file);
    };
    const server = http.createServer((request, response) => {
      for (const file of Object.keys(require.cache)) delete require.cache[file];
      response.end('ok');
    });
    server.listen(0, '127.0.0.1');
    const request = () => new Promise((resolve) => {
      const { port } = server.address();
      http.get({ port, agent: false }, (response) => response.resume().on('close', resolve));
    });
    async function requests() {
      for (let n = 0; n < 20; n += 1) {
        await request();
        // Files that are loaded with their first use are loaded by now.
        if (n === 5) loaded.length = 0;
      }
      console.log('loaded again: ' + JSON.stringify(loaded));
    }
    ${onTrigger('requests', 'requests();')}`;
  const child = startChild({ files: { 'main.js': main }, nodeArgs: ['--require', AGENT] });
  await child.logLine(WATCHING);
  child.trigger('requests');
  await child.stdoutMatch(/loaded again/);
  expect(child.stdout()).toContain('loaded again: []');
});

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
