// Measures what the agent costs a server: CPU per message at a fixed number of messages, p99 of the round trip, RSS, and
// bytes a connection. Each round runs all modes, in alternating order; `control` is a second run without an agent.
// Options: --connections 20,1000,10000 --workload echo,broadcast --modes bare,control,agent --rounds 20 --messages 60000
//          --plot (cost against connections from 100 to 20,000, written to docs/overhead.svg) --json
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { plotCost } from './overhead-plot.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const require = createRequire(import.meta.url);
const { AGENTS, agentArguments } = require('../../fixtures/components/catalogue.js');
const { freePorts } = require('../../fixtures/components/process.js');

const AGENT = ['--require', join(root, 'dist', 'index.js')];
const MODES = {
  bare: {},
  control: {},
  agent: { execArgv: () => AGENT },
  'no-send-wrap': { execArgv: () => AGENT, withoutSendWrap: true },
  exports: { execArgv: () => AGENT, exports: true },
  opentelemetry: { execArgv: () => agentArguments('opentelemetry'), other: true },
  ddtrace: { execArgv: () => agentArguments('ddtrace'), other: true },
};
const PLOT_CONNECTIONS = [100, 300, 1_000, 3_000, 10_000, 20_000];
/** Each process needs some descriptors beside its connections. */
const SPARE_DESCRIPTORS = 200;
/** The watcher has started by then, so that its start is not part of the work. */
const SETTLE_MS = 1_500;
const GOALS = { cpuRatio: 1.02, bytesPerConnection: 150 };

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    plot: { type: 'boolean', default: false },
    connections: { type: 'string', default: '20,1000,10000' },
    workload: { type: 'string', default: 'echo,broadcast' },
    modes: { type: 'string', default: Object.keys(MODES).join(',') },
    rounds: { type: 'string' },
    messages: { type: 'string', default: '60000' },
  },
});
const MESSAGES = Number(values.messages);
const maxConnections =
  Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' })) - SPARE_DESCRIPTORS || Infinity;
const limited = (count) => Math.min(count, maxConnections);

