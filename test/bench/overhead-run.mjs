// One run of the overhead bench: a server of one mode and its clients, each in a process and on a core of its own. The number
// of connections grows in one server, and each number is measured with echo and with broadcast.
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const { agentArguments } = require('../../fixtures/components/catalogue.js');
const { freePorts } = require('../../fixtures/components/process.js');

const AGENT = ['--require', join(here, '..', '..', 'dist', 'index.js')];
/** `agent` comes next to `bare`, so that little time lies between the two runs that are compared. */
export const MODES = {
  control: {},
  bare: {},
  agent: { execArgv: () => AGENT },
  'no-send-wrap': { execArgv: () => AGENT, withoutSendWrap: true },
  exports: { execArgv: () => AGENT, exports: true },
  opentelemetry: { execArgv: () => agentArguments('opentelemetry'), other: true },
  // It traces each message, for about 0.3 ms.
  ddtrace: { execArgv: () => agentArguments('ddtrace'), other: true, messageShare: 0.2 },
};
/** A run that hangs is ended. 20,000 connections open within 30 s on a busy machine. */
const MAX_RUN_MS = 180_000;
/** A p99 needs some hundred measurements. */
const MIN_TIMES_FOR_P99 = 300;
/** Broadcasts to 10,000 connections take a second each hundred, so there are not enough of them for a p99. */
const MAX_BROADCAST_MESSAGES = 600_000;
/**
 * A sample is taken once in 15 s, longer than one measurement, and would fall into some of them: none is taken here.
 * `measureSteadyState` measures what a sample costs.
 */
const NO_SAMPLES = { WSGUARD_INTERVAL_MS: '300000' };
/** The agent looks at new connections once a second. The servers are warmed up and measured after that. */
const MIN_SETTLE_MS = 1_100;
const SAMPLES_INTERVAL_MS = 500;
const IDLE_MS = 2_000;
/** V8 has compiled the code of a message after some thousand of them. */
const WARM_UP_MESSAGES = 6_000;

let isPinned = true;
/** False when a process could not be kept on one core. */
export const arePinned = () => isPinned;

/** Messages of one measurement for each connection that receives them. */
export const receivedMessages = (workload, connections, messages, messageShare = 1) =>
  workload === 'echo'
    ? messages * messageShare
    : broadcasts(connections, messages, messageShare) * connections;

/** Enough broadcasts for a p99 where the server can do them in seconds. */
function broadcasts(connections, messages, messageShare) {
  const count = (messages * messageShare) / connections;
  const isEnoughInTime = MIN_TIMES_FOR_P99 * connections <= MAX_BROADCAST_MESSAGES;
  return isEnoughInTime && messageShare === 1 ? Math.max(count, MIN_TIMES_FOR_P99) : count;
}

/**
 * Measures servers that run at the same time, in turns: a few hundred milliseconds of messages to one, then to the next. What
 * slows the machine for seconds then slows all of them. `onCell` receives `{ mode, connections, workload, run }` for each cell
 * when it is done.
 *
 * @param {{ folder: string, collector: string, messages: number, turns: number }} context
 * @param {{ modes: string[], counts: number[], workloads: string[] }} what the numbers of connections ascend
 */
export async function measureServers(context, { modes, counts, workloads }, onCell) {
  const servers = [];
  try {
    for (const mode of modes)
      servers.push(
        await startServer(context, { mode, env: NO_SAMPLES, maxRunMs: modes.length * MAX_RUN_MS }),
      );
    let open = 0;
    for (const connections of counts) {
      for (const one of servers) await openConnections(one, { open, connections });
      open = connections;
      await pause(MIN_SETTLE_MS);
      await warmUpAll(servers, { workloads, connections });
      // The first server has been idle for longer than the last one, and V8 shrinks the heap of an idle process.
      for (const { server } of servers) await server.ask({ command: 'memory' });
      await warmUpAll(servers, { workloads, connections });
      for (const { server } of servers) await server.ask({ command: 'settle' });
      for (const workload of workloads) {
        const runs = await measureCells(servers, { connections, workload, context });
        runs.forEach((run, index) => onCell({ mode: modes[index], connections, workload, run }));
      }
    }
  } finally {
    await Promise.all(servers.map(({ end }) => end()));
  }
}

