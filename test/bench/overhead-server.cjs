'use strict';
// The server of the overhead bench: echo and broadcast over ws. It measures itself between the messages of its parent.
const { readdirSync, readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { WebSocket, WebSocketServer } = require('ws');

/** The server is idle when its threads have used or waited for less than this share of a core in so many windows in a row. */
const MAX_IDLE_SHARE = 0.1;
const IDLE_WINDOWS = 3;
const IDLE_WINDOW_MS = 50;
/** A server that is never idle is measured all the same. */
const MAX_SETTLE_MS = 4_000;
/** The agent looks for WebSockets once a second. */
const MAX_WRAP_MS = 10_000;

const bareSend = WebSocket.prototype.send;
let isEcho = true;
const http = createServer();
const wss = new WebSocketServer({ server: http, perMessageDeflate: false });
wss.on('connection', (ws) => {
  ws.on('message', (data) => {
    if (isEcho) ws.send(data);
    else for (const client of wss.clients) client.send(data);
  });
});
http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => reply({ port: http.address().port }));

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const reply = (value) => process.send(value);
const cpuUsSince = (earlier) => {
  const { user, system } = process.cpuUsage(earlier);
  return user + system;
};
let cpu = process.cpuUsage();

/** A thread that waits for a busy core uses no time on it, but it is not idle. The kernel gives both in nanoseconds. */
function busyMs() {
  try {
    return readdirSync('/proc/self/task').reduce((sum, task) => {
      const [usedNs, waitedNs] = readFileSync(`/proc/self/task/${task}/schedstat`, 'utf8')
        .split(' ')
        .map(Number);
      return sum + (usedNs + waitedNs) / 1e6;
    }, 0);
  } catch {
    return cpuUsSince() / 1_000;
  }
}

/** Garbage collections run until weak references and finalizers no longer change the heap. */
async function memory() {
  for (let round = 0; round < 3; round += 1) {
    await pause(30);
    globalThis.gc();
  }
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return { rssBytes: rss, heapBytes: heapUsed + arrayBuffers };
}

const commands = {
  async memory() {
    reply({ ...(await memory()), connections: wss.clients.size });
  },
  /** Replies when all threads of this process have been idle, after `minMs`, or when the time for that is over. */
  async settle({ minMs = 0 }) {
    await pause(minMs);
    const startMs = performance.now();
    let idle = 0;
    while (idle < IDLE_WINDOWS && performance.now() - startMs < MAX_SETTLE_MS) {
      const before = busyMs();
      await pause(IDLE_WINDOW_MS);
      idle = busyMs() - before < MAX_IDLE_SHARE * IDLE_WINDOW_MS ? idle + 1 : 0;
    }
    reply({ isIdle: idle === IDLE_WINDOWS, settleMs: performance.now() - startMs });
  },
  workload(message) {
    isEcho = message.workload === 'echo';
    reply({});
  },
  async awaitWrap({ isUndone }) {
    const endMs = performance.now() + MAX_WRAP_MS;
    while (WebSocket.prototype.send === bareSend && performance.now() < endMs) await pause(10);
    if (isUndone) WebSocket.prototype.send = bareSend;
    reply({});
  },
  start() {
    cpu = process.cpuUsage();
    reply({});
  },
  stop() {
    const cpuUs = cpuUsSince(cpu);
    reply({ cpuUs, isWrapped: WebSocket.prototype.send !== bareSend });
  },
};
process.on('message', (message) => commands[message.command](message));
process.on('disconnect', () => process.exit());
