// `npm run bench -- containers [--json | --markdown] [--heaps 50,150] [--containers 256,512] [--methods fork] [--repeats 3]`: a
// snapshot of an echo server in a container with a memory limit. Written or refused, the reason, the peak of the container,
// the round trips of clients, and whether the server lives afterwards. The pause budget is off, so memory alone decides.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import components from '../../fixtures/components/start.js';
import { readLines } from './support/child-lines.mjs';
import { startClients } from './support/echo-clients.mjs';
import { quantile } from './support/quantile.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    heaps: { type: 'string', default: '50,150,500,1500' },
    containers: { type: 'string', default: '256,512,1024,2048,4096' },
    methods: { type: 'string', default: 'fork,inprocess' },
    repeats: { type: 'string', default: '1' },
    node: { type: 'string', default: process.execPath },
  },
});
const numbers = (text) => text.split(',').map(Number);
const CLIENTS = 20;
const BASE_MS = 2_000;
/** The longest deadline of a forked child is 8 min. */
const MAX_CAPTURE_MS = 9 * 60_000;
/** Chosen: a server of this size needs this much beside its heap, and garbage until the next collection. */
const SERVER_BASE_MIB = 60;
const GARBAGE_SHARE = 1.25;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A server in a cgroup. `ended` resolves with what the cgroup has counted. */
function startServer({ heapMib, containerMib, method, dir }) {
  const [program, ...prefix] = components.limited(containerMib);
  const flags = [`--max-old-space-size=${Math.max(64, Math.round(heapMib * 2))}`];
  const script = [join(here, 'capture-server.cjs'), method, String(heapMib), dir];
  const server = spawn(program, [...prefix, values.node, ...flags, ...script], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errors = '';
  server.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  server.stdin.on('error', () => undefined);
  const ended = new Promise((resolve) =>
    server.on('close', () => {
      const [, peak, oomKills] = /peak_mb=(\d+) oom_kills=(\d+)/.exec(errors) ?? [];
      resolve({ peakMib: Number(peak), oomKills: Number(oomKills) });
    }),
  );
  return { server, next: readLines(server), ended };
}

/** Whether a new client gets an echo. */
function isAlive(port) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    const end = (answer) => {
      clearTimeout(timer);
      socket.terminate();
      resolve(answer);
    };
    const timer = setTimeout(() => end(false), 10_000);
    socket.on('open', () => socket.send('ping'));
    socket.on('message', () => end(true));
    socket.on('error', () => end(false));
  });
}

async function measureOnce(cell) {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-containers-'));
  const { server, next, ended } = startServer({ ...cell, dir });
  try {
    const started = await next(120_000);
    if (started === null) {
      server.stdin.end();
      server.kill('SIGKILL');
      return { ...(await ended), outcome: 'server did not start' };
    }
    const clients = startClients(started.port, CLIENTS);
    await sleep(1_000);
    clients.take();
    await sleep(BASE_MS);
    const p99BeforeMs = clients.take().p99;
    const startedMs = performance.now();
    server.stdin.write('take\n');
    const taken = await next(MAX_CAPTURE_MS);
    const seconds = (performance.now() - startedMs) / 1000;
    // A refusal takes no time.
    const p99DuringMs = taken?.snapshot.outcome === 'refused' ? null : clients.take().p99;
    const serverLives = await isAlive(started.port);
    clients.close();
    server.stdin.write('exit\n');
    const counted = await ended;
    const { outcome = 'no answer', reason = null } = taken?.snapshot ?? {};
    return { ...counted, outcome, reason, seconds, p99BeforeMs, p99DuringMs, serverLives };
  } finally {
    server.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measureCell(cell) {
  const runs = [];
  for (let run = 0; run < Number(values.repeats); run += 1) runs.push(await measureOnce(cell));
  const outcomes = {};
  for (const { outcome } of runs) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  const max = (name) => Math.max(...runs.map((run) => run[name] ?? 0));
  return {
    ...cell,
    outcomes,
    reason: runs.find(({ reason }) => reason)?.reason ?? null,
    serversAlive: runs.filter(({ serverLives }) => serverLives).length,
    oomKills: runs.reduce((sum, { oomKills }) => sum + oomKills, 0),
    peakMib: max('peakMib'),
    seconds: Number(max('seconds').toFixed(1)),
    p99Ms: [
      quantile(
        runs.map(({ p99BeforeMs }) => p99BeforeMs),
        0.5,
      ),
      quantile(
        runs.map(({ p99DuringMs }) => p99DuringMs),
        0.5,
      ),
    ],
    load: Number(loadavg()[0].toFixed(1)),
  };
}

const ms = (value) => (value ? value.toFixed(value < 10 ? 1 : 0) : '-');
const cellsOf = ({ outcomes, serversAlive, peakMib, seconds, p99Ms, reason, ...cell }) => [
  `${cell.heapMib} MB`,
  `${cell.containerMib} MB`,
  cell.method,
  Object.entries(outcomes)
    .map(([outcome, count]) => `${outcome} ${count} of ${values.repeats}`)
    .join(', '),
  `${serversAlive} of ${values.repeats}`,
  `${seconds} s`,
  `${peakMib} MB`,
  `${ms(p99Ms[0])} -> ${ms(p99Ms[1])} ms`,
  reason ?? '',
];
const HEADINGS = [
  'heap',
  'container',
  'method',
  'snapshot',
  'servers alive',
  'time',
  'peak',
  'p99',
  'reason',
];

const problem = components.cgroupBecause();
if (problem !== null) {
  console.error(`containers: ${problem}`);
  process.exit(2);
}
const results = [];
if (values.markdown) console.log(`| ${HEADINGS.join(' | ')} |\n|${'---|'.repeat(HEADINGS.length)}`);
for (const heapMib of numbers(values.heaps)) {
  for (const containerMib of numbers(values.containers)) {
    if (heapMib * GARBAGE_SHARE + SERVER_BASE_MIB > containerMib) continue;
    for (const method of values.methods.split(',')) {
      const result = await measureCell({ heapMib, containerMib, method });
      results.push(result);
      if (values.markdown) console.log(`| ${cellsOf(result).join(' | ')} |`);
      else if (!values.json) console.log(cellsOf(result).join('  '));
    }
  }
}
if (values.json) console.log(JSON.stringify({ node: process.version, results }, null, 2));
const deaths = results.filter(({ serversAlive }) => serversAlive < Number(values.repeats));
process.exit(deaths.length === 0 ? 0 : 1);
