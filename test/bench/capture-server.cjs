// An echo server with a heap of small objects, for `npm run bench -- capture`. It takes a snapshot for a line of stdin,
// and exits on the line `exit`.
'use strict';
const path = require('node:path');
const { constants, PerformanceObserver } = require('node:perf_hooks');
const { HeapAnalyzer } = require(path.join(__dirname, '..', '..', 'dist', 'index.js'));
const { startEchoServer, watchLoopGap, writeLine } = require('./support/echo-server.cjs');

const [method, mib, dir, gcSeconds = '', bufferMib = '0'] = process.argv.slice(2);
/** With `--expose-gc`: a full GC before the snapshot and at these seconds after the request. */
const gcTimes = gcSeconds.split(',').filter(Boolean).map(Number);
/** Measured: an entry of this kind takes 88 bytes with its string and its slot. */
const ENTRY_BYTES = 88;
const entries = [];
for (let id = 0; id < (Number(mib) * 1024 * 1024) / ENTRY_BYTES; id += 1)
  entries.push({ id, text: `entry ${id}` });
globalThis.entries = entries;
// Filled, because a page that was never written takes no memory.
globalThis.buffers = Array.from({ length: Number(bufferMib) }, () => Buffer.alloc(1024 * 1024, 1));

const gap = watchLoopGap();
/** The longest stop for a major GC since the last line of stdin. */
let majorGcMs = 0;
new PerformanceObserver((list) => {
  for (const { detail, duration } of list.getEntries())
    if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) majorGcMs = Math.max(majorGcMs, duration);
}).observe({ entryTypes: ['gc'] });
startEchoServer(() => ({ pid: process.pid, heapBytes: process.memoryUsage().heapUsed }));
const analyzer = new HeapAnalyzer({ snapshotDir: dir, method, pauseBudgetMs: 600_000 });
let gcs = [];
function collect(atSeconds) {
  const startedMs = performance.now();
  globalThis.gc();
  gcs.push({ atSeconds, ms: Math.round(performance.now() - startedMs) });
}
process.stdin.on('data', (line) => {
  if (String(line) === 'exit\n') process.exit();
  const majorGcBeforeMs = majorGcMs;
  majorGcMs = 0;
  // Forgets the GCs of the start.
  if (String(line) === 'reset\n') return;
  gcs = [];
  // The first one frees garbage of the start.
  if (gcTimes.length > 0) [-2, -1].forEach(collect);
  for (const atSeconds of gcTimes) setTimeout(collect, atSeconds * 1000, atSeconds).unref();
  gap.reset();
  void analyzer
    .takeSnapshot('bench')
    .then((snapshot) => writeLine({ snapshot, gap: gap.largest(), gcs, majorGcMs, majorGcBeforeMs }));
});
