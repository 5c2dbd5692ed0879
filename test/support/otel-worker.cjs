// Runs the built exporter in a thread with its own environment, like the watcher. Jest's sandbox cannot do this, because
// the OTLP exporters load http by a dynamic import.
const { parentPort, workerData } = require('node:worker_threads');
const { createClock } = require('../../dist/core/clock.js');
const { metricsFor } = require('../../dist/export/metrics.js');
const { startOtel } = require('../../dist/export/otel.js');

const problems = [];
const recovered = [];
const otel = startOtel({
  env: process.env,
  clock: createClock(),
  metrics: metricsFor('off'),
  readState: () => workerData.state,
  resource: workerData.resource,
  version: '0.1.0',
  onProblem: (problem) => problems.push(problem),
  onRecovered: (signal) => recovered.push(signal),
});

const commands = {
  emit: (alerts) => alerts.forEach((alert) => otel.emitAlert(alert)),
  flush: () => otel.flush(),
  stop: () => otel.stop(),
  state: () => undefined,
};

async function run({ command, argument }) {
  await commands[command](argument);
  parentPort.postMessage({ exports: otel.exports, problems, recovered, droppedLogs: otel.droppedLogs() });
}

parentPort.on('message', (message) => void run(message));
