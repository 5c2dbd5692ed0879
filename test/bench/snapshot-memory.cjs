// The process of `npm run bench -- snapshot-memory`: fills its heap with one shape of data and takes a snapshot of itself, in the
// process or in a forked child.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');
const { HeapAnalyzer } = require(path.join(__dirname, '..', '..', 'dist', 'index.js'));

const [shape, method, count, snapshotDir] = process.argv.slice(2);
const MIB = 1024 * 1024;
const ARRAY_ENTRIES = 100;
const SHAPES = {
  map: (n) => new Map(Array.from({ length: n }, (_, i) => [`key ${i}`, { i }])),
  array: (n) => Array.from({ length: n }, (_, i) => ({ id: i, text: `entry ${i}` })),
  'small arrays': (n) =>
    Array.from({ length: n / ARRAY_ENTRIES }, (_, k) =>
      Array.from({ length: ARRAY_ENTRIES }, (__, i) => ({ id: i, text: `entry ${k} ${i}` })),
    ),
};
globalThis.data = SHAPES[shape](Number(count));
gc();

const spaces = v8.getHeapSpaceStatistics();
const sum = (list) => list.reduce((bytes, { space_used_size: used }) => bytes + used, 0);
const heapBytes = sum(spaces);
const largeObjectBytes = sum(spaces.filter(({ space_name: name }) => name.includes('large_object')));
/** 0 when the process has ended. */
function peakBytes(pid) {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
  } catch {
    return 0;
  }
}

/** The peak of the forked child so far. The redaction process is a child too. */
function forkedPeakBytes() {
  const children = fs
    .readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean);
  const forked = children.filter((pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('wsguard-capture');
    } catch {
      return false;
    }
  });
  return Math.max(0, ...forked.map(peakBytes));
}

async function main() {
  // Sets the peak to the memory of now.
  fs.writeFileSync('/proc/self/clear_refs', '5');
  const beforeBytes = peakBytes(process.pid);
  let childBytes = 0;
  const timer = setInterval(() => (childBytes = Math.max(childBytes, forkedPeakBytes())), 5);
  const analyzer = new HeapAnalyzer({ snapshotDir, method, pauseBudgetMs: 600_000, redact: false });
  const snapshot = await analyzer.takeSnapshot('bench');
  clearInterval(timer);
  const grownBytes = (method === 'fork' ? childBytes : peakBytes(process.pid)) - beforeBytes;
  console.log(
    JSON.stringify({
      node: process.version,
      shape,
      method,
      outcome: snapshot.outcome,
      heapMib: Number((heapBytes / MIB).toFixed(1)),
      largeObjectMib: Number((largeObjectBytes / MIB).toFixed(1)),
      grownMib: Math.round(grownBytes / MIB),
      timesHeap: Number((grownBytes / heapBytes).toFixed(1)),
    }),
  );
}
void main();
