// An echo server with a heap of small objects, for `npm run bench -- capture`. It takes a snapshot for each line of stdin,
// and exits on the line `exit`.
'use strict';
const path = require('node:path');
const { HeapAnalyzer } = require(path.join(__dirname, '..', '..', 'dist', 'index.js'));
const { startEchoServer, watchLoopGap, writeLine } = require('./support/echo-server.cjs');

const [method, mib, dir] = process.argv.slice(2);
/** Measured: an entry of this kind takes 88 bytes with its string and its slot. */
const ENTRY_BYTES = 88;
const entries = [];
for (let id = 0; id < (Number(mib) * 1024 * 1024) / ENTRY_BYTES; id += 1)
  entries.push({ id, text: `entry ${id}` });
globalThis.entries = entries;

const gap = watchLoopGap();
startEchoServer(() => ({ pid: process.pid, heapBytes: process.memoryUsage().heapUsed }));
const analyzer = new HeapAnalyzer({ snapshotDir: dir, method, pauseBudgetMs: 600_000 });
process.stdin.on('data', (line) => {
  if (String(line) === 'exit\n') process.exit();
  gap.reset();
  void analyzer.takeSnapshot('bench').then((snapshot) => writeLine({ snapshot, maxGapMs: gap.maxMs() }));
});
