// Measures the cost of the preload at startup: CPU and memory until the server listens, and when the watcher runs.
// Each round runs the server with the agent, without it, and without it again. The second run without the agent is the
// control: it shows the noise of the machine beside each number.
// Options: --rounds 15 --with express,ws (packages that the server loads) --json
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packagesOption } from './support/packages.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const AGENT = join(root, 'dist', 'index.js');
const flag = (name, fallback) => {
  const index = process.argv.indexOf(name);
  return index < 0 ? fallback : Number(process.argv[index + 1]);
};
const rounds = Math.max(1, flag('--rounds', 15));
const GOALS = { cpuMs: 10, rssMb: 1, upRssMb: 35, upHeapMb: 1, packages: 0 };
/** Twice the time until the watcher logs its start line. The server without the agent waits equally long. */
const UP_AFTER_MS = 2500;
const MB = 1024 * 1024;

const packages = packagesOption();

const APP = `
for (const file of ${JSON.stringify(packages)}) require(file);
const http = require('node:http');
const server = http.createServer((request, response) => response.end('ok'));
const reading = () => {
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() };
};
server.listen(0, '127.0.0.1', () => {
  const listening = reading();
  // V8's cache of numbers as texts grows to 256 KiB in any server, but at a different time.
  for (let n = 0; n < 10_000; n += 1) String(n + 0.5);
  setTimeout(() => {
    const up = reading();
    global.gc();
    const heapBytes = process.memoryUsage().heapUsed;
    const packageFiles = Object.keys(require.cache).filter((file) => file.includes('node_modules')).length;
    process.send({ listening, up: { ...up, heapBytes }, packageFiles }, () => process.exit(0));
  }, ${UP_AFTER_MS});
});
`;

const folder = mkdtempSync(join(tmpdir(), 'wsguard-startup-'));
const app = join(folder, 'app.js');
writeFileSync(app, APP);

function once(kind) {
  return new Promise((resolve, reject) => {
    const execArgv = ['--expose-gc', ...(kind === 'agent' ? ['--require', AGENT] : [])];
    const child = fork(app, [], { cwd: folder, execArgv, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    let stderr = '';
    let result = null;
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('message', (message) => (result = message));
    child.on('exit', (code) => {
      if (result === null) reject(new Error(`${kind} ended with ${code}: ${stderr}`));
      else if (kind === 'agent' && !stderr.includes('"msg":"watching'))
        reject(new Error(`no start line: ${stderr}`));
      else resolve(result);
    });
  });
}

const sorted = (values) => values.toSorted((a, b) => a - b);
const quantile = (values, share) => {
  const position = (values.length - 1) * share;
  const [low, high] = [values[Math.floor(position)], values[Math.ceil(position)]];
  return low + (high - low) * (position - Math.floor(position));
};
const round = (value) => Math.round(value * 100) / 100;
function summary(values) {
  const ascending = sorted(values);
  return {
    median: round(quantile(ascending, 0.5)),
    q1: round(quantile(ascending, 0.25)),
    q3: round(quantile(ascending, 0.75)),
  };
}

const KINDS = ['bare', 'agent', 'control'];
const runs = { bare: [], agent: [], control: [] };
for (let n = 0; n < rounds; n += 1) {
  // The order rotates, so that a drift of the machine affects all three equally.
  for (let place = 0; place < KINDS.length; place += 1) {
    const kind = KINDS[(n + place) % KINDS.length];
    runs[kind].push(await once(kind));
  }
}
rmSync(folder, { recursive: true });

const FIGURES = {
  'until it listens: CPU ms': ({ listening }) => listening.cpuMs,
  'until it listens: RSS MB': ({ listening }) => listening.rssBytes / MB,
  'watcher up: CPU ms': ({ up }) => up.cpuMs,
  'watcher up: RSS MB': ({ up }) => up.rssBytes / MB,
  'watcher up: heap of the application thread MB': ({ up }) => up.heapBytes / MB,
};
const added = (read, kind) => summary(runs[kind].map((run, n) => read(run) - read(runs.bare[n])));
const figures = Object.fromEntries(
  Object.entries(FIGURES).map(([name, read]) => [
    name,
    {
      bare: summary(runs.bare.map(read)).median,
      added: added(read, 'agent'),
      control: added(read, 'control'),
    },
  ]),
);
// Those of the server are in the control too.
const packageFiles =
  Math.max(...runs.agent.map((run) => run.packageFiles)) -
  Math.max(...runs.bare.map((run) => run.packageFiles));
const medianAdded = (name) => figures[name].added.median;
const goals = {
  'until it listens: CPU ms': medianAdded('until it listens: CPU ms') <= GOALS.cpuMs,
  'until it listens: RSS MB': medianAdded('until it listens: RSS MB') <= GOALS.rssMb,
  'watcher up: RSS MB': medianAdded('watcher up: RSS MB') <= GOALS.upRssMb,
  'watcher up: heap of the application thread MB':
    medianAdded('watcher up: heap of the application thread MB') <= GOALS.upHeapMb,
  'packages on the application thread': packageFiles <= GOALS.packages,
};
const result = {
  schema: 'wsguard.bench/1',
  bench: 'startup',
  node: process.version,
  rounds,
  figures,
  packages: packageFiles,
  goals,
};
if (process.argv.includes('--json')) console.log(JSON.stringify(result));
else {
  console.log(
    `${rounds} rounds on ${process.version}: added by the agent, median (quartiles); the control is a second run without it`,
  );
  for (const [name, { bare, added: a, control: c }] of Object.entries(figures)) {
    const goal = name in goals ? (goals[name] ? '  goal met' : '  GOAL MISSED') : '';
    console.log(
      `${name.padEnd(40)} bare ${bare}  agent +${a.median} (${a.q1} to ${a.q3})  control +${c.median} (${c.q1} to ${c.q3})${goal}`,
    );
  }
  console.log(`packages on the application thread: ${packageFiles}`);
}
