// For the servers of `bench -- audit` and `bench -- capture`: an echo server, lines of JSON, and the largest gap of the
// event loop.
'use strict';
const { WebSocketServer } = require('ws');

/** Echoes each message. `details()` is added to the line that has the port. */
function startEchoServer(details = () => ({})) {
  const server = new WebSocketServer({ port: 0, perMessageDeflate: false });
  server.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
  server.on('listening', () => writeLine({ port: server.address().port, ...details() }));
}

function writeLine(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** The largest time between two turns of the event loop since `reset()`, in ms, to 2 ms. */
function watchLoopGap() {
  let maxGapMs = 0;
  let lastMs = performance.now();
  setInterval(() => {
    const nowMs = performance.now();
    maxGapMs = Math.max(maxGapMs, nowMs - lastMs);
    lastMs = nowMs;
  }, 2);
  return {
    reset() {
      maxGapMs = 0;
    },
    maxMs: () => maxGapMs,
  };
}

module.exports = { startEchoServer, watchLoopGap, writeLine };
