// `npm run bench -- buffers [--json] [--buffers 1024] [--heap 40]`: what a process with many MiB of Buffers pays for the start of
// a program, from this thread and from a Worker, and what it costs to find its ArrayBuffers with the inspector.
import { spawn } from 'node:child_process';
import { Session } from 'node:inspector';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { quantile } from './support/quantile.mjs';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    buffers: { type: 'string', default: '1024' },
    heap: { type: 'string', default: '40' },
  },
});
const MIB = 1024 * 1024;
/** Measured: an entry of this kind takes 88 bytes with its string and its slot. */
const ENTRY_BYTES = 88;
const REPEATS = 5;
const WORKER_STARTS_MS = 500;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Filled, because a page that was never written takes no memory.
globalThis.buffers = Array.from({ length: Number(values.buffers) }, () => Buffer.alloc(MIB, 1));
globalThis.entries = Array.from({ length: (Number(values.heap) * MIB) / ENTRY_BYTES }, (_, id) => ({
  id,
  text: `entry ${id}`,
}));

/** Milliseconds on the clock and of CPU. */
function time(task) {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const result = task();
  const ms = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  return { result, ms, cpuMs: (user + system) / 1000 };
}

async function timeSpawn() {
  const { result: child, ...times } = time(() => spawn('/bin/true'));
  await new Promise((resolve) => child.on('close', resolve));
  return times;
}

/** The largest gap of this thread's event loop while a Worker starts a program. */
async function gapOfWorkerSpawn() {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     parentPort.on('message', () => { require('node:child_process').spawn('/bin/true'); });`,
    { eval: true },
  );
  await sleep(WORKER_STARTS_MS);
  let lastMs = performance.now();
  let gapMs = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    gapMs = Math.max(gapMs, nowMs - lastMs - 1);
    lastMs = nowMs;
    // A server allocates memory all the time, and the kernel lets it wait during a fork.
    Buffer.alloc(300_000);
  }, 1);
  worker.postMessage('spawn');
  await sleep(WORKER_STARTS_MS);
  clearInterval(timer);
  await worker.terminate();
  return gapMs;
}

function findArrayBuffers() {
  const session = new Session();
  session.connect();
  const post = (method, params) => {
    let result;
    session.post(method, params, (error, value) => {
      if (error) throw error;
      result = value;
    });
    return result;
  };
  const { objectId } = post('Runtime.evaluate', { expression: 'ArrayBuffer.prototype' }).result;
  const { ms, cpuMs } = time(() => post('Runtime.queryObjects', { prototypeObjectId: objectId }));
  session.disconnect();
  return { ms, cpuMs };
}

const median = (list, name) =>
  Math.round(
    quantile(
      list.map((times) => times[name]),
      0.5,
    ),
  );
const repeat = async (task) => {
  const results = [];
  for (let turn = 0; turn < REPEATS; turn += 1) results.push(await task());
  return results;
};
await timeSpawn();
const spawns = await repeat(timeSpawn);
const gaps = await repeat(async () => ({ ms: await gapOfWorkerSpawn() }));
const searches = await repeat(() => Promise.resolve(findArrayBuffers()));
const result = {
  node: process.version,
  buffersMib: Number(values.buffers),
  heapMib: Number(values.heap),
  spawnMs: median(spawns, 'ms'),
  spawnCpuMs: median(spawns, 'cpuMs'),
  gapOfWorkerSpawnMs: median(gaps, 'ms'),
  queryObjectsMs: median(searches, 'ms'),
  queryObjectsCpuMs: median(searches, 'cpuMs'),
  load: loadavg()[0],
};
console.log(values.json ? JSON.stringify(result) : result);