/** Many connections take long to open and vary less, and other agents are compared by ratio only. */
const roundsOf = (connections, mode) => {
  const rounds = Number(values.rounds ?? (connections > 3_000 ? 5 : 20));
  return MODES[mode].other && values.rounds === undefined ? Math.ceil(rounds / 3) : rounds;
};

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'wsguard-overhead-'));
  const sink = createServer((request, response) => request.resume().on('end', () => response.end('{}')));
  sink.listen(0, '127.0.0.1');
  await once(sink, 'listening');
  try {
    const context = { folder, collector: `http://127.0.0.1:${sink.address().port}` };
    const result = values.plot ? await plot(context) : await compare(context);
    if (values.json) console.log(JSON.stringify(result));
    else print(result);
  } finally {
    sink.closeAllConnections();
    sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function chosenModes() {
  const modes = values.modes.split(',');
  const unknown = modes.filter((mode) => !Object.hasOwn(MODES, mode));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown}. Modes: ${Object.keys(MODES).join(', ')}`);
  const missing = modes.filter((mode) => mode in AGENTS && agentArguments(mode) === null);
  for (const mode of missing)
    console.error(`left out: ${mode}. Install it with: npm run components -- ${mode}`);
  return modes.filter((mode) => !missing.includes(mode));
}

async function compare(context) {
  const modes = chosenModes();
  const results = [];
  for (const connections of values.connections.split(',').map(Number).map(limited)) {
    for (const workload of values.workload.split(',')) {
      const runs = await measure(context, { connections, workload, modes });
      results.push({ connections, workload, modes: summarise(runs, connections) });
    }
  }
  return { ...header(), goals: GOALS, results };
}

const header = () => ({
  schema: 'wsguard.bench.overhead/1',
  node: process.version,
  messages: MESSAGES,
  instructions: instructionCounts(),
});

/** @returns {Promise<Record<string, object[]>>} the runs of each mode; run n of two modes belong to the same round */
async function measure(context, { connections, workload, modes }) {
  const runs = Object.fromEntries(modes.map((mode) => [mode, []]));
  const rounds = Math.max(...modes.map((mode) => roundsOf(connections, mode)));
  for (let turn = 0; turn < rounds; turn += 1) {
    const order = turn % 2 === 0 ? modes : modes.toReversed();
    for (const mode of order) {
      if (turn >= roundsOf(connections, mode)) continue;
      const run = await runOnce(context, { connections, workload, mode });
      runs[mode].push(run);
      if (!values.json) console.error(`${workload} ${connections} ${mode}: ${round(run.cpuUsPerMessage)} us`);
    }
  }
  return runs;
}

async function runOnce({ folder, collector }, { connections, workload, mode }) {
  const { execArgv = () => [], exports = false, withoutSendWrap = false } = MODES[mode];
  const env = { ...process.env, NODE_OPTIONS: '', ...otherAgents(collector) };
  let page = null;
  if (exports) {
    const { prometheus } = await freePorts(['prometheus']);
    page = `http://127.0.0.1:${prometheus}/metrics`;
    Object.assign(env, {
      WSGUARD_PROMETHEUS_PORT: String(prometheus),
      OTEL_EXPORTER_OTLP_ENDPOINT: collector,
    });
    env.OTEL_METRIC_EXPORT_INTERVAL = '1000';
  }
  const server = startProcess(join(here, 'overhead-server.cjs'), [workload], {
    cwd: folder,
    env,
    execArgv: ['--expose-gc', ...execArgv()],
  });
  const peers = startProcess(join(here, 'overhead-peers.cjs'), [], { execArgv: [] });
  try {
    const { port } = await server.next();
    await pause(SETTLE_MS);
    const empty = await server.ask({ command: 'memory' });
    await peers.ask({ command: 'open', port, connections });
    await pause(SETTLE_MS);
    const scrapes = page === null ? null : setInterval(() => scrape(page), 1_000);
    // The first messages compile the code.
    await peers.ask({
      command: 'work',
      workload,
      messages: messagesOf(workload, connections, MESSAGES / 10),
    });
    await server.ask({ command: 'start', withoutSendWrap });
    const messages = messagesOf(workload, connections, MESSAGES);
    const { p99Ms, received } = await peers.ask({ command: 'work', workload, messages });
    const { cpuUs, isWrapped } = await server.ask({ command: 'stop' });
    clearInterval(scrapes);
    if (execArgv() === AGENT && isWrapped === withoutSendWrap)
      throw new Error(`${mode}: send is not as expected`);
    const full = await server.ask({ command: 'memory' });
    if (full.connections !== connections)
      throw new Error(`${full.connections} of ${connections} connections are left`);
    return {
      cpuUsPerMessage: cpuUs / received,
      p99Ms,
      rssMb: full.rssBytes / 1e6,
      heapMb: full.heapBytes / 1e6,
      bytesPerConnection: (full.heapBytes - empty.heapBytes) / connections,
    };
  } finally {
    peers.child.kill('SIGKILL');
    server.child.kill('SIGKILL');
  }
}

/** A broadcast makes one message to each connection. */
const messagesOf = (workload, connections, messages) =>
  Math.max(2, Math.round(workload === 'echo' ? messages : messages / connections));

/** Both send their traces to the sink of this bench, or drop them there. */
const otherAgents = (collector) => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: '',
  OTEL_TRACES_EXPORTER: 'otlp',
  OTEL_METRICS_EXPORTER: 'otlp',
  OTEL_LOGS_EXPORTER: 'none',
  OTEL_NODE_RESOURCE_DETECTORS: 'none',
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector}/v1/traces`,
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${collector}/v1/metrics`,
  DD_TRACE_AGENT_URL: collector,
  DD_INSTRUMENTATION_TELEMETRY_ENABLED: 'false',
  DD_REMOTE_CONFIGURATION_ENABLED: 'false',
});
const scrape = (page) =>
  fetch(page)
    .then((answer) => answer.text())
    .catch(() => null);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A forked process that answers each message with one message. */
