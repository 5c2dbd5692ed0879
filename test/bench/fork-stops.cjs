// Forks itself again and again, with a heap of 40 MB of small objects, for `npm run bench -- forks`. Each child ends at once. Prints
// the parts of each stop as a line of JSON.
'use strict';
const { closeSync, readFileSync } = require('node:fs');
const path = require('node:path');
const { loadAddon } = require(path.join(__dirname, '..', '..', 'dist', 'capture', 'native-addon.js'));

const count = Number(process.argv[2]);
const addon = loadAddon();
if ('outcome' in addon) throw new Error(addon.reason);
globalThis.entries = Array.from({ length: 475_000 }, (_, id) => ({ id, text: `entry ${id}` }));
const LIMITS = {
  deadlineMs: 60_000,
  maxCpuSeconds: 60,
  cpuShare: 1,
  maxGrowthBytes: 1e9,
  minAvailableBytes: 0,
  memoryGroups: [],
  spillFile: null,
  maxSpillBytes: 0,
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Milliseconds on a CPU, and of waiting for one. */
const readTimes = () =>
  readFileSync('/proc/thread-self/schedstat', 'latin1')
    .split(' ')
    .map((ns) => Number(ns) / 1e6);

async function forkOnce() {
  for (;;) {
    const markedRanges = await addon.scanMarkedRanges();
    const pipe = addon.openPipe();
    const before = readTimes();
    const forked = addon.forkCapture({ ...LIMITS, output: pipe.write, markedRanges }, () => undefined);
    const after = readTimes();
    closeSync(pipe.read);
    if (forked.outcome === 'forked') {
      while (addon.waitForCapture(forked.pid) === null) await sleep(5);
      const { stopMs, adviseMs, forkMs, restoreMs } = forked;
      return {
        stopMs,
        adviseMs,
        forkMs,
        restoreMs,
        cpuMs: after[0] - before[0],
        waitMs: after[1] - before[1],
      };
    }
    closeSync(pipe.write);
    await sleep(5);
  }
}

async function main() {
  for (let index = 0; index < count; index += 1) {
    console.log(JSON.stringify(await forkOnce()));
    await sleep(100);
  }
}

void main();
