import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The built package in its own process: Jest cannot see its own exit, its keep-alive or V8's file modes. */
const DIST = join(__dirname, '..', '..', 'dist');
let dir: string;

beforeAll(() => {
  execFileSync(process.execPath, [join(__dirname, '..', 'tools', 'build.mjs')]);
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-capture-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const PRELUDE = `
  const { HeapAnalyzer } = require(${JSON.stringify(join(DIST, 'heap-analyzer.js'))});
  globalThis.kept = Array.from({ length: 200 }, (_, i) => ({ token: Buffer.from('planted-secret-' + i).toString() }));
  const print = (value) => console.log(JSON.stringify(value));
`;

function run(script: string, env: NodeJS.ProcessEnv = {}): unknown[] {
  const file = join(dir, 'script.cjs');
  writeFileSync(file, PRELUDE + script);
  const out = execFileSync(process.execPath, [file], {
    cwd: dir,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return out
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}

test('takeSnapshot writes one private, redacted file with the promised name and leaves no other file', () => {
  const [snapshot, count] = run(`
    const analyzer = new HeapAnalyzer({ snapshotDir: './heap-snapshots', pauseBudgetMs: 60000, method: 'inprocess' });
    analyzer.takeSnapshot('after: deploy/1').then((snapshot) => { print(snapshot); print(analyzer.snapshotCount); });
  `);
  expect(snapshot).toMatchObject({ outcome: 'written', method: 'inprocess', redacted: true });
  expect(count).toBe(1);
  const store = join(dir, 'heap-snapshots');
  const names = readdirSync(store).sort();
  expect(names).toEqual(['.gitignore', expect.stringMatching(/^heap-\d{13}-after-deploy-1\.heapsnapshot$/)]);
  expect(statSync(store).mode & 0o777).toBe(0o700);
  const file = join(store, names[1]!);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((snapshot as { file: string }).file).toBe(file);
  const text = readFileSync(file, 'utf8');
  expect(text.includes('planted-secret-7')).toBe(false);
  expect(JSON.parse(text)).toHaveProperty('snapshot.node_count');
});

test('the procedure of three snapshots names what stayed after the clients had gone', () => {
  const [missing, start, wrong, analysis] = run(`
    const analyzer = new HeapAnalyzer({ snapshotDir: 's', pauseBudgetMs: 60000 });
    class Client { constructor(n) { this.name = 'client ' + n; } }
    const registry = new Map();
    globalThis.registry = registry;
    (async () => {
      const procedure = analyzer.procedure();
      print(await procedure.compare());
      print(await procedure.take('start'));
      print(await procedure.take('end'));
      for (let n = 0; n < 1000; n += 1) registry.set(n, new Client(n));
      await procedure.take('loaded');
      await procedure.take('drained');
      print(await procedure.compare());
    })();
  `) as [object, object, object, { suspects: { path: string }[] }];
  expect(missing).toMatchObject({ outcome: 'failed', code: 'WSGUARD_ANALYZER_ARGUMENT' });
  expect(start).toMatchObject({ outcome: 'written' });
  expect(wrong).toMatchObject({ outcome: 'failed', code: 'WSGUARD_ANALYZER_ARGUMENT' });
  expect(JSON.stringify(analysis.suspects[0])).toContain('registry');
});

test('without redaction the outcome says so', () => {
  const [snapshot] = run(`
    new HeapAnalyzer({ snapshotDir: 'raw', pauseBudgetMs: 60000, redact: false, method: 'inprocess' }).takeSnapshot('x').then(print);
  `);
  expect(snapshot).toMatchObject({ outcome: 'written', redacted: false });
  const text = readFileSync((snapshot as { file: string }).file, 'utf8');
  expect(text.includes('planted-secret-7')).toBe(true);
});

test('a refusal has a reason, and nothing is written', () => {
  const [snapshot] = run(
    `new HeapAnalyzer({ snapshotDir: 'none', pauseBudgetMs: 1 }).takeSnapshot('x').then(print);`,
  );
  expect(snapshot).toMatchObject({
    outcome: 'refused',
    reason: expect.stringContaining('budget is 1 ms (pauseBudgetMs)'),
  });
  expect(readdirSync(dir)).not.toContain('none');
});

test('takes one snapshot at a time and keeps a bounded number of files', () => {
  const answers = run(`
    const analyzer = new HeapAnalyzer({ snapshotDir: 's', pauseBudgetMs: 60000, maxSnapshots: 1 });
    const first = analyzer.takeSnapshot('a'), second = analyzer.takeSnapshot('b');
    Promise.all([first, second]).then(async (both) => { both.forEach(print); print(await analyzer.takeSnapshot('c')); });
  `);
  expect(answers).toEqual([
    expect.objectContaining({ outcome: 'written' }),
    expect.objectContaining({ outcome: 'refused', reason: 'another snapshot is being taken' }),
    expect.objectContaining({ outcome: 'refused', reason: '1 snapshot files are kept, the limit is 1' }),
  ]);
});

test('automatic snapshots beyond the limit replace the second oldest automatic one, never the first and never a requested one', () => {
  const answers = run(`
    const automatic = [];
    const analyzer = new HeapAnalyzer({ snapshotDir: 's', pauseBudgetMs: 60000, maxSnapshots: 3, onSnapshot, method: 'inprocess' });
    const stop = analyzer.scheduleSnapshots(50);
    function onSnapshot(snapshot) {
      if (snapshot.outcome === 'written') automatic.push(snapshot.file);
      if (automatic.length === 4) { stop(); clearTimeout(alive); print(automatic); }
    }
    const alive = setTimeout(() => {}, 600000);
    analyzer.takeSnapshot('by-hand');
  `);
  const [automatic] = answers as string[][];
  const names = readdirSync(join(dir, 's')).filter((name) => name.endsWith('.heapsnapshot'));
  expect(names).toHaveLength(3);
  expect(names.filter((name) => name.includes('by-hand'))).toHaveLength(1);
  const kept = automatic?.filter((file) => names.includes(file.split('/').at(-1)!));
  expect(kept).toEqual([automatic?.[0], automatic?.[3]]);
});

test('a directory that cannot be created is a failure with a code', () => {
  writeFileSync(join(dir, 'taken'), '');
  const [snapshot] = run(
    `new HeapAnalyzer({ snapshotDir: 'taken/below', pauseBudgetMs: 60000 }).takeSnapshot('x').then(print);`,
  );
  expect(snapshot).toMatchObject({ outcome: 'failed', code: 'WSGUARD_CAPTURE_FAILED' });
});

test('timers keep no process alive, and preloads of the application do not run in child processes', () => {
  const preload = join(dir, 'preload.cjs');
  writeFileSync(preload, `require('node:fs').appendFileSync(${JSON.stringify(join(dir, 'ran'))}, 'x');`);
  run(
    `
    const analyzer = new HeapAnalyzer({ snapshotDir: 's', pauseBudgetMs: 60000 });
    analyzer.scheduleSnapshots(3600000); analyzer.watchMemory(70);
    analyzer.takeSnapshot('x').then(print);
  `,
    { NODE_OPTIONS: `--require ${preload}` },
  );
  expect(readFileSync(join(dir, 'ran'), 'utf8')).toBe('x');
});

test('a process that exits during the redaction leaves no raw file', () => {
  run(`
    const analyzer = new HeapAnalyzer({ snapshotDir: 's', pauseBudgetMs: 60000 });
    analyzer.takeSnapshot('x');
    setImmediate(() => process.exit(0));
  `);
  expect(readdirSync(join(dir, 's')).filter((name) => name.includes('heapsnapshot'))).toEqual([]);
});
