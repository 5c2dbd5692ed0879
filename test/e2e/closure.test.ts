/** The files that each way of using the package really loads on the application thread, read from `require.cache`. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT, endChildren, ROOT, startChild, type Child } from '../support/child.ts';

afterEach(endChildren);

const DIST = join(ROOT, 'dist');
const PRELOAD = ['--require', AGENT];
/** Prints the loaded files. Code of the test runs it when the part under test has done its work. */
const PRINT = `console.log('loaded ' + JSON.stringify(Object.keys(require.cache)));`;
const SERVER = `
const server = require('node:http').createServer().listen(0);
`;
/** Waits for a reply of the watcher: by then samples and metrics have gone both ways. */
const afterStatus = (agent: string): string => `
(async () => {
  let watcher;
  do ({ watcher } = await ${agent}.status());
  while (watcher === 'silent');
  console.log('watcher ' + watcher);
  ${PRINT}
})();`;

interface Loaded {
  /** Paths below dist. */
  readonly own: readonly string[];
  readonly packages: readonly string[];
}

async function loadedBy(child: Child): Promise<Loaded> {
  const [, text] = await child.stdoutMatch(/loaded (\[.*\])/);
  const files = (JSON.parse(text ?? '[]') as string[]).filter((file) => !file.startsWith(child.cwd));
  return {
    own: files.filter((file) => file.startsWith(DIST)).map((file) => file.slice(DIST.length + 1)),
    packages: files.filter((file) => file.includes('node_modules')),
  };
}

const roomsOf = ({ own }: Loaded): Set<string> =>
  new Set(own.filter((file) => file.includes('/')).map((file) => file.split('/')[0] ?? ''));

test('a preload that does not serve loads these files and no package', async () => {
  const child = startChild({ files: { 'main.js': PRINT }, nodeArgs: PRELOAD });
  const loaded = await loadedBy(child);
  expect(loaded.packages).toEqual([]);
  expect(loaded.own.toSorted()).toEqual([
    'agent.js',
    'core/clock.js',
    'core/guard.js',
    'core/lazy.js',
    'core/primordials.js',
    'core/process-events.js',
    'core/root-context.js',
    'hooks/connections/socket-tracker.js',
    'hooks/emitters/emitter-tracker.js',
    'hooks/find-property.js',
    'hooks/major-gc-marker.js',
    'hooks/preload-hooks.js',
    'hooks/weak-list.js',
    'index.js',
  ]);
  // 22 kB are parsed in about 1 ms. More files than these make npm and every tool under NODE_OPTIONS slower.
  const bytes = loaded.own.reduce((sum, file) => sum + statSync(join(DIST, file)).size, 0);
  // 3 kB of them observe `process` without a listener and search full lists after a GC.
  expect(bytes).toBeLessThan(28_000);
});

test('a preload that does not serve loads no module of Node for servers, child processes or the inspector', async () => {
  const child = startChild({
    files: { 'main.js': `console.log('builtins ' + JSON.stringify(process.moduleLoadList));` },
    nodeArgs: PRELOAD,
  });
  const [, text] = await child.stdoutMatch(/builtins (\[.*\])/);
  const names = (JSON.parse(text ?? '[]') as string[]).map((name) => name.replace(/^NativeModule /, ''));
  expect(names).toContain('diagnostics_channel');
  expect(
    names.filter((name) => /^(?:http2?|https|net|tls|inspector|child_process|cluster|zlib)$/.test(name)),
  ).toEqual([]);
});

test.each([
  ['a preload that serves', PRELOAD, SERVER + afterStatus(`require(${JSON.stringify(AGENT)}).start()`)],
  ['start()', [], afterStatus(`require(${JSON.stringify(AGENT)}).start()`)],
])(
  'with %s the application thread loads no package and no code of the watcher',
  async (_, nodeArgs, main) => {
    const child = startChild({ files: { 'main.js': main }, nodeArgs });
    const loaded = await loadedBy(child);
    expect(child.stdout()).toContain('watcher running');
    expect(loaded.packages).toEqual([]);
    const rooms = roomsOf(loaded);
    for (const room of ['agent', 'hooks', 'sample']) expect(rooms).toContain(room);
    for (const room of [
      'watcher',
      'detect',
      'alert',
      'investigate',
      'analyse',
      'export',
      'heapsnapshot',
      'kinds',
    ])
      expect(rooms).not.toContain(room);
    expect(loaded.own).not.toContain('watcher.js');
  },
);

test('MemoryMonitor alone loads no package and no code of the agent', async () => {
  const child = startChild({
    files: {
      'main.js': `
        const { MemoryMonitor } = require(${JSON.stringify(AGENT)});
        const monitor = new MemoryMonitor();
        monitor.start();
        monitor.getReport();
        monitor.checkForLeak();
        monitor.stop();
        ${PRINT}`,
    },
  });
  const loaded = await loadedBy(child);
  expect(loaded.packages).toEqual([]);
  const rooms = roomsOf(loaded);
  for (const room of ['sample', 'detect']) expect(rooms).toContain(room);
  for (const room of ['agent', 'watcher', 'capture', 'analyse', 'export', 'deliver'])
    expect(rooms).not.toContain(room);
});

test('HeapAnalyzer alone loads no package and analyses in another process', async () => {
  const child = startChild({
    files: {
      'main.js': `
        const { HeapAnalyzer } = require(${JSON.stringify(AGENT)});
        const analyzer = new HeapAnalyzer({ snapshotDir: './snapshots' });
        (async () => {
          const { outcome, file } = await analyzer.takeSnapshot('one');
          const { schema } = await analyzer.analyse(file);
          console.log(outcome, schema);
          ${PRINT}
        })();`,
    },
  });
  const loaded = await loadedBy(child);
  expect(child.stdout()).toContain('written wsguard.analysis/1');
  expect(loaded.packages).toEqual([]);
  const rooms = roomsOf(loaded);
  expect(rooms).toContain('capture');
  for (const room of ['agent', 'watcher', 'analyse', 'heapsnapshot', 'detect', 'export'])
    expect(rooms).not.toContain(room);
});

test('without a watcher thread the packages are on the application thread, which these tests would show', async () => {
  const child = startChild({
    files: { 'main.js': afterStatus(`require(${JSON.stringify(AGENT)}).start()`) },
    env: { WSGUARD_THREAD: 'off', WSGUARD_PROMETHEUS_PORT: '0' },
  });
  const loaded = await loadedBy(child);
  expect(child.stdout()).toContain('watcher none');
  expect(loaded.packages.some((file) => file.includes('/prom-client/'))).toBe(true);
  expect(roomsOf(loaded)).toContain('watcher');
});
