/** The manners of the preload, in real processes over the built package. */
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT, endAll, REGISTER, ROOT, startChild, whenTold } from '../support/child.ts';

afterEach(endAll);

/** Serves, says so, and ends when it is told to by its input of time: never by itself. */
const SERVER = `
const http = require('node:http');
const server = http.createServer((request, response) => response.end('ok'));
server.listen(0, () => console.log('listening ' + server.address().port));
`;
const PRELOAD = ['--require', AGENT];
const WATCHING = /^watching /;
const settings = (...flags: string[]) => ({ nodeArgs: flags });

describe('a process that never serves', () => {
  test('is left alone: no word, no file, no thread, nothing loaded but a handful of our own files', async () => {
    const child = startChild({
      files: {
        'main.js': `
          setTimeout(() => console.log(JSON.stringify({
            loaded: Object.keys(require.cache).filter((file) => file.includes('node_modules')),
            ours: Object.keys(require.cache).filter((file) => file.includes('/dist/')).length,
            resources: process.getActiveResourcesInfo(),
          })), 200);`,
      },
      ...settings(...PRELOAD),
    });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    const { loaded, ours, resources } = JSON.parse(child.stdout()) as {
      loaded: string[];
      ours: number;
      resources: string[];
    };
    expect(loaded).toEqual([]);
    expect(ours).toBeLessThan(12);
    // The one timer is its own.
    expect(resources.filter((name) => !/Pipe|TTY/.test(name))).toEqual(['Timeout']);
    expect(child.stderr()).toBe('');
    expect(existsSync(join(child.cwd, '.wsguard'))).toBe(false);
  });

  test.each([0, 3])('keeps its exit code %i', async (code) => {
    const child = startChild({
      files: { 'main.js': `process.exitCode = ${code};` },
      ...settings(...PRELOAD),
    });
    expect(await child.exited).toEqual({ code, signal: null });
  });
});

