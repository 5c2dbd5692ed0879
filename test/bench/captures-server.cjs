// A server over TLS with a busy thread pool, a busy Worker, child processes and churn in its heap, for
// `npm run bench -- captures`. For the line `take` of stdin it takes a snapshot, for `count` it counts its resources.
'use strict';
const { execFile } = require('node:child_process');
const { randomBytes, scrypt } = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');
const { availableParallelism } = require('node:os');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const zlib = require('node:zlib');
const { WebSocketServer } = require('ws');
const { HeapAnalyzer } = require(path.join(__dirname, '..', '..', 'dist', 'index.js'));

const [dir, cert, key] = process.argv.slice(2);
/**
 * The number of pool threads that work at any time. One core is left for the captures: their processes have a low priority, and
 * with no core left one capture takes a minute instead of some seconds (measured on two cores).
 */
const POOL_TASKS = Math.max(1, availableParallelism() - 1);
/** The churn is the same with any size. A small heap makes each capture short. */
const RING_ENTRIES = 6_000;
const SOME_BYTES = randomBytes(200_000);

function keepPoolBusy() {
  const tasks = [
    (done) => scrypt('password', 'salt', 32, { N: 256 }, done),
    (done) => zlib.deflate(SOME_BYTES, { level: 1 }, done),
    (done) => zlib.brotliCompress(SOME_BYTES.subarray(0, 20_000), done),
    (done) => fs.readFile(__filename, done),
  ];
  let next = 0;
  const run = () => tasks[(next += 1) % tasks.length](() => setImmediate(run));
  for (let task = 0; task < POOL_TASKS; task += 1) run();
}

function keepWorkerBusy() {
  const churn = `setInterval(() => { const list = []; for (let i = 0; i < 20_000; i += 1) list.push({ i }); }, 20)`;
  new Worker(churn, { eval: true });
}

function keepChildrenComing() {
  const run = () => execFile('/bin/true', () => setTimeout(run, 50));
  run();
}

function keepHeapChanging() {
  const ring = [];
  setInterval(() => {
    for (let i = 0; i < 1_000; i += 1) ring.push({ i, text: `entry ${i}` });
    if (ring.length > RING_ENTRIES) ring.length = 0;
  }, 10);
}

const writeLine = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const childrenOf = (pid) =>
  fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
const nameOf = (pid) => {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
};
/**
 * Memory mappings of this process, at most 65,530. V8 marks those of its heap ("dc": do not copy on fork), and their number
 * follows the churn. The others are code, thread stacks, memory of malloc, and parts of the heap that lost their mark.
 */
function countMappings() {
  const flags = fs.readFileSync('/proc/self/smaps', 'latin1').match(/^VmFlags:.*$/gm) ?? [];
  const heap = flags.filter((line) => line.includes(' dc')).length;
  return { heap, other: flags.length - heap };
}

/** Counts the resources of a capture that must be gone after it. `/bin/true` is a child of the server itself. */
const leftovers = () => ({
  descriptors: fs.readdirSync('/proc/self/fd').length,
  mappings: countMappings(),
  children: childrenOf(process.pid).filter((pid) => !['true', ''].includes(nameOf(pid))).length,
  files: fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => name.includes('.tmp')).length : 0,
});

async function take() {
  const analyzer = new HeapAnalyzer({
    snapshotDir: dir,
    method: 'fork',
    pauseBudgetMs: 600_000,
    maxSnapshots: 1e6,
  });
  const startedMs = performance.now();
  const snapshot = await analyzer.takeSnapshot('bench');
  const ms = performance.now() - startedMs;
  if (snapshot.outcome === 'written') fs.unlinkSync(snapshot.file);
  writeLine({ snapshot, ms, resources: leftovers() });
}

keepPoolBusy();
keepWorkerBusy();
keepChildrenComing();
keepHeapChanging();
const server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
new WebSocketServer({ server }).on('connection', (socket) =>
  socket.on('message', (data) => socket.send(data)),
);
server.listen(0, '127.0.0.1', () => writeLine({ port: server.address().port }));
process.stdin.on('data', (line) =>
  String(line) === 'take\n' ? void take() : writeLine({ resources: leftovers() }),
);
