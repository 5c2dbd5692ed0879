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

/** A child that runs `script`; it finds its job in `job`. */
function order(script: string, over: Partial<ChildOptions> = {}): ChildOptions {
  const entry = join(dir, 'worker.js');
  writeFileSync(entry, `const job = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));\n${script}`);
  return {
    entry,
    job: { answer: 42 },
    heapMib: 64,
    maxRssBytes: 300 * MIB,
    reserveBytes: 10 * MIB,
    headroom: () => 1000 * MIB,
    deadlineMs: 60_000,
    share: 1,
    keepAlive: true,
    ...over,
  };
}

test('the job goes in, the answer comes out, and no preload or secret of the application with it', async () => {
  process.env['NODE_OPTIONS_BEFORE'] = 'secret';
  const outcome = await runChild(
    order(`process.stdout.write(JSON.stringify([job.answer, process.env.NODE_OPTIONS_BEFORE ?? null,
      process.env.WSGUARD_ENABLED, require('node:os').getPriority()]))`),
    clock,
  );
  delete process.env['NODE_OPTIONS_BEFORE'];
  expect(outcome).toEqual({ outcome: 'done', stdout: '[42,null,"false",19]' });
});

test('it is the first to go when memory ends', async () => {
  const outcome = await runChild(
    order(
      // It is told after it was started.
      `const look = () => {
        const score = require('node:fs').readFileSync('/proc/self/oom_score_adj', 'utf8');
        if (score.trim() !== '1000') setTimeout(look, 10);
        else process.stdout.write(score);
      };
      look();`,
    ),
    clock,
  );
  expect(outcome).toMatchObject({ stdout: '1000\n' });
});

test('memory outside the V8 heap counts: it is ended, and told as a refusal with the bytes', async () => {
  const outcome = await runChild(
    order(`const all = []; setInterval(() => all.length < 100 && all.push(Buffer.alloc(${8 * MIB}, 1)), 5)`),
    clock,
  );
  expect(outcome).toMatchObject({ outcome: 'refused', haveBytes: 300 * MIB });
  expect((outcome as { needBytes: number }).needBytes).toBeGreaterThan(300 * MIB);
});

test('the memory that all share counts', async () => {
  let left = 1000 * MIB;
  const outcome = await runChild(
    order('setInterval(() => {}, 1000)', { headroom: () => (left -= 400 * MIB) }),
    clock,
  );
  expect(outcome).toMatchObject({ outcome: 'refused', needBytes: 10 * MIB });
});

test('a deadline ends it', async () => {
  const outcome = await runChild(order('for (;;);', { deadlineMs: 300 }), clock);
  expect(outcome).toMatchObject({ outcome: 'failed', code: 'WSGUARD_ANALYSIS_DEADLINE' });
});

test.each([
  [
    'its own code is kept',
    `console.error('WSGUARD_SNAPSHOT_TRUNCATED: ends early'); process.exit(3)`,
    'TRUNCATED',
  ],
  [
    'or said in JSON',
    `console.log('{"error":{"code":"WSGUARD_SNAPSHOT_META","message":"m"}}'); process.exit(3)`,
    'META',
  ],
  ['a fault', `throw new Error('boom')`, 'ANALYSIS_FAILED'],
  ['a signal', `process.kill(process.pid, 'SIGSEGV')`, 'ANALYSIS_FAILED'],
  [
    'endless talk',
    `const text = 'x'.repeat(1 << 20); for (;;) require('fs').writeSync(1, text)`,
    'ANALYSIS_FAILED',
  ],
])('%s', async (_, script, code) => {
  const outcome = await runChild(order(script), clock);
  expect(outcome).toMatchObject({ outcome: 'failed', code: expect.stringContaining(code) });
});

test('a share of one tenth is kept to about that', async () => {
  const spin = `const until = Date.now() + 1500; while (Date.now() < until);
    const { user, system } = process.cpuUsage(); process.stdout.write(String((user + system) / 1000))`;
  const outcome = await runChild(order(spin, { share: 0.1 }), clock);
  const cpuMs = Number((outcome as { stdout: string }).stdout);
  expect(cpuMs).toBeLessThan(0.4 * 1500);
});

const analysis = (script: string): string => `
  const { runAnalysis } = require(${JSON.stringify(join(DIST, 'snapshot-jobs.js'))});
  const { createClock } = require(${JSON.stringify(join(DIST, 'core', 'clock.js'))});
  const order = { files: ['${'snapshot.heapsnapshot'}'], dir: process.cwd(), clock: createClock(),
    limits: () => ({ containerBytes: null, containerUsedBytes: null, availableBytes: 4e9 }) };
  ${script}`;
const runIn = (script: string): string => {
  writeFileSync(join(dir, 'main.cjs'), analysis(script));
  return execFileSync(process.execPath, ['main.cjs'], { cwd: dir, encoding: 'utf8' });
};