describe('a process that serves', () => {
  test('is watched: one line says what, how and where', async () => {
    const child = startChild({ files: { 'main.js': SERVER }, ...settings(...PRELOAD) });
    const line = await child.said(WATCHING);
    expect(line).toMatchObject({
      service: 'test',
      writesTo: join(child.cwd, '.wsguard'),
      exports: [],
      pings: true,
    });
    expect(line['servers']).toEqual([expect.stringMatching(/http/)]);
    expect(Array.isArray(line['cannotSee'])).toBe(true);
    expect(line['timeScale']).toBeUndefined();
    expect(existsSync(join(child.cwd, '.wsguard'))).toBe(false);
  });

  test('has no package of ours on its thread', async () => {
    const report = `setInterval(() => console.log('packages ' + JSON.stringify(
      Object.keys(require.cache).filter((file) => file.includes('node_modules')))), 100);`;
    const child = startChild({ files: { 'main.js': SERVER + report }, ...settings(...PRELOAD) });
    await child.said(WATCHING);
    const before = child.stdout().length;
    const [, packages] = await child.printed(new RegExp(`[^]{${before}}[^]*packages (\\[.*\\])`));
    expect(JSON.parse(packages ?? '')).toEqual([]);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('still dies of %s at once', async (signal) => {
    const child = startChild({ files: { 'main.js': SERVER }, ...settings(...PRELOAD) });
    await child.said(WATCHING);
    child.process.kill(signal);
    expect(await child.exited).toEqual({ code: null, signal });
  });

  test('ends by itself once its server is closed', async () => {
    const ends = SERVER + whenTold('close', 'server.close();');
    const child = startChild({ files: { 'main.js': ends }, ...settings(...PRELOAD) });
    await child.said(WATCHING);
    child.tell('close');
    expect(await child.exited).toEqual({ code: 0, signal: null });
  });

  test('keeps the exit code and the message of its own crash', async () => {
    const crash = SERVER + whenTold('crash', "throw new Error('the fault of the application');");
    const child = startChild({ files: { 'main.js': crash }, ...settings(...PRELOAD) });
    await child.said(WATCHING);
    child.tell('crash');
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.stderr()).toContain('Error: the fault of the application');
  });

  test('may have emptied its environment', async () => {
    const child = startChild({
      files: { 'main.js': `process.env = {}; ${SERVER}` },
      ...settings(...PRELOAD),
    });
    expect((await child.said(WATCHING))['service']).toBe('test');
    expect(child.process.exitCode).toBeNull();
  });

  test('may have replaced the methods of EventEmitter', async () => {
    const patch = `
      const { EventEmitter } = require('node:events');
      for (const name of ['on', 'emit', 'removeListener', 'setMaxListeners']) {
        const original = EventEmitter.prototype[name];
        EventEmitter.prototype[name] = function (...args) { return original.apply(this, args); };
      }`;
    const child = startChild({ files: { 'main.js': patch + SERVER }, ...settings(...PRELOAD) });
    await child.said(WATCHING);
    expect(child.lines().filter(({ level }) => level >= 50)).toEqual([]);
  });
});

describe('the ways in', () => {
  const one = async (child: ReturnType<typeof startChild>) => {
    await child.said(WATCHING);
    expect(child.lines().filter(({ msg }) => WATCHING.test(msg))).toHaveLength(1);
  };

  test('--import', () =>
    one(startChild({ files: { 'main.js': SERVER }, ...settings('--import', REGISTER) })));
  test('NODE_OPTIONS', () =>
    one(startChild({ files: { 'main.js': SERVER }, env: { NODE_OPTIONS: `--require ${AGENT}` } })));
  test('both, and twice', () =>
    one(
      startChild({ files: { 'main.js': SERVER }, ...settings(...PRELOAD, ...PRELOAD, '--import', REGISTER) }),
    ));
  test('an empty environment', () =>
    one(startChild({ files: { 'main.js': SERVER }, bare: true, ...settings(...PRELOAD) })));
  test('a directory that cannot be written', () =>
    one(startChild({ files: { 'main.js': SERVER }, cwd: '/proc', ...settings(...PRELOAD) })));

  test('a second copy of the package', async () => {
    const copy = mkdtempSync(join(tmpdir(), 'wsguard-copy-'));
    cpSync(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(copy, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    const second = join(copy, 'dist', 'index.js');
    const app = `${SERVER} require(${JSON.stringify(second)}).start();`;
    await one(startChild({ files: { 'main.js': app }, ...settings(...PRELOAD, '--require', second) }));
    rmSync(copy, { recursive: true });
  });

  test('an ES module imports by name, preloaded or not', async () => {
    const main = `
      import { createServer } from 'node:http';
      import { start, MemoryMonitor, HeapAnalyzer } from ${JSON.stringify(AGENT)};
      console.log([start, MemoryMonitor, HeapAnalyzer].map((it) => typeof it).join());
      console.log(start() === start());
      createServer().listen(0);`;
    for (const flags of [[], PRELOAD]) {
      const child = startChild({ files: { 'main.mjs': main }, ...settings(...flags) });
      await one(child);
      expect(child.stdout()).toBe('function,function,function\ntrue\n');
    }
  });

  test('WSGUARD_ENABLED=false is obeyed before anything else, by start() too', async () => {
    const main = `${SERVER}
      const agent = require(${JSON.stringify(AGENT)}).start({ service: 'x' });
      agent.status().then((status) => console.log('watcher ' + status.watcher));
      agent.snapshot('x').then((snapshot) => console.log('snapshot ' + snapshot.outcome));
      setTimeout(() => server.close(), 300);`;
    const child = startChild({
      files: { 'main.js': main },
      env: { WSGUARD_ENABLED: 'false' },
      ...settings(...PRELOAD),
    });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(child.stderr()).toBe('');
    expect(child.stdout()).toMatch(/watcher none/);
    expect(child.stdout()).toMatch(/snapshot refused/);
  });
});

describe('beside others', () => {
  const NOTE = `require('node:fs').appendFileSync(process.env.NOTES, require('node:worker_threads').threadId + '\\n');`;
  const notesOf = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\n');

  test('another preload runs once, and not in our watcher', async () => {
    const notes = join(mkdtempSync(join(tmpdir(), 'wsguard-notes-')), 'notes');
    const other = join(tmpdir(), `wsguard-other-${process.pid}.js`);
    const child = startChild({
      files: { 'main.js': SERVER, 'other.js': NOTE },
      env: { NOTES: notes, NODE_OPTIONS: `--require ./other.js --require ${AGENT}` },
    });
    await child.said(WATCHING);
    expect(notesOf(notes)).toEqual(['0']);
    rmSync(other, { force: true });
  });

  test('coverage is taken of the application, not of our watcher', async () => {
    const coverage = mkdtempSync(join(tmpdir(), 'wsguard-coverage-'));
    const child = startChild({
      files: { 'main.js': SERVER + whenTold('close', 'server.close();') },
      env: { NODE_V8_COVERAGE: coverage },
      ...settings(...PRELOAD),
    });
    await child.said(WATCHING);
    child.tell('close');
    await child.exited;
    expect(readdirSync(coverage)).toHaveLength(1);
    rmSync(coverage, { recursive: true });
  });

  test("a Worker of the application's runs as it did", async () => {
    const main = `${SERVER}
      const { Worker } = require('node:worker_threads');
      const worker = new Worker('require("node:worker_threads").parentPort.postMessage("hello")', { eval: true, env: {} });
      worker.on('message', (text) => console.log('worker says ' + text));
      worker.on('exit', (code) => { console.log('worker ended ' + code); server.close(); });`;
    const child = startChild({ files: { 'main.js': main }, env: { NODE_OPTIONS: `--require ${AGENT}` } });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(child.stdout()).toMatch(/worker says hello\nworker ended 0/);
    expect(child.lines().filter(({ level }) => level >= 50)).toEqual([]);
  });

  test('a cluster of four gives four instances, and none for the primary that only hands on', async () => {
    const main = `
      const cluster = require('node:cluster');
      if (cluster.isPrimary) for (let n = 0; n < 4; n += 1) cluster.fork();
      else { ${SERVER} }`;
    const child = startChild({ files: { 'main.js': main }, ...settings(...PRELOAD) });
    const lines = () => child.lines().filter(({ msg }) => WATCHING.test(msg));
    const { until } = await import('../support/child.ts');
    await until(
      () => (lines().length >= 4 ? true : undefined),
      () => child.stderr(),
    );
    expect(new Set(lines().map(({ instance }) => instance)).size).toBe(4);
    expect(lines().map(({ pid }) => pid)).not.toContain(child.process.pid);
    expect(lines()).toHaveLength(4);
  });

  test('npm and tsx wake no agent of their own', async () => {
    const child = startChild({
      files: {
        'main.ts': `${SERVER.replace("const http = require('node:http')", "import http from 'node:http'")}
          const port: number | undefined = undefined; void port;`,
        'package.json': '{"name":"wrapped","scripts":{"start":"tsx main.ts"}}',
      },
      command: 'npm',
      args: ['start'],
      env: {
        NODE_OPTIONS: `--require ${AGENT}`,
        PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}`,
      },
    });
    await child.said(WATCHING);
    expect(child.lines().filter(({ msg }) => WATCHING.test(msg))).toHaveLength(1);
    expect(child.lines()[0]?.pid).not.toBe(child.process.pid);
  });

  const permission = ['--permission', '--experimental-permission'].find((flag) =>
    process.allowedNodeEnvironmentFlags.has(flag),
  );
  const net = process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : [];
  test('under --permission it works without a thread and says so', async () => {
    const child = startChild({
      files: { 'main.js': SERVER },
      ...settings(permission ?? '', '--allow-fs-read=*', ...net, ...PRELOAD),
    });
    const line = await child.said(WATCHING);
    expect(JSON.stringify(line['cannotSee'])).toContain('Workers are forbidden by --permission');
  });

  test('what --permission denies the application, a thread of ours does not do either', async () => {
    const child = startChild({
      files: { 'main.js': SERVER },
      env: { WSGUARD_DIR: 'kept' },
      ...settings(permission ?? '', '--allow-fs-read=*', '--allow-worker', ...net, ...PRELOAD),
    });
    const line = await child.said(WATCHING);
    expect(line['writesTo']).toBeNull();
    expect(line['msg']).toContain('writes no files, because --permission needs --allow-fs-write');
    expect(line['cannotSee']).toEqual([
      'collections that the application does not register: the inspector is not available (ERR_ACCESS_DENIED)',
    ]);
    // The black box is written from the start where it may be.
    expect(existsSync(join(child.cwd, 'kept'))).toBe(false);
    expect(child.lines().filter(({ code }) => code === 'WSGUARD_FAULT')).toEqual([]);
  });
});
