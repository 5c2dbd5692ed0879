// A server with a heap of small objects, for `npm run bench -- audit`. It takes a census of containers for each line of stdin.
'use strict';
const path = require('node:path');
const { start } = require(path.join(__dirname, '..', '..', 'dist', 'index.js'));
const { startEchoServer, watchLoopGap, writeLine } = require('./support/echo-server.cjs');

const [megabytes, dir] = process.argv.slice(2);
/** Measured: in a snapshot an entry takes 149 bytes, and the server and the agent 8 MB. */
const ENTRY_BYTES = 149;
const BASE_BYTES = 8e6;
const entries = new Map();
const add = (count) => {
  for (let id = entries.size, end = id + count; id < end; id += 1)
    entries.set(id, { id, text: `entry ${id}` });
};
add((Number(megabytes) * 1e6 - BASE_BYTES) / ENTRY_BYTES);
globalThis.entries = entries;

const gap = watchLoopGap();
const agent = start({ audit: 'off', dir });
startEchoServer();
process.stdin.on('data', async () => {
  gap.reset();
  let audit = await agent.audit();
  // The first sample comes some seconds after the start.
  for (let attempt = 0; attempt < 60 && audit.reason === 'the agent has no sample yet'; attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    gap.reset();
    audit = await agent.audit();
  }
  writeLine({ audit, maxGapMs: gap.maxMs() });
  add(1000);
});