test('refused: it says what it needs and the command for a laptop', () => {
  writeFileSync(join(dir, 'snapshot.heapsnapshot'), '{"snapshot":');
  const answer =
    runIn(`order.limits = () => ({ containerBytes: 3e8, containerUsedBytes: 2.8e8, availableBytes: null });
    runAnalysis(order).then((answer) => console.log(JSON.stringify(answer)));`);
  expect(JSON.parse(answer)).toEqual({
    outcome: 'refused',
    reason: expect.stringMatching(/needs about \d+ MiB of memory, 19 MiB are left/),
    needBytes: expect.any(Number),
    haveBytes: 2e7,
    command: 'npx -p @wsguard/agent wsguard analyse snapshot.heapsnapshot',
  });
});

test('a missing file is a failure, not a throw', () => {
  const answer = runIn(`runAnalysis(order).then((answer) => console.log(JSON.stringify(answer)));`);
  expect(JSON.parse(answer)).toMatchObject({ outcome: 'failed', code: 'WSGUARD_ANALYSIS_FAILED' });
});

test('it works from a worker thread', () => {
  writeFileSync(join(dir, 'snapshot.heapsnapshot'), 'no snapshot');
  writeFileSync(
    join(dir, 'thread.cjs'),
    analysis(`order.keepAlive = true;
      runAnalysis(order).then((answer) => require('node:worker_threads').parentPort.postMessage(answer));`),
  );
  const answer = runIn(`const { Worker } = require('node:worker_threads');
    new Worker('./thread.cjs').on('message', (answer) => console.log(JSON.stringify(answer)));`);
  expect(JSON.parse(answer)).toMatchObject({ outcome: 'failed' });
});

test('it does not keep the process alive, and goes with it', async () => {
  writeFileSync(
    join(dir, 'main.cjs'),
    `const { runChild } = require(${JSON.stringify(join(DIST, 'child-process', 'run-child.js'))});
     const { createClock } = require(${JSON.stringify(join(DIST, 'core', 'clock.js'))});
     void runChild({ ...${JSON.stringify(order(''))}, entry: './worker.js', keepAlive: false, headroom: () => null }, createClock());
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
  await expect(gone(pid)).resolves.toBe(true);
});

test('one at a time; what a killed process left behind is cleared, its halted child too', async () => {
  expect(takeLock(dir, Date.now())).not.toBeNull();
  expect(takeLock(dir, Date.now())).toBeNull();
  expect(takeLock(dir, Date.now() + 60_000)).not.toBeNull();
  // It runs something else under the name that tells it as ours.
  const worker = join(__dirname, '..', '..', 'src', 'analyse', 'analysis-process.js');
  const left = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', worker], { stdio: 'ignore' });
  process.kill(left.pid!, 'SIGSTOP');
  const dead = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
  writeFileSync(
    join(dir, '.analysis.lock'),
    JSON.stringify({ host: hostname(), owner: dead, child: left.pid }),
  );
  const ended = new Promise((resolve) => left.on('exit', (_, signal) => resolve(signal)));
  const lock = takeLock(dir, Date.now());
  expect(lock).not.toBeNull();
  await expect(ended).resolves.toBe('SIGKILL');
  lock?.release();
  expect(readdirSync(dir)).not.toContain('.analysis.lock');
});

const LOCK = join(DIST, 'child-process', 'lock.js');

/** Begins a redaction, halts it at once and says its pid; ends when its input does. */
const OWNER = `
  const { spawn } = require('node:child_process');
  const { takeLock, releaseLockOnExit } = require(${JSON.stringify(LOCK)});
  require('node:v8').writeHeapSnapshot('raw');
  const stdio = ['pipe', 'ignore', 'ignore'];
  const child = spawn(process.execPath, [${JSON.stringify(join(DIST, 'capture', 'redaction-process.js'))}], { stdio });
  child.kill('SIGSTOP');
  child.stdin.end(JSON.stringify({ from: 'raw', to: 'redacted', owner: process.pid }), () => {
    takeLock('.', Date.now()).hold(child.pid);
    console.log(child.pid);
  });
  process.once('exit', () => releaseLockOnExit('.'));
  process.stdin.on('end', () => process.exit(0)).resume();`;

test.each(['is killed', 'exits'])(
  'a halted redaction whose owner %s goes, and its raw file too',
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
    await expect(gone(child)).resolves.toBe(true);
    expect(readdirSync(dir)).toEqual(['main.cjs']);
  },
);

test('a lock of another container is believed until it is old, and no pid of it is killed', () => {
  const lock = join(dir, '.analysis.lock');
  writeFileSync(lock, JSON.stringify({ host: 'another', owner: 1, child: process.pid }));
  expect(takeLock(dir, Date.now())).toBeNull();
  expect(takeLock(dir, Date.now() + 31 * 60_000)).not.toBeNull();
});

/** The kernel may take a moment to end it. */
async function gone(pid: number): Promise<boolean> {
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
