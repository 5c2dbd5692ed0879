/** The preload in real processes with the built package: it must not change how an application runs and ends. */
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT, endChildren, REGISTER, ROOT, startChild, onTrigger } from '../support/child.ts';

afterEach(endChildren);

const SERVER = `
const http = require('node:http');
const server = http.createServer((request, response) => response.end('ok'));
server.listen(0, () => console.log('listening ' + server.address().port));
`;
const PRELOAD = ['--require', AGENT];
const WATCHING = /^watching /;
const settings = (...flags: string[]) => ({ nodeArgs: flags });

describe('a process that never serves', () => {
  test('gets no log line, no directory, no thread and no timer', async () => {
    const child = startChild({
      files: {
        'main.js': `
          setTimeout(() => console.log(JSON.stringify({
            resources: process.getActiveResourcesInfo(),
          })), 200);`,
      },
      ...settings(...PRELOAD),
    });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    const { resources } = JSON.parse(child.stdout()) as { resources: string[] };
    // The timer of the application.
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
  test('is watched, and one log line names its servers, blind spots, directory and exports', async () => {
    const child = startChild({ files: { 'main.js': SERVER }, ...settings(...PRELOAD) });
    const line = await child.logLine(WATCHING);
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

  test.each(['SIGTERM', 'SIGINT'] as const)('still ends at once on %s', async (signal) => {
    const child = startChild({ files: { 'main.js': SERVER }, ...settings(...PRELOAD) });
    await child.logLine(WATCHING);
    child.process.kill(signal);
    expect(await child.exited).toEqual({ code: null, signal });
  });

  test('ends when its server is closed', async () => {
    const ends = SERVER + onTrigger('close', 'server.close();');
    const child = startChild({ files: { 'main.js': ends }, ...settings(...PRELOAD) });
    await child.logLine(WATCHING);
    child.trigger('close');
    expect(await child.exited).toEqual({ code: 0, signal: null });
  });

  test('keeps the exit code and the message of its crash', async () => {
    const crash = SERVER + onTrigger('crash', "throw new Error('the fault of the application');");
    const child = startChild({ files: { 'main.js': crash }, ...settings(...PRELOAD) });
    await child.logLine(WATCHING);
    child.trigger('crash');
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.stderr()).toContain('Error: the fault of the application');
  });

  test('may have replaced process.env by an empty object', async () => {
    const child = startChild({
      files: { 'main.js': `process.env = {}; ${SERVER}` },
      ...settings(...PRELOAD),
    });
    expect((await child.logLine(WATCHING))['service']).toBe('test');
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
    await child.logLine(WATCHING);
    expect(child.logLines().filter(({ level }) => level >= 50)).toEqual([]);
  });
});

describe('the ways in', () => {
  const expectOneAgent = async (child: ReturnType<typeof startChild>) => {
    await child.logLine(WATCHING);
    expect(child.logLines().filter(({ msg }) => WATCHING.test(msg))).toHaveLength(1);
  };

  test('--import', () =>
    expectOneAgent(startChild({ files: { 'main.js': SERVER }, ...settings('--import', REGISTER) })));
  test('NODE_OPTIONS', () =>
    expectOneAgent(
      startChild({ files: { 'main.js': SERVER }, env: { NODE_OPTIONS: `--require ${AGENT}` } }),
    ));
  test('--require twice together with --import', () =>
    expectOneAgent(
      startChild({ files: { 'main.js': SERVER }, ...settings(...PRELOAD, ...PRELOAD, '--import', REGISTER) }),
    ));
  test('an empty environment', () =>
    expectOneAgent(startChild({ files: { 'main.js': SERVER }, bare: true, ...settings(...PRELOAD) })));
  test('a working directory that cannot be written', () =>
    expectOneAgent(startChild({ files: { 'main.js': SERVER }, cwd: '/proc', ...settings(...PRELOAD) })));

  test('a second copy of the package', async () => {
    const copy = mkdtempSync(join(tmpdir(), 'wsguard-copy-'));
    cpSync(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(copy, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    const second = join(copy, 'dist', 'index.js');
    const app = `${SERVER} require(${JSON.stringify(second)}).start();`;
    await expectOneAgent(
      startChild({ files: { 'main.js': app }, ...settings(...PRELOAD, '--require', second) }),
    );
    rmSync(copy, { recursive: true });
  });

  test('an ES module imports the names of the package, with and without a preload', async () => {
    const main = `
      import { createServer } from 'node:http';
      import { start, MemoryMonitor, HeapAnalyzer } from ${JSON.stringify(AGENT)};
      console.log([start, MemoryMonitor, HeapAnalyzer].map((it) => typeof it).join());
      console.log(start() === start());
      createServer().listen(0);`;
    for (const flags of [[], PRELOAD]) {
      const child = startChild({ files: { 'main.mjs': main }, ...settings(...flags) });
      await expectOneAgent(child);
      expect(child.stdout()).toBe('function,function,function\ntrue\n');
    }
  });

  test('WSGUARD_ENABLED=false switches off the preload and start()', async () => {
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

describe('together with other programs', () => {
  const NOTE = `require('node:fs').appendFileSync(process.env.NOTES, require('node:worker_threads').threadId + '\\n');`;
  const notesOf = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\n');

  test('another preload runs once, and not in the watcher thread', async () => {
    const notes = join(mkdtempSync(join(tmpdir(), 'wsguard-notes-')), 'notes');
    const child = startChild({
      files: { 'main.js': SERVER, 'other.js': NOTE },
      env: { NOTES: notes, NODE_OPTIONS: `--require ./other.js --require ${AGENT}` },
    });
    await child.logLine(WATCHING);
    expect(notesOf(notes)).toEqual(['0']);
  });

  test('NODE_V8_COVERAGE writes one report, for the application', async () => {
    const coverage = mkdtempSync(join(tmpdir(), 'wsguard-coverage-'));
    const child = startChild({
      files: { 'main.js': SERVER + onTrigger('close', 'server.close();') },
      env: { NODE_V8_COVERAGE: coverage },
      ...settings(...PRELOAD),
    });
    await child.logLine(WATCHING);
    child.trigger('close');
    await child.exited;
    expect(readdirSync(coverage)).toHaveLength(1);
    rmSync(coverage, { recursive: true });
  });

  test('a Worker of the application runs as without the agent', async () => {
    const main = `${SERVER}
      const { Worker } = require('node:worker_threads');
      const worker = new Worker('require("node:worker_threads").parentPort.postMessage("hello")', { eval: true, env: {} });
      worker.on('message', (text) => console.log('worker says ' + text));
      worker.on('exit', (code) => { console.log('worker ended ' + code); server.close(); });`;
    const child = startChild({ files: { 'main.js': main }, env: { NODE_OPTIONS: `--require ${AGENT}` } });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(child.stdout()).toMatch(/worker says hello\nworker ended 0/);
    expect(child.logLines().filter(({ level }) => level >= 50)).toEqual([]);
  });

  test.each([
    ['the package', AGENT, ['index.js', 'core/root-context.js']],
    ['@wsguard/agent/register', REGISTER, ['register.js']],
  ])('%s loads no hooks into the Workers of the application', async (_name, entry, loaded) => {
    const worker = `
      const files = Object.keys(require.cache).filter((file) => file.startsWith(${JSON.stringify(ROOT)}));
      require('node:worker_threads').parentPort.postMessage(files);`;
    const main = `
      const { Worker } = require('node:worker_threads');
      new Worker(${JSON.stringify(worker)}, { eval: true }).on('message', (files) => console.log(files.join('\\n')));`;
    const child = startChild({ files: { 'main.js': main }, ...settings('--require', entry) });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    const files = child.stdout().trim().split('\n');
    expect(files).toEqual(loaded.map((file) => join(ROOT, 'dist', file)));
  });

  test('a cluster of four workers has four agents, and none in its primary', async () => {
    const main = `
      const cluster = require('node:cluster');
      if (cluster.isPrimary) for (let n = 0; n < 4; n += 1) cluster.fork();
      else { ${SERVER} }`;
    const child = startChild({ files: { 'main.js': main }, ...settings(...PRELOAD) });
    const lines = () => child.logLines().filter(({ msg }) => WATCHING.test(msg));
    const { until } = await import('../support/child.ts');
    await until(
      () => (lines().length >= 4 ? true : undefined),
      () => child.stderr(),
    );
    expect(new Set(lines().map(({ instance }) => instance)).size).toBe(4);
    expect(lines().map(({ pid }) => pid)).not.toContain(child.process.pid);
    expect(lines()).toHaveLength(4);
  });

  test('npm and tsx start no agent in their own processes', async () => {
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
    await child.logLine(WATCHING);
    expect(child.logLines().filter(({ msg }) => WATCHING.test(msg))).toHaveLength(1);
    expect(child.logLines()[0]?.pid).not.toBe(child.process.pid);
  });

  const permission = ['--permission', '--experimental-permission'].find((flag) =>
    process.allowedNodeEnvironmentFlags.has(flag),
  );
  const net = process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : [];
  test('in a process from a startup snapshot it works without a thread, with which Node 22 and newer abort', async () => {
    const main = `
      require('node:v8').startupSnapshot.setDeserializeMainFunction(() => {
        const server = require('node:http').createServer().listen(0);
        const check = () => require('node:fs').existsSync('end') ? server.close() : setTimeout(check, 50);
        check();
      });`;
    const built = startChild({
      files: { 'main.js': main },
      ...settings('--snapshot-blob', 'app.blob', '--build-snapshot'),
    });
    expect(await built.exited).toEqual({ code: 0, signal: null });
    const child = startChild({
      files: {},
      args: ['--snapshot-blob', join(built.cwd, 'app.blob'), ...PRELOAD, 'main.js'],
    });
    const { cannotSee } = await child.logLine(WATCHING);
    expect(cannotSee).toContainEqual(expect.stringContaining('--snapshot-blob'));
    child.trigger('end');
    expect(await child.exited).toEqual({ code: 0, signal: null });
  });

  test('under --permission it works without a thread and logs that', async () => {
    const child = startChild({
      files: { 'main.js': SERVER },
      ...settings(permission ?? '', '--allow-fs-read=*', ...net, ...PRELOAD),
    });
    const line = await child.logLine(WATCHING);
    expect(JSON.stringify(line['cannotSee'])).toContain('Workers are forbidden by --permission');
  });

  test('under --permission without --allow-fs-write the watcher thread writes no file either', async () => {
    const child = startChild({
      files: { 'main.js': SERVER },
      env: { WSGUARD_DIR: 'kept' },
      ...settings(permission ?? '', '--allow-fs-read=*', '--allow-worker', ...net, ...PRELOAD),
    });
    const line = await child.logLine(WATCHING);
    expect(line['writesTo']).toBeNull();
    expect(line['msg']).toContain('writes no files, because --permission needs --allow-fs-write');
    expect(line['cannotSee']).toEqual([
      'collections that the application does not register: the inspector is not available (ERR_ACCESS_DENIED)',
    ]);
    // With a directory that is set explicitly the black box is written from the start.
    expect(existsSync(join(child.cwd, 'kept'))).toBe(false);
    expect(child.logLines().filter(({ code }) => code === 'WSGUARD_FAULT')).toEqual([]);
  });
});
