// `npm run fuzz -- [--minutes 1] [--seed N] [--cases N]`: gives damaged snapshots to parser, analysis and redaction.
// Each case runs in a child process with limits on time and memory. It must succeed or fail with WSGUARD_SNAPSHOT_*.
import { execFileSync, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeHeapSnapshot } from 'node:v8';
import { createChance, makeSnapshot, spoil } from './mutate.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' }, cases: { type: 'string' } },
});
const firstSeed = Number(values.seed ?? Date.now() % 1e9);
const deadline = Date.now() + Number(values.minutes) * 60_000;
const mostCases = Number(values.cases ?? Infinity);

const CASE_MS = 30_000;
/** An idle child takes 60 MB, and 130 MB with a real snapshot of 6 MB. A decompression bomb must stay below this. */
const RSS_BYTES = 500e6;
const ALLOWED = /^(done|WSGUARD_SNAPSHOT_[A-Z_]+)$/;
const REAL_SHARE = 0.02;

execFileSync(process.execPath, [join(here, '..', 'tools', 'build.mjs')], { stdio: 'inherit' });
const dir = mkdtempSync(join(tmpdir(), 'wsguard-fuzz-'));
const kept = join(here, '..', '..', '.cache', 'fuzz');
const good = join(dir, 'good.heapsnapshot');
writeFileSync(good, makeSnapshot(createChance(1)));
const real = readFileSync(writeHeapSnapshot(join(dir, 'real.heapsnapshot')));

let victim = null;
let waiting = null;
const startVictim = () => {
  const child = fork(join(here, 'victim.mjs'), { execArgv: ['--max-old-space-size=256'], silent: true });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr = (stderr + text).slice(-2000)));
  child.on('message', (answer) => waiting?.(answer));
  child.on('exit', (code, signal) => {
    if (victim !== child) return;
    victim = null;
    waiting?.({ outcome: `the process ended: ${signal ?? code} ${stderr}`, maxRssBytes: 0 });
  });
  return child;
};

function ask(task, order) {
  victim ??= startVictim();
  const child = victim;
  return new Promise((resolve) => {
    const late = setTimeout(
      () => end({ outcome: `not done after ${CASE_MS} ms`, maxRssBytes: 0 }, true),
      CASE_MS,
    );
    const end = (answer, kill) => {
      clearTimeout(late);
      waiting = null;
      if (kill) {
        victim = null;
        child.kill('SIGKILL');
      }
      resolve(answer);
    };
    waiting = (answer) => end(answer, answer.maxRssBytes > RSS_BYTES);
    child.send({ task, order });
  });
}

const outcomes = new Map();
const failures = [];
let cases = 0;

async function runCase(seed) {
  const chance = createChance(seed);
  const source = chance.next() < REAL_SHARE ? real : makeSnapshot(chance);
  const { name, bytes } = spoil(source, chance);
  const file = join(dir, 'case.heapsnapshot');
  writeFileSync(file, bytes);
  const order = { file, good, chunkBytes: chance.pick([1, 2, 3, 5, 7, 13, 64, 1000, 65_536]) };
  const tasks = ['analyse', 'redact', 'pieces', ...(chance.next() < 0.2 ? ['compare'] : [])];
  for (const task of tasks) {
    const { outcome, maxRssBytes } = await ask(task, order);
    const key = `${task} ${ALLOWED.test(outcome) ? outcome : 'FAULT'}`;
    outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
    const because = !ALLOWED.test(outcome)
      ? outcome
      : maxRssBytes > RSS_BYTES
        ? `took ${Math.round(maxRssBytes / 1e6)} MB`
        : null;
    if (because === null) continue;
    mkdirSync(kept, { recursive: true });
    const saved = join(kept, `${seed}.heapsnapshot`);
    writeFileSync(saved, bytes);
    failures.push({ seed, task, name, because });
    console.error(`seed ${seed}, ${task}, ${name} (${bytes.length} bytes, kept in ${saved}):\n  ${because}`);
  }
}

for (let seed = firstSeed; Date.now() < deadline && cases < mostCases; seed += 1) {
  await runCase(seed);
  cases += 1;
}
victim?.removeAllListeners('exit');
victim?.kill('SIGKILL');
rmSync(dir, { recursive: true, force: true });
for (const [key, count] of [...outcomes].sort(([a], [b]) => a.localeCompare(b)))
  console.log(`${String(count).padStart(8)}  ${key}`);
const done = [...outcomes]
  .filter(([key]) => key.endsWith(' done'))
  .reduce((sum, [, count]) => sum + count, 0);
console.log(`${cases} cases from seed ${firstSeed}: ${failures.length} faults`);
// When every case is refused at once, nothing was tested.
process.exitCode = failures.length > 0 || (cases >= 100 && done === 0) ? 1 : 0;
