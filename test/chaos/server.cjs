'use strict';
// The server of the chaos run: it echoes over ws, and harms itself when the parent says so. With `leak` it keeps an entry
// for each connection that has closed, so that there is an alert to deliver.
const fs = require('node:fs');
const { createServer } = require('node:http');
const v8 = require('node:v8');
const { WebSocketServer } = require('ws');

const [, , agentFile, mode] = process.argv;
const agent = agentFile === 'none' ? null : require(agentFile).start();
const http = createServer();
const wss = new WebSocketServer({ server: http, perMessageDeflate: false });
const entries = new Map();
let serial = 0;
let watcher = null;
let descriptors = [];
let garbage = [];

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

/** Fills the heap to 85 % of its limit. */
function fillHeap() {
  const { heap_size_limit: limit } = v8.getHeapStatistics();
  while (process.memoryUsage().heapUsed < limit * 0.85) {
    garbage.push(Array.from({ length: 1_000 }, (_, at) => ({ at, text: `entry ${at}` })));
  }
  return `${Math.round(process.memoryUsage().heapUsed / 1e6)} of ${Math.round(limit / 1e6)} MB used`;
}

const commands = {
  'take-descriptors': takeDescriptors,
  'release-descriptors': () => {
    for (const descriptor of descriptors) fs.closeSync(descriptor);
    descriptors = [];
  },
  'fill-heap': fillHeap,
  'release-heap': () => void (garbage = []),
  'end-watcher': () => watcher && watcher.terminate().then(() => 'ended'),
  block: ({ ms }) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
  snapshot: () =>
    agent && agent.snapshot('chaos').then(({ outcome, reason = '' }) => `${outcome} ${reason}`.trim()),
  memory: () => {
    globalThis.gc();
    const { rss, heapUsed } = process.memoryUsage();
    return { rssBytes: rss, heapBytes: heapUsed, connections: wss.clients.size };
  },
};
process.on('message', async ({ command, id, ...rest }) => {
  if (!Object.hasOwn(commands, command)) return;
  const value = await Promise.resolve(commands[command](rest)).catch((error) => String(error));
  process.send({ id, value });
});
process.on('disconnect', () => process.exit());