async function openConnections({ mode, server, peers, port }, { open, connections }) {
  await peers.ask({ command: 'open', port, connections: connections - open });
  // The first WebSocket brings the wrap of `send`.
  if (open === 0 && isOurs(mode))
    await server.ask({ command: 'awaitWrap', isUndone: MODES[mode].withoutSendWrap === true });
}

const isOurs = (mode) => MODES[mode].execArgv?.() === AGENT;

async function warmUpAll(servers, { workloads, connections }) {
  for (const one of servers) for (const workload of workloads) await warmUp(one, { workload, connections });
}

async function warmUp({ mode, server, peers }, { workload, connections }) {
  const { messageShare = 1 } = MODES[mode];
  const count = WARM_UP_MESSAGES * messageShare;
  await server.ask({ command: 'workload', workload });
  const isEcho = workload === 'echo';
  const messages = isEcho ? count : Math.max(2, Math.round(count / connections));
  await peers.ask({ command: 'work', workload, messages });
}

/**
 * One cell of each server. Each turn begins with the next one: a server that had two turns in a row would find its data in
 * the caches of the processor.
 */
async function measureCells(servers, { connections, workload, context }) {
  const totals = servers.map(() => ({ cpuUs: 0, received: 0, timesMs: [] }));
  for (const { server } of servers) await server.ask({ command: 'workload', workload });
  for (let turn = 0; turn < context.turns; turn += 1) {
    for (const position of servers.keys()) {
      const index = (turn + position) % servers.length;
      const { cpuUs, received, timesMs } = await measureTurn(servers[index], {
        connections,
        workload,
        context,
      });
      totals[index].cpuUs += cpuUs;
      totals[index].received += received;
      totals[index].timesMs.push(...timesMs);
    }
  }
  const runs = [];
  for (const [index, { server }] of servers.entries()) {
    const memory = await server.ask({ command: 'memory' });
    expectConnections(memory, connections);
    runs.push(cellOf(totals[index], memory));
  }
  return runs;
}

async function measureTurn({ mode, server, peers }, { connections, workload, context }) {
  const { withoutSendWrap = false, messageShare = 1 } = MODES[mode];
  await server.ask({ command: 'start' });
  const total = receivedMessages(workload, connections, context.messages, messageShare) / context.turns;
  const messages = workload === 'echo' ? Math.ceil(total) : Math.max(1, Math.round(total / connections));
  const { timesMs, received } = await peers.ask({ command: 'work', workload, messages });
  const { cpuUs, isWrapped } = await server.ask({ command: 'stop' });
  if (isOurs(mode) && isWrapped === withoutSendWrap) throw new Error(`${mode}: send is not as expected`);
  return { cpuUs, received, timesMs };
}

/** Too few measurements have no p99. */
const cellOf = ({ cpuUs, received, timesMs }, { rssBytes, heapBytes }) => ({
  received,
  cpuUsPerMessage: cpuUs / received,
  p99Ms: timesMs.length < MIN_TIMES_FOR_P99 ? null : p99(timesMs),
  rssMb: rssBytes / 1e6,
  heapMb: heapBytes / 1e6,
});

const p99 = (times) => times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)];

/**
 * Heap of the second half of the connections, in a server of its own. The first half pays for what is not per connection: the
 * code and feedback that V8 compiles with the first connections and messages, and the search for collections of the agent
 * (300 to 600 kB, which would look like 300 to 600 bytes for each of 1,000 connections). Short intervals bring the agent
 * to that state in seconds; the size of its records does not depend on them. Then the idle server shows the CPU of a sample,
 * in all threads: `idleMsPerSample` has the CPU of the time between two samples.
 */
