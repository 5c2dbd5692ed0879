// `npm run bench -- beside [--json] [--runs 20] [--mb 300] [--cores 0.5]`: analyses two snapshots next to a server
// of 60 MB under load, both in one container. Reports whether the server survives and the latency of its clients.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const { WebSocket } = require('ws');
const { cgroupBecause, limited } = require('../../fixtures/components/start.js');
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '20' },
    mb: { type: 'string', default: '300' },
    cores: { type: 'string', default: '0.5' },
    objects: { type: 'string', default: '60000' },
  },
});
const CLIENTS = 40;
const EVERY_MS = 50;
const QUIET_MS = 6000;

/** Writes two snapshots of a program whose Map grows between them, about 40 MB each by default. */
function writePair(dir) {
  const files = ['a', 'b'].map((name) => join(dir, `${name}.heapsnapshot`));
  const program = `
    const registry = { connections: new Map() }; globalThis.registry = registry;
    const fill = (from, to) => { for (let id = from; id < to; id += 1) registry.connections.set('c' + id, { id, at: id * 1.5, text: Buffer.from('text ' + id).toString(), close() { return id; } }); };
    const { writeHeapSnapshot } = require('node:v8');
    fill(0, ${values.objects}); writeHeapSnapshot(${JSON.stringify(files[0])});
    fill(${values.objects}, ${Number(values.objects) * 1.2}); writeHeapSnapshot(${JSON.stringify(files[1])});`;
  if (spawnSync(process.execPath, ['-e', program]).status !== 0) throw new Error('no snapshots');
  return files;
}

async function runOnce(files) {
  const [command, ...args] = [
    ...limited(Number(values.mb), Number(values.cores)),
    process.execPath,
    join(here, '..', 'support', 'beside-server.cjs'),
    ...files,
  ];
  const server = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  const lines = readLines(server.stdout);
  const { port } = await lines.next();
  const load = await startLoad(port);
  await pause(2000);
  load.take();
  await pause(QUIET_MS);
  const before = load.take();
  const asked = Date.now();
  load.order('analyse');
  const answer = await Promise.race([lines.next(), ended(server)]);
  const seconds = (Date.now() - asked) / 1000;
  const during = load.take();
  await pause(500);
  const lives = server.exitCode === null && load.take().length > 0;
  load.stop();
  // The shell of the container waits for the server, and both are in one process group.
  process.kill(-server.pid, 'SIGTERM');
  await ended(server);
  return {
    outcome: answer?.outcome ?? 'server died',
    seconds,
    lives,
    p99Before: p99(before),
    p99During: p99(during),
    needBytes: answer?.needBytes,
  };
}

async function startLoad(port) {
  let times = [];
  const sockets = await Promise.all(
    Array.from(
      { length: CLIENTS },
      () =>
        new Promise((resolve, reject) => {
          const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
          socket.on('open', () => resolve(socket)).on('error', reject);
        }),
    ),
  );
  for (const socket of sockets) {
    socket.on('error', () => undefined);
    socket.on('message', (text) => times.push(performance.now() - Number(text)));
  }
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.readyState === 1) socket.send(String(performance.now()));
  }, EVERY_MS);
  return {
    take: () => times.splice(0),
    order: (text) => sockets[0].send(text),
    stop() {
      clearInterval(timer);
      for (const socket of sockets) socket.terminate();
    },
  };
}

function readLines(stream) {
  const waiting = [];
  const ready = [];
  let rest = '';
  stream.setEncoding('utf8').on('data', (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop();
    for (const line of parts) {
      const value = JSON.parse(line);
      if (waiting.length > 0) waiting.shift()(value);
      else ready.push(value);
    }
  });
  return {
    next: () =>
      ready.length > 0 ? Promise.resolve(ready.shift()) : new Promise((resolve) => waiting.push(resolve)),
  };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const ended = (child) =>
  child.exitCode !== null || child.signalCode !== null
    ? null
    : new Promise((resolve) => child.on('exit', () => resolve(null)));
const p99 = (list) => list.sort((a, b) => a - b)[Math.floor(list.length * 0.99)] ?? null;
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

const because = cgroupBecause();
if (because !== null) {
  console.error(`no container can be made here: ${because}`);
  process.exit(3);
}
const dir = mkdtempSync(join(tmpdir(), 'wsguard-beside-'));
try {
  const files = writePair(dir);
  const runs = [];
  for (let run = 0; run < Number(values.runs); run += 1) {
    runs.push(await runOnce(files));
    if (!values.json) console.log(JSON.stringify(runs.at(-1)));
  }
  const count = (outcome) => runs.filter((run) => run.outcome === outcome).length;
  const result = {
    node: process.version,
    container: { mb: Number(values.mb), cores: Number(values.cores) },
    runs: runs.length,
    serversAlive: runs.filter(({ lives }) => lives).length,
    done: count('done'),
    refused: count('refused'),
    failed: count('failed'),
    medianSeconds: median(runs.map(({ seconds }) => seconds)),
    p99BeforeMs: median(runs.map(({ p99Before }) => p99Before)),
    p99DuringMs: median(runs.map(({ p99During }) => p99During)),
  };
  result.p99Ratio = result.p99DuringMs / result.p99BeforeMs;
  console.log(values.json ? JSON.stringify(result) : result);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
