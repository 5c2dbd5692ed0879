// An echo server with a heap of small objects, for `npm run bench -- capture`. It takes a snapshot for each line of stdin.
'use strict';
const path = require('node:path');
const { WebSocketServer } = require('ws');
const { HeapAnalyzer } = require(path.join(__dirname, '..', '..', 'dist', 'index.js'));

const [method, mib, dir] = process.argv.slice(2);
/** Measured: an entry of this kind takes 88 bytes with its string and its slot. */
const ENTRY_BYTES = 88;
const entries = [];
for (let id = 0; id < (Number(mib) * 1024 * 1024) / ENTRY_BYTES; id += 1)
  entries.push({ id, text: `entry ${id}` });
globalThis.entries = entries;

const writeLine = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
let maxGapMs = 0;
let lastMs = performance.now();
setInterval(() => {
  const nowMs = performance.now();
  maxGapMs = Math.max(maxGapMs, nowMs - lastMs);
  lastMs = nowMs;
}, 2);

const server = new WebSocketServer({ port: 0, perMessageDeflate: false });
server.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
server.on('listening', () => {
  writeLine({ port: server.address().port, heapBytes: process.memoryUsage().heapUsed });
});
const analyzer = new HeapAnalyzer({ snapshotDir: dir, method, pauseBudgetMs: 600_000 });
process.stdin.on('data', () => {
  maxGapMs = 0;
  void analyzer.takeSnapshot('bench').then((snapshot) => writeLine({ snapshot, maxGapMs }));
});
