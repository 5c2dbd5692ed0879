// Many captures one after the other, of a server over TLS with a busy thread pool, a busy Worker, child processes and churn. It
// counts the outcomes, dropped clients, and children, files, descriptors and memory mappings that stay. The server's own changes
// of these are counted first, without captures. `--help` lists the options.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { readLines } from './support/child-lines.mjs';
import { quantile } from './support/quantile.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const HELP = `npm run bench -- captures [options]
  --count 200      number of captures
  --minutes 10     take no capture after this time
  --node PATH      the Node of the server (default: the one that runs the bench)
  --json           print the result as JSON
The exit code is 1 after a hang, a dropped client, or when children, files or memory mappings stay.`;
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    count: { type: 'string', default: '200' },
    minutes: { type: 'string', default: '10' },
    node: { type: 'string', default: process.execPath },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const CLIENTS = 20;
/** The longest deadline of a forked child is 8 min. An answer that comes later than this is a hang. */
const HANG_MS = 9 * 60_000;
/** Chosen: in this time the number of mappings of V8's heap goes up and down many times. */
const CONTROL_SECONDS = 20;
/** Chosen: a capture that leaves a mapping leaves 1. Some come and go with the buffers of the thread pool. */
const MAX_MAPPINGS_PER_CAPTURE = 0.5;
/** Chosen: with fewer captures the buffers of the thread pool decide about the mappings. */
const MIN_COUNTED = 10;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-captures-'));
const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
execFileSync(
  'openssl',
  `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 -keyout ${key} -out ${cert}`.split(
    ' ',
  ),
  { stdio: 'pipe' },
);
const server = spawn(values.node, [join(here, 'captures-server.cjs'), join(dir, 'snapshots'), cert, key], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const nextLine = readLines(server);

const { port } = await nextLine(30_000);
let dropped = 0;
let messages = 0;
const sockets = Array.from({ length: CLIENTS }, () => {
  const socket = new WebSocket(`wss://127.0.0.1:${port}`, { rejectUnauthorized: false });
  socket.on('open', () => socket.send('ping'));
  socket.on('message', () => {
    messages += 1;
    setTimeout(() => socket.readyState === WebSocket.OPEN && socket.send('ping'), 20);
  });
  socket.on('close', () => (dropped += 1));
  socket.on('error', () => undefined);
  return socket;
});
await sleep(2_000);

async function countResources() {
  server.stdin.write('count\n');
  const line = await nextLine(30_000);
  return line?.resources ?? null;
}

const control = [];
for (let second = 0; second < CONTROL_SECONDS; second += 1) {
  await sleep(1_000);
  control.push(await countResources());
}
/** Resources after each capture, and before the first one. */
const counted = [await countResources()];
const outcomes = {};
const pausesMs = [];
const durationsMs = [];
let hangs = 0;
const endMs = performance.now() + Number(values.minutes) * 60_000;
for (let capture = 0; capture < Number(values.count) && performance.now() < endMs; capture += 1) {
  server.stdin.write('take\n');
  const line = await nextLine(HANG_MS);
  if (line === null) {
    hangs += 1;
    break;
  }
  const { snapshot, ms, resources } = line;
  const outcome =
    snapshot.outcome === 'written'
      ? 'written'
      : `${snapshot.outcome}: ${snapshot.code ?? ''} ${snapshot.reason}`;
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  if (snapshot.outcome === 'written') pausesMs.push(snapshot.pauseMs);
  durationsMs.push(ms);
  counted.push(resources);
}

const range = (numbers) => `${Math.min(...numbers)} to ${Math.max(...numbers)}`;
const mappingsOf = (list) => ({
  heap: range(list.map(({ mappings }) => mappings.heap)),
  other: range(list.map(({ mappings }) => mappings.other)),
});
/**
 * Mappings outside V8's heap that a capture leaves: the difference between the last and the first tenth of the captures. The
 * first capture is left out, because it loads code and starts threads. Null with too few captures.
 */
function mappingsPerCapture() {
  const others = counted.slice(2).map(({ mappings }) => mappings.other);
  if (others.length < MIN_COUNTED) return null;
  const tenth = Math.ceil(others.length / 10);
  const growth = quantile(others.slice(-tenth), 0.5) - quantile(others.slice(0, tenth), 0.5);
  return growth / (others.length - tenth);
}

const [atStart, last] = [counted[0], counted.at(-1)];
const leftPerCapture = mappingsPerCapture();
const result = {
  node: spawnSync(values.node, ['--version'], { encoding: 'utf8' }).stdout.trim(),
  outcomes,
  hangs,
  serverDied: server.exitCode !== null || server.signalCode !== null,
  droppedClients: dropped,
  messages,
  pauseMs: { p50: quantile(pausesMs, 0.5), p99: quantile(pausesMs, 0.99), max: quantile(pausesMs, 1) },
  seconds: { p50: quantile(durationsMs, 0.5) / 1000, max: quantile(durationsMs, 1) / 1000 },
  descriptors: { control: range(control.map(({ descriptors }) => descriptors)), atEnd: last.descriptors },
  childrenAtEnd: last.children,
  filesAtEnd: last.files,
  mappings: {
    control: mappingsOf(control),
    captures: mappingsOf(counted.slice(1)),
    atStart: atStart.mappings,
    atEnd: last.mappings,
    leftPerCapture,
  },
  load: loadavg()[0],
};
for (const socket of sockets) socket.removeAllListeners('close').terminate();
server.kill('SIGKILL');
rmSync(dir, { recursive: true, force: true });
console.log(values.json ? JSON.stringify(result) : result);
const isBad =
  hangs > 0 ||
  result.serverDied ||
  dropped > 0 ||
  last.children > 0 ||
  last.files > 0 ||
  (leftPerCapture ?? 0) > MAX_MAPPINGS_PER_CAPTURE;
process.exit(isBad ? 1 : 0);