export async function measureSteadyState(context, { mode, connections, workloads }) {
  const env = { WSGUARD_INTERVAL_MS: String(SAMPLES_INTERVAL_MS) };
  const { server, peers, port, end } = await startServer(context, { mode, env, maxRunMs: MAX_RUN_MS });
  try {
    const half = Math.floor(connections / 2);
    const heapBytes = [];
    for (const count of [half, connections - half]) {
      await peers.ask({ command: 'open', port, connections: count });
      for (const workload of workloads) {
        await server.ask({ command: 'workload', workload });
        const messages = workload === 'echo' ? connections : 2;
        await peers.ask({ command: 'work', workload, messages });
        // Two samples of the agent, and what they start.
        await pause(2.4 * SAMPLES_INTERVAL_MS);
      }
      heapBytes.push((await server.ask({ command: 'memory' })).heapBytes);
    }
    await server.ask({ command: 'start' });
    await pause(IDLE_MS);
    const { cpuUs } = await server.ask({ command: 'stop' });
    const memory = await server.ask({ command: 'memory' });
    expectConnections(memory, connections);
    return {
      bytesPerConnection: (heapBytes[1] - heapBytes[0]) / (connections - half),
      idleMsPerSample: ((cpuUs / 1_000) * SAMPLES_INTERVAL_MS) / IDLE_MS,
      rssMb: memory.rssBytes / 1e6,
      heapMb: memory.heapBytes / 1e6,
    };
  } finally {
    await end();
  }
}

/** Starts a server and its clients. `end` ends both. */
async function startServer({ folder, collector }, { mode, env: extra, maxRunMs }) {
  const { execArgv = () => [], exports = false, other = false } = MODES[mode];
  const env = { ...process.env, NODE_OPTIONS: '', ...extra, ...(other && otherAgents(collector)) };
  let scrapes;
  if (exports) {
    const { prometheus } = await freePorts(['prometheus']);
    scrapes = setInterval(() => scrape(`http://127.0.0.1:${prometheus}/metrics`), 1_000);
    Object.assign(env, {
      WSGUARD_PROMETHEUS_PORT: String(prometheus),
      OTEL_EXPORTER_OTLP_ENDPOINT: collector,
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
    });
  }
  const server = startProcess(join(here, 'overhead-server.cjs'), {
    core: 0,
    cwd: folder,
    env,
    execArgv: ['--expose-gc', ...execArgv()],
  });
  const peers = startProcess(join(here, 'overhead-peers.cjs'), { core: 1, execArgv: [] });
  const kill = () => [peers, server].forEach(({ child }) => child.kill('SIGKILL'));
  const deadline = setTimeout(kill, maxRunMs);
  const end = async () => {
    clearTimeout(deadline);
    clearInterval(scrapes);
    kill();
    // The kernel still closes their connections, which would disturb the next server.
    await Promise.all([peers.exited, server.exited]);
  };
  try {
    const { port } = await server.next();
    await server.ask({ command: 'settle' });
    return { mode, server, peers, port, end };
  } catch (error) {
    await end();
    throw error;
  }
}

function expectConnections(memory, connections) {
  if (memory.connections !== connections)
    throw new Error(`${memory.connections} of ${connections} connections are left`);
}

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

/** A process that moves between cores loses its caches. Without `taskset` the spread between runs is larger. */
function pin(pid, core) {
  try {
    execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', String(core), String(pid)]);
  } catch {
    isPinned = false;
  }
}

/** A forked process that answers each message with one message. */
function startProcess(file, { core, ...options }) {
  const child = fork(file, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], ...options });
  pin(child.pid, core);
  let stderr = '';
  child.stderr.on('data', (text) => (stderr = (stderr + text).slice(-4_000)));
  const exited = once(child, 'exit');
  const failed = exited.then(([code, signal]) => {
    throw new Error(`${file} ended with ${code ?? signal}: ${stderr}`);
  });
  failed.catch(() => {});
  const next = () => Promise.race([once(child, 'message').then(([message]) => message), failed]);
  return {
    child,
    exited,
    next,
    ask(message) {
      child.send(message);
      return next();
    },
  };
}
