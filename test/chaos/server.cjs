'use strict';
// The server of the chaos run: it echoes over ws, and harms itself when the parent says so. With `leak` it keeps an entry
// for each connection that has closed, so that there is an alert to deliver.
const fs = require('node:fs');
const { createServer } = require('node:http');
const { Session } = require('node:inspector');
const v8 = require('node:v8');
const { WebSocketServer } = require('ws');

const [, , agentFile, mode] = process.argv;
const agent = agentFile === 'none' ? null : require(agentFile).start();
const http = createServer();
const wss = new WebSocketServer({ server: http, perMessageDeflate: false });
const MIB = 1 << 20;
/** Longer than the period between two samples at time scale 60. */
const SAMPLE_MS = 500;
/** About 4 MB of objects: they reach old space before they are dropped. */
const MAX_RECENT = 40;
const entries = new Map();
let serial = 0;
let watcher = null;
let descriptors = [];
let garbage = [];
let pressure;

process.on('worker', (worker) => (watcher = worker));
wss.on('connection', (ws) => {
  const id = (serial += 1);
  if (mode === 'leak') entries.set(id, { id, openedAt: Date.now() });
  ws.on('message', (data) => ws.send(data));
});
http.listen(0, '127.0.0.1', () => process.send({ port: http.address().port }));

/** Opens files until the process has no descriptor left. */
function takeDescriptors() {
  try {
    for (;;) descriptors.push(fs.openSync('/dev/null', 'r'));
  } catch (error) {
    return error.code;
  }
}

/**
 * Fills old space to 90 % of its capacity, and then allocates what survives some minor GCs, so that V8 starts one major GC
 * after the other. Old space is smaller than `heap_size_limit`, which includes three semi-spaces.
 */
function fillHeap() {
  const capacityBytes = Number(/\d+/.exec(process.execArgv.find((flag) => flag.includes('old-space')))) * MIB;
  const usedBytes = () =>
    v8.getHeapSpaceStatistics().find((space) => space.space_name === 'old_space').space_used_size;
  while (usedBytes() < capacityBytes * 0.9) garbage.push(makeEntries());
  const recent = [];
  pressure = setInterval(() => {
    recent.push(makeEntries());
    if (recent.length > MAX_RECENT) recent.shift();
  }, 5);
  return `${Math.round(usedBytes() / MIB)} of ${Math.round(capacityBytes / MIB)} MiB of old space used`;
}

const makeEntries = () => Array.from({ length: 1_000 }, (_, at) => ({ at, text: `entry ${at}` }));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Until weak references and finalizers no longer change the heap. */
async function collectGarbage() {
  for (let round = 0; round < 3; round += 1) {
    await pause(30);
    globalThis.gc();
  }
}

/** The results of inspector methods that run in the watcher thread, in their order; null while no watcher runs. */
async function inWatcher(...calls) {
  const session = new Session();
  session.connect();
  let sessionId = null;
  const waiting = [];
  session.on('NodeWorker.attachedToWorker', ({ params }) => (sessionId = params.sessionId));
  session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
    const { id, result } = JSON.parse(params.message);
    if (id !== undefined) waiting[id](result);
  });
  const ask = ([method, params = {}], id) =>
    new Promise((resolve) => {
      waiting[id] = resolve;
      const message = JSON.stringify({ id, method, params });
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
    });
  try {
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
    await pause(50);
    if (sessionId === null) return null;
    return await Promise.race([Promise.all(calls.map(ask)), pause(5_000).then(() => null)]);
  } finally {
    session.disconnect();
  }
}

/** Bytes after a major GC; null while no watcher runs. */
async function watcherHeap() {
  const results = await inWatcher(['HeapProfiler.collectGarbage'], ['Runtime.getHeapUsage']);
  return results === null ? null : results[1].usedSize;
}

/** The time in the watcher thread, which clock-shift.cjs shifts. */
async function watcherTime() {
  const results = await inWatcher(['Runtime.evaluate', { expression: 'Date.now()' }]);
  return results === null ? null : results[0].result.value;
}

const commands = {
  'take-descriptors': takeDescriptors,
  'release-descriptors': () => {
    for (const descriptor of descriptors) fs.closeSync(descriptor);
    descriptors = [];
  },
  'fill-heap': fillHeap,
  'release-heap': () => {
    clearInterval(pressure);
    garbage = [];
  },
  // clock-shift.cjs has shifted it.
  'shift-clock': () => (agent === null ? null : watcherTime()),
  'end-watcher': () => watcher && watcher.terminate().then(() => 'ended'),
  block: ({ ms }) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
  snapshot: () =>
    agent &&
    agent
      .snapshot('chaos')
      .then(({ outcome, code, reason }) => [outcome, code, reason].filter(Boolean).join(' ')),
  async memory() {
    await collectGarbage();
    // The next sample drops what the agent had noted about connections that are now collected.
    await pause(SAMPLE_MS);
    await collectGarbage();
    const { rss, heapUsed } = process.memoryUsage();
    const watcherHeapBytes = agent === null ? 0 : await watcherHeap();
    return { rssBytes: rss, heapBytes: heapUsed, watcherHeapBytes, connections: wss.clients.size };
  },
};
process.on('message', async ({ command, id, ...rest }) => {
  if (!Object.hasOwn(commands, command)) return;
  const value = await Promise.resolve(commands[command](rest)).catch((error) => String(error));
  process.send({ id, value });
});
process.on('disconnect', () => process.exit());
