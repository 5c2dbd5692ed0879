// An echo server of about 60 MB. When a client asks for it, it analyses two snapshots as the watcher thread does.
'use strict';
const path = require('node:path');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');
const { getHeapStatistics } = require('node:v8');

const dist = path.join(__dirname, '..', '..', 'dist');

if (isMainThread) {
  const { WebSocketServer } = require('ws');
  const files = process.argv.slice(2);
  globalThis.ballast = Array.from({ length: 60_000 }, (_, id) => ({ id, text: `entry ${id}` }));
  const server = new WebSocketServer({ port: 0, perMessageDeflate: false });
  const writeLine = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
  server.on('listening', () => writeLine({ port: server.address().port }));
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const text = Buffer.from(data).toString('utf8');
      if (text === 'analyse') new Worker(__filename, { workerData: files }).on('message', writeLine);
      else socket.send(text);
    });
  });
} else {
  const { runAnalysis } = require(path.join(dist, 'snapshots/jobs.js'));
  const { createClock } = require(path.join(dist, 'core', 'clock.js'));
  const { createLimitsReader } = require(path.join(dist, 'sample', 'limits.js'));
  const limits = createLimitsReader({ execArgv: [], nodeOptions: '', v8: process.versions.v8 });
  const order = {
    files: workerData,
    dir: path.dirname(workerData[0]),
    clock: createClock(),
    keepAlive: true,
    limits: () => ({ ...limits.read(getHeapStatistics().heap_size_limit), availableBytes: null }),
  };
  void runAnalysis(order).then((answer) => {
    parentPort.postMessage(
      'schema' in answer ? { outcome: 'done', suspect: answer.suspects[0]?.name } : answer,
    );
  });
}