function startProcess(file, args, options) {
  const child = fork(file, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], ...options });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr = (stderr + text).slice(-4_000)));
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${file} ended with ${code ?? signal}: ${stderr}`);
  });
  ended.catch(() => {});
  const next = () => Promise.race([once(child, 'message').then(([message]) => message), ended]);
  return {
    child,
    next,
    ask(message) {
      child.send(message);
      return next();
    },
  };
}

const quantile = (numbers, share) => {
  const ascending = numbers.toSorted((a, b) => a - b);
  const position = (ascending.length - 1) * share;
  const low = ascending[Math.floor(position)];
  return low + (ascending[Math.ceil(position)] - low) * (position - Math.floor(position));
};
const round = (number, digits = 3) => Number(number.toFixed(digits));

/** Ratios and differences are made in pairs: with the run without an agent of the same round. */
function summarise(runs, connections) {
  const bare = runs.bare ?? runs.control ?? [];
  const ratiosOf = (mode) =>
    runs[mode].flatMap((run, n) => (bare[n] ? [run.cpuUsPerMessage / bare[n].cpuUsPerMessage] : []));
  const addedOf = (mode, field) =>
    runs[mode].flatMap((run, n) => (bare[n] ? [run[field] - bare[n][field]] : []));
  const spread = (numbers) =>
    numbers.length === 0
      ? null
      : {
          median: round(quantile(numbers, 0.5)),
          q1: round(quantile(numbers, 0.25)),
          q3: round(quantile(numbers, 0.75)),
        };
  return Object.fromEntries(
    Object.entries(runs).map(([mode, list]) => {
      const median = (field) =>
        round(
          quantile(
            list.map((run) => run[field]),
            0.5,
          ),
        );
      const cpuRatio = spread(ratiosOf(mode));
      return [
        mode,
        {
          runs: list.length,
          cpuUsPerMessage: median('cpuUsPerMessage'),
          cpuRatio,
          p99Ms: median('p99Ms'),
          rssMb: median('rssMb'),
          heapMb: median('heapMb'),
          // With few connections a byte of the agent's fixed state would count as many bytes a connection.
          addedBytesPerConnection: connections < 1_000 ? null : spread(addedOf(mode, 'bytesPerConnection')),
          raw: list,
        },
      ];
    }),
  );
}

/** Why instructions are not counted: `perf` is missing, or this machine gives no counter to it (most virtual machines). */
function instructionCounts() {
  try {
    const text = execFileSync('sh', ['-c', 'perf stat -x, -e instructions:u true 2>&1'], {
      encoding: 'utf8',
    });
    return /^\d/.test(text)
      ? 'available: run the server under `perf stat`'
      : 'not counted: perf has no counter on this machine';
  } catch {
    return 'not counted: perf is not installed';
  }
}

async function plot(context) {
  const rounds = Number(values.rounds ?? 3);
  values.rounds = String(rounds);
  const points = [];
  for (const connections of [...new Set(PLOT_CONNECTIONS.map(limited))]) {
    const point = { connections };
    for (const workload of values.workload.split(',')) {
      const runs = await measure(context, { connections, workload, modes: ['bare', 'control', 'agent'] });
      point[workload] = summarise(runs, connections);
    }
    points.push(point);
  }
  const file = join(root, 'docs', 'overhead.svg');
  writeFileSync(file, plotCost(points));
  return { ...header(), file, points };
}

function print({ results, points, file, instructions }) {
  for (const { connections, workload, modes } of results ?? pointRows(points)) {
    console.log(`${workload}, ${connections} connections`);
    console.table(
      Object.fromEntries(
        Object.entries(modes).map(([mode, { raw: _raw, cpuRatio, addedBytesPerConnection, ...rest }]) => [
          mode,
          {
            ...rest,
            cpuRatio: cpuRatio?.median,
            'quartiles of the ratio': cpuRatio && `${cpuRatio.q1} to ${cpuRatio.q3}`,
            'bytes a connection added': addedBytesPerConnection?.median,
          },
        ]),
      ),
    );
  }
  console.log(`Instructions: ${instructions}.${file ? ` Plot: ${file}` : ''}`);
}

const pointRows = (points) =>
  points.flatMap(({ connections, ...workloads }) =>
    Object.entries(workloads).map(([workload, modes]) => ({ connections, workload, modes })),
  );

await main();
