// For the servers of `bench -- audit` and `bench -- capture`: an echo server, lines of JSON, and the largest gap of the
// event loop.
'use strict';
const fs = require('node:fs');
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

/** CPU time of this thread and the time that it waited for a CPU, both in ns; zeros without Linux. */
function readSchedule() {
  try {
    const [cpuNs, waitNs] = fs.readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ').map(Number);
    return { cpuNs, waitNs };
  } catch {
    return { cpuNs: 0, waitNs: 0 };
  }
}

/**
 * The largest time between two turns of the event loop since `reset()`, to 2 ms, and what the thread did in it: CPU time in
 * all and in the kernel, the wait for a CPU, page faults. A gap in which it waited for a CPU comes from other processes.
 */
function watchLoopGap() {
  const now = () => ({ ms: performance.now(), ...readSchedule(), ...process.resourceUsage() });
  let last = now();
  let resetMs = last.ms;
  let largest = { gapMs: 0 };
  setInterval(() => {
    const turn = now();
    const gapMs = turn.ms - last.ms;
    if (gapMs > largest.gapMs)
      largest = {
        gapMs,
        atMs: last.ms - resetMs,
        cpuMs: (turn.cpuNs - last.cpuNs) / 1e6,
        // Node reports it for all threads of the process together.
        kernelMs: (turn.systemCPUTime - last.systemCPUTime) / 1e3,
        waitMs: (turn.waitNs - last.waitNs) / 1e6,
        pageFaults: turn.minorPageFault - last.minorPageFault,
      };
    last = turn;
  }, 2);
  return {
    reset() {
      last = now();
      resetMs = last.ms;
      largest = { gapMs: 0 };
    },
    largest: () => largest,
    maxMs: () => largest.gapMs,
  };
}

module.exports = { startEchoServer, watchLoopGap, writeLine };
