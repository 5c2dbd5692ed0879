import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChild } from '../../src/child-process/run-child.ts';
import type { ChildOptions } from '../../src/child-process/run-child.ts';
import { takeLock } from '../../src/child-process/lock.ts';
import { createClock } from '../../src/core/clock.ts';

const MIB = 1024 * 1024;
const DIST = join(__dirname, '..', '..', 'dist');
const clock = createClock();
let dir: string;

beforeAll(() => {
  execFileSync(process.execPath, [join(__dirname, '..', 'tools', 'build.mjs')]);
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-analysis-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Options of a child that runs `script`, which finds its job in `job`. */
function childOptions(script: string, over: Partial<ChildOptions> = {}): ChildOptions {
  const file = join(dir, 'worker.js');
  writeFileSync(file, `const job = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));\n${script}`);
  return {
    script: file,
    job: { answer: 42 },
    heapMib: 64,
    maxPrivateBytes: 300 * MIB,
    reserveBytes: 10 * MIB,
    headroom: () => 1000 * MIB,
    deadlineMs: 60_000,
    share: 1,
    keepAlive: true,
    ...over,
  };
}

test('the child gets its job and returns its result, without preloads or secrets of the application', async () => {
  process.env['NODE_OPTIONS_BEFORE'] = 'secret';
  const outcome = await runChild(
    childOptions(`process.stdout.write(JSON.stringify([job.answer, process.env.NODE_OPTIONS_BEFORE ?? null,
      process.env.WSGUARD_ENABLED, require('node:os').getPriority()]))`),
    clock,
  );
  delete process.env['NODE_OPTIONS_BEFORE'];
  expect(outcome).toEqual({ outcome: 'done', stdout: '[42,null,"false",19]' });
});

// Its end waits for background work of V8, and a compilation there can wait for a GC of the thread that waits (Node 26).
test('the child gets the options with which V8 compiles nothing in the background', async () => {
  const outcome = await runChild(
    childOptions('process.stdout.write(JSON.stringify(process.execArgv))'),
    clock,
  );
  expect(outcome).toEqual({
    outcome: 'done',
    stdout: expect.stringContaining('"--no-concurrent-recompilation","--no-concurrent-sparkplug"'),
  });
});

test('a child that has written its result and does not end is ended, and its result counts', async () => {
  const outcome = await runChild(
    childOptions(`process.stdout.write('\\n{"nodes":3}'); setInterval(() => {}, 1000)`),
    clock,
  );
  expect(outcome).toEqual({ outcome: 'done', stdout: '\n{"nodes":3}' });
});

test('a child that has written a failure and does not end is a failure', async () => {
  const failure = { error: { code: 'WSGUARD_SNAPSHOT_META', message: 'm' } };
  const outcome = await runChild(
    childOptions(
      `process.stdout.write(${JSON.stringify(JSON.stringify(failure))}); setInterval(() => {}, 1000)`,
    ),
    clock,
  );
  expect(outcome).toEqual({ outcome: 'failed', code: 'WSGUARD_SNAPSHOT_META', reason: 'm' });
});

test('the child is the first victim of the OOM killer', async () => {
  const outcome = await runChild(
    childOptions(
      // The score is written after the child was started.
      `const check = () => {
        const score = require('node:fs').readFileSync('/proc/self/oom_score_adj', 'utf8');
        if (score.trim() !== '1000') setTimeout(check, 10);
        else process.stdout.write(score);
      };
      check();`,
    ),
    clock,
  );
  expect(outcome).toMatchObject({ stdout: '1000\n' });
});

test('memory outside the V8 heap counts: the child is ended and the refusal has the bytes', async () => {
  const outcome = await runChild(
    childOptions(
      `const all = []; setInterval(() => all.length < 100 && all.push(Buffer.alloc(${8 * MIB}, 1)), 5)`,
    ),
    clock,
  );
  expect(outcome).toMatchObject({ outcome: 'refused', haveBytes: 300 * MIB });
  expect((outcome as { needBytes: number }).needBytes).toBeGreaterThan(300 * MIB);
});

test('the child is ended when memory runs short for the server', async () => {
  let left = 1000 * MIB;
  const outcome = await runChild(
    childOptions('setInterval(() => {}, 1000)', { headroom: () => (left -= 400 * MIB) }),
    clock,
  );
  expect(outcome).toMatchObject({ outcome: 'refused', needBytes: 10 * MIB });
});

test('the child is ended at its deadline', async () => {
  const outcome = await runChild(childOptions('for (;;);', { deadlineMs: 300 }), clock);
  expect(outcome).toMatchObject({ outcome: 'failed', code: 'WSGUARD_ANALYSIS_DEADLINE' });
});

test.each([
  [
    'its own code on stderr',
    `console.error('WSGUARD_SNAPSHOT_TRUNCATED: ends early'); process.exit(3)`,
    'TRUNCATED',
  ],
  [
    'its own code as JSON',
    `console.log('{"error":{"code":"WSGUARD_SNAPSHOT_META","message":"m"}}'); process.exit(3)`,
    'META',
  ],
  ['a fault', `throw new Error('boom')`, 'ANALYSIS_FAILED'],
  ['a signal', `process.kill(process.pid, 'SIGSEGV')`, 'ANALYSIS_FAILED'],
  [
    'endless output',
    `const text = 'x'.repeat(1 << 20); for (;;) require('fs').writeSync(1, text)`,
    'ANALYSIS_FAILED',
  ],
])('%s', async (_, script, code) => {
  const outcome = await runChild(childOptions(script), clock);
  expect(outcome).toMatchObject({ outcome: 'failed', code: expect.stringContaining(code) });
});

test('a share of one tenth of the CPU is kept', async () => {
  const spin = `const until = Date.now() + 1500; while (Date.now() < until);
    const { user, system } = process.cpuUsage(); process.stdout.write(String((user + system) / 1000))`;
  const outcome = await runChild(childOptions(spin, { share: 0.1 }), clock);
  const cpuMs = Number((outcome as { stdout: string }).stdout);
  expect(cpuMs).toBeLessThan(0.4 * 1500);
});

const analysis = (script: string): string => `
  const { runAnalysis } = require(${JSON.stringify(join(DIST, 'snapshots/jobs.js'))});
  const { createClock } = require(${JSON.stringify(join(DIST, 'core', 'clock.js'))});
  const options = { files: ['${'snapshot.heapsnapshot'}'], dir: process.cwd(), clock: createClock(),
    limits: () => ({ containerBytes: null, containerUsedBytes: null, availableBytes: 4e9 }) };
  ${script}`;
const runIn = (script: string): string => {
  writeFileSync(join(dir, 'main.cjs'), analysis(script));
  return execFileSync(process.execPath, ['main.cjs'], { cwd: dir, encoding: 'utf8' });
};

test('a refused analysis states its bytes and the command for another machine', () => {
  writeFileSync(join(dir, 'snapshot.heapsnapshot'), '{"snapshot":');
  const answer =
    runIn(`options.limits = () => ({ containerBytes: 3e8, containerUsedBytes: 2.8e8, availableBytes: null });
    runAnalysis(options).then((answer) => console.log(JSON.stringify(answer)));`);
  expect(JSON.parse(answer)).toEqual({
    outcome: 'refused',
    reason: expect.stringMatching(/^needs \d+(\.\d)? MiB of memory, 19\.1 MiB available$/),
    needBytes: expect.any(Number),
    haveBytes: 2e7,
    command: 'npx -p @wsguard/agent wsguard analyse snapshot.heapsnapshot',
  });
});

test('a missing file is a failure, not a throw', () => {
  const answer = runIn(`runAnalysis(options).then((answer) => console.log(JSON.stringify(answer)));`);
  expect(JSON.parse(answer)).toMatchObject({ outcome: 'failed', code: 'WSGUARD_SNAPSHOT_UNREADABLE' });
});

test('an analysis can be requested from a worker thread', () => {
  writeFileSync(join(dir, 'snapshot.heapsnapshot'), 'no snapshot');
  writeFileSync(
    join(dir, 'thread.cjs'),
    analysis(`options.keepAlive = true;
      runAnalysis(options).then((answer) => require('node:worker_threads').parentPort.postMessage(answer));`),
  );
  const answer = runIn(`const { Worker } = require('node:worker_threads');
    new Worker('./thread.cjs').on('message', (answer) => console.log(JSON.stringify(answer)));`);
  expect(JSON.parse(answer)).toMatchObject({ outcome: 'failed' });
});

test('the child does not keep the process alive, and ends with it', async () => {
  writeFileSync(
    join(dir, 'main.cjs'),
    `const { runChild } = require(${JSON.stringify(join(DIST, 'child-process', 'run-child.js'))});
     const { createClock } = require(${JSON.stringify(join(DIST, 'core', 'clock.js'))});
     void runChild({ ...${JSON.stringify(childOptions(''))}, script: './worker.js', keepAlive: false, headroom: () => null }, createClock());
     const timer = setInterval(() => { if (require('fs').existsSync('pid')) clearInterval(timer); }, 10);`,
  );
  writeFileSync(
    join(dir, 'worker.js'),
    `require('fs').writeFileSync('begun', String(process.pid)); require('fs').renameSync('begun', 'pid'); for (;;);`,
  );
  const main = spawn(process.execPath, ['main.cjs'], { cwd: dir, stdio: 'inherit' });
  const code = await new Promise((resolve) => main.on('exit', resolve));
  expect(code).toBe(0);
  const pid = Number(readFileSync(join(dir, 'pid'), 'utf8'));
  await expect(hasEnded(pid)).resolves.toBe(true);
});

test('one lock at a time; the lock of a killed process is removed and its halted child ended', async () => {
  expect(takeLock(dir, Date.now())).not.toBeNull();
  expect(takeLock(dir, Date.now())).toBeNull();
  expect(takeLock(dir, Date.now() + 60_000)).not.toBeNull();
  // It runs other code, under the path by which the lock knows our scripts.
  const worker = join(__dirname, '..', '..', 'src', 'analyse', 'analysis-process.js');
  const orphan = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', worker], { stdio: 'ignore' });
  process.kill(orphan.pid!, 'SIGSTOP');
  const dead = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
  writeFileSync(
    join(dir, '.analysis.lock'),
    JSON.stringify({ host: hostname(), owner: dead, child: orphan.pid }),
  );
  const ended = new Promise((resolve) => orphan.on('exit', (_, signal) => resolve(signal)));
  const lock = takeLock(dir, Date.now());
  expect(lock).not.toBeNull();
  await expect(ended).resolves.toBe('SIGKILL');
  lock?.release();
  expect(readdirSync(dir)).not.toContain('.analysis.lock');
});

const LOCK = join(DIST, 'child-process', 'lock.js');

/** Starts a redaction, halts it at once and prints its pid; ends when its stdin does. */
const OWNER = `
  const { spawn } = require('node:child_process');
  const { takeLock, releaseLockOfThisProcess } = require(${JSON.stringify(LOCK)});
  require('node:v8').writeHeapSnapshot('raw');
  const stdio = ['pipe', 'ignore', 'ignore'];
  const child = spawn(process.execPath, [${JSON.stringify(join(DIST, 'capture', 'redaction-process.js'))}], { stdio });
  child.kill('SIGSTOP');
  child.stdin.end(JSON.stringify({ from: 'raw', to: 'redacted', owner: process.pid }), () => {
    takeLock('.', Date.now()).setChild(child.pid);
    console.log(child.pid);
  });
  process.once('exit', () => releaseLockOfThisProcess('.'));
  process.stdin.on('end', () => process.exit(0)).resume();`;

test.each(['is killed', 'exits'])(
  'a halted redaction whose owner %s ends, and its raw file is removed',
  async (how) => {
    writeFileSync(join(dir, 'main.cjs'), OWNER);
    const main = spawn(process.execPath, ['main.cjs'], { cwd: dir, stdio: ['pipe', 'pipe', 'inherit'] });
    const child = await new Promise<number>((resolve) =>
      main.stdout.once('data', (pid) => resolve(Number(pid))),
    );
    const ended = new Promise((resolve) => main.on('exit', resolve));
    if (how === 'is killed') main.kill('SIGKILL');
    else main.stdin.end();
    await ended;
    if (how === 'is killed')
      (require(LOCK) as typeof import('../../src/child-process/lock.ts')).clearStaleLock(dir, Date.now());
    await expect(hasEnded(child)).resolves.toBe(true);
    expect(readdirSync(dir)).toEqual(['main.cjs']);
  },
);

test.each([
  ['missing.heapsnapshot', /cannot read .*missing\.heapsnapshot: no such file\. Check the path/],
  ['', /cannot read .*: is a directory, not a file\. Check the path/],
])('a census of the file "%s" fails with the code of an unreadable snapshot', async (name, reason) => {
  const script = join(DIST, 'analyse', 'census-process.js');
  const job = { from: join(dir, name), earlier: null };
  const outcome = await runChild({ ...childOptions(''), script, job }, clock);
  expect(outcome).toMatchObject({
    outcome: 'failed',
    code: 'WSGUARD_SNAPSHOT_UNREADABLE',
    reason: expect.stringMatching(reason) as string,
  });
});

test('a lock of another container is valid until it is old, and its pids are not killed', () => {
  const lock = join(dir, '.analysis.lock');
  writeFileSync(lock, JSON.stringify({ host: 'another', owner: 1, child: process.pid }));
  expect(takeLock(dir, Date.now())).toBeNull();
  expect(takeLock(dir, Date.now() + 31 * 60_000)).not.toBeNull();
});

/** Waits until the process has ended, which takes the kernel a moment. */
async function hasEnded(pid: number): Promise<boolean> {
  const untilMs = Date.now() + 120_000;
  while (Date.now() < untilMs) {
    const state = existsSync(`/proc/${pid}/stat`)
      ? readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0]
      : 'Z';
    if (state === 'Z') return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
