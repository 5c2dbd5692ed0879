// Measures the cost of the hooks: how long a sweep over 10,000 connections (WebSockets, and Socket.IO by long polling)
// blocks the event loop, bytes and CPU time per connection, and nanoseconds per `send`, each beside a control. The first
// 1,000 connections do not count for the bytes and the CPU time: they make V8 compile code, which happens once.
// Options: --connections 10000 --rounds 5 --json
import { fork, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { performance, PerformanceObserver } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(import.meta.url);
const root = join(dirname(here), '..', '..');
const require = createRequire(here);
const flag = (name, fallback) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const COUNT = flag('--connections', 10_000);
const ROUNDS = flag('--rounds', 5);
const FIRST = Math.min(1_000, COUNT / 2);
const GOALS = { sliceMs: 2, bytesPerConnection: 150, sendNs: 50 };

const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)];
const round = (value, digits = 2) => Number(value.toFixed(digits));

const roles = { clients, polls, server, polled, sends };
const role = process.argv[2];
if (Object.hasOwn(roles, role)) await roles[role]();
else await main();

/** Raw clients that do the handshake and send nothing more, because only the server's side is measured. */
async function clients() {
  const net = require('node:net');
  const port = flag('--port', 0);
  let left = COUNT;
  const next = () => {
    if (left-- <= 0) return;
    const socket = net.connect(port, '127.0.0.1', () =>
      socket.write(
        'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      ),
    );
    socket.once('data', () => {
      socket.resume();
      next();
    });
    socket.on('error', () => {});
  };
  for (let i = 0; i < 50; i += 1) next();
}

/** How long a turn held this thread: the lower of wall and CPU time, so that other processes and threads do not count. */
function holdOf(task) {
  const [startMs, startCpuMs] = [performance.now(), threadCpuMs()];
  task();
  const [endMs, endCpuMs] = [performance.now(), threadCpuMs()];
  return { startMs, endMs, ms: Math.min(endMs - startMs, endCpuMs - startCpuMs) };
}

/** Includes other threads of the process, such as those of the compiler, where neither Linux nor Node has the time of one thread. */
function threadCpuMs() {
  // Linux brings the time in the file up to date with this call.
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
  try {
    return Number.parseInt(readFileSync('/proc/thread-self/schedstat', 'utf8'), 10) / 1e6;
  } catch {
    return (user + system) / 1000;
  }
}

/** Adds to each turn the time of the GCs within it. A GC runs when the heap of the server needs one, in whatever turn that is. */
function withGcMs(turns, gcs) {
  return turns.map(({ startMs, endMs, ms }) => {
    const within = gcs.filter(({ startTime }) => startTime >= startMs && startTime < endMs);
    return { ms, gcMs: within.reduce((sum, { duration }) => sum + duration, 0) };
  });
}

/** Installs the hooks as the agent does, with a clock that times each of their turns of the event loop. */
function install(turns) {
  const dist = (name) => require(join(root, 'dist', `${name}.js`));
  const guard = dist('core/guard').createGuard(({ error }) => {
    throw error;
  });
  const preloadHooks = dist('hooks/preload-hooks').installPreloadHooks({ guard, onServe: () => {} });
  const real = dist('core/clock').createClock();
  const timed = (task) => () => turns.push(holdOf(task));
  const clock = {
    ...real,
    after: (ms, task) => real.after(ms, timed(task)),
    every: (ms, task) => real.every(ms, timed(task)),
  };
  const input = { env: {}, code: {}, readFile: () => '', cwd: '/', mainFile: null, execArgv: [] };
  const { config } = dist('config/load-config').loadConfig(input);
  return () => dist('agent/sampler').createSampler({ clock, guard, config, preloadHooks });
}

async function server() {
  const hooked = process.argv[3] === 'hooked';
  const turns = [];
  const wake = hooked ? install(turns) : null;
  const { WebSocketServer } = require('ws');
  const http = require('node:http').createServer();
  const wss = new WebSocketServer({ server: http, perMessageDeflate: false });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  const sampler = wake?.();
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const settle = async () => {
    for (let i = 0; i < 3; i += 1) {
      await pause(50);
      global.gc();
    }
    return process.memoryUsage().heapUsed;
  };
  // An agent has taken samples before the first client connects, so its code is warm.
  for (let i = 0; i < 3; i += 1) sampler?.read();
  const empty = await settle();
  const peers = [];
  const connect = async (count) => {
    const argv = [here, 'clients', '--port', http.address().port, '--connections', count].map(String);
    peers.push(spawn(process.execPath, argv, { stdio: 'inherit' }));
    const target = wss.clients.size + count;
    while (wss.clients.size < target) await pause(50);
    await pause(1500);
  };
  await connect(FIRST);
  const before = await settle();
  const cpu = process.cpuUsage();
  await connect(COUNT - FIRST);
  const used = process.cpuUsage(cpu);
  const added = COUNT - FIRST;
  const result = { cpuUs: (used.user + used.system) / added, heapBytes: ((await settle()) - before) / added };
  result.onceBytes = before - empty - result.heapBytes * FIRST;
  if (sampler) Object.assign(result, await readings(sampler, turns, 'websocket'));
  process.send(result, () => {
    for (const peer of peers) peer.kill();
    process.exit();
  });
}

/** Takes samples as the agent does. Returns how long each sample and each turn between them blocked the event loop. */
async function readings(sampler, turns, transport) {
  turns.length = 0;
  const gcs = [];
  const observer = new PerformanceObserver((list) => gcs.push(...list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  const reads = [];
  let active = 0;
  for (let i = 0; i < 30; i += 1) {
    turns.push(holdOf(() => sampler.prepare()));
    await new Promise(setImmediate);
    reads.push(holdOf(() => (active = sampler.read().connections.active[transport])));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  observer.disconnect();
  return { active, reads: withGcMs(reads, gcs), turns: withGcMs(turns, gcs) };
}

/** Opens sessions of Socket.IO by long polling, joins the namespace, and then sends nothing more. */
async function polls() {
  const { Agent, request } = require('node:http');
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const path = '/socket.io/?EIO=4&transport=polling';
  const ask = (method, query, body) =>
    new Promise((resolve, reject) => {
      const asked = request({ port: flag('--port', 0), agent, method, path: path + query }, (response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text));
      });
      asked.on('error', reject).end(body);
    });
  let left = COUNT;
  const session = async () => {
    while (left-- > 0) {
      const { sid } = JSON.parse((await ask('GET', '')).slice(1));
      await ask('POST', `&sid=${sid}`, '40');
    }
  };
  await Promise.all(Array.from({ length: 50 }, session));
  setInterval(() => {}, 60_000);
}

async function polled() {
  const turns = [];
  const wake = install(turns);
  const http = require('node:http').createServer();
  const { Server } = require('socket.io');
  // The clients do not poll again, and the sessions must live longer than the measurement.
  const io = new Server(http, { pingInterval: 600_000 });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  const sampler = wake();
  const peers = spawn(
    process.execPath,
    [here, 'polls', '--port', http.address().port, '--connections', COUNT].map(String),
    { stdio: 'inherit' },
  );
  while (io.engine.clientsCount < COUNT) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    sampler.read();
  }
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const result = await readings(sampler, turns, 'polling');
  process.send(result, () => {
    peers.kill();
    process.exit();
  });
}

/** Times blocks of sends in turn: the original method, the same again as control, and the wrapped one. */
async function sends() {
  const { WebSocketServer, WebSocket } = require('ws');
  const bare = WebSocket.prototype.send;
  const wake = install([]);
  const http = require('node:http').createServer();
  const wss = new WebSocketServer({ server: http, perMessageDeflate: false });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  const sampler = wake();
  const client = new WebSocket(`ws://127.0.0.1:${http.address().port}`);
  const [ws] = await new Promise((resolve) => wss.on('connection', (...args) => resolve(args)));
  await new Promise((resolve) => (client.readyState === 1 ? resolve() : client.on('open', resolve)));
  while (sampler.read().connections.active.websocket !== 1) await new Promise(setImmediate);
  const wrapped = WebSocket.prototype.send;
  if (wrapped === bare) throw new Error('send is not wrapped');
  // The frame goes nowhere, so only the call itself is timed.
  ws._socket.write = () => true;
  ws._socket.cork = ws._socket.uncork = () => {};
  const data = Buffer.alloc(100);
  const block = (send) => {
    WebSocket.prototype.send = send;
    const before = process.cpuUsage();
    for (let i = 0; i < 200_000; i += 1) ws.send(data);
    const { user, system } = process.cpuUsage(before);
    return ((user + system) * 1000) / 200_000;
  };
  const kinds = { bare, control: bare, wrapped };
  const ns = { bare: [], control: [], wrapped: [] };
  for (let n = -2; n < 15; n += 1) {
    const order = n % 2 === 0 ? Object.keys(kinds) : Object.keys(kinds).reverse();
    for (const kind of order) {
      const took = block(kinds[kind]);
      if (n >= 0) ns[kind].push(took);
    }
  }
  process.send(ns, () => process.exit());
}

function run(...args) {
  return new Promise((resolve, reject) => {
    const argv = [...args, '--connections', String(COUNT)];
    const child = fork(here, argv, {
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let result = null;
    child.on('message', (message) => (result = message));
    child.on('exit', (code) => (result ? resolve(result) : reject(new Error(`${args} ended with ${code}`))));
  });
}

async function main() {
  const servers = { bare: [], hooked: [], control: [] };
  for (let n = 0; n < ROUNDS; n += 1) {
    const order = n % 2 === 0 ? Object.keys(servers) : Object.keys(servers).reverse();
    for (const kind of order) servers[kind].push(await run('server', kind));
  }
  const polling = [];
  for (let n = 0; n < ROUNDS; n += 1) polling.push(await run('polled'));
  const ns = await run('sends');
  const median = (kind, field) =>
    quantile(
      servers[kind].map((result) => result[field]),
      0.5,
    );
  const over = (field, kind) => round(median(kind, field) - median('bare', field), 1);
  const spread = (turns) => {
    const values = turns.map(({ ms }) => ms);
    return {
      median: round(quantile(values, 0.5)),
      p99: round(quantile(values, 0.99)),
      longest: round(Math.max(...values)),
      turns: turns.length,
      over: values.filter((ms) => ms > GOALS.sliceMs).length,
      overWithoutGc: turns.filter(({ ms, gcMs }) => ms - gcMs > GOALS.sliceMs).length,
    };
  };
  const holds = (results) => ({
    counted: results.map(({ active }) => active),
    sampleMs: spread(results.flatMap(({ reads }) => reads)),
    sliceMs: spread(results.flatMap(({ turns }) => turns)),
  });
  const result = {
    schema: 'wsguard.bench.hooks/1',
    node: process.version,
    connections: COUNT,
    rounds: ROUNDS,
    ...holds(servers.hooked),
    polling: holds(polling),
    perConnection: {
      bytes: {
        bare: round(median('bare', 'heapBytes'), 0),
        added: over('heapBytes', 'hooked'),
        control: over('heapBytes', 'control'),
      },
      onceBytes: { added: over('onceBytes', 'hooked'), control: over('onceBytes', 'control') },
      cpuUs: {
        bare: round(median('bare', 'cpuUs'), 1),
        added: over('cpuUs', 'hooked'),
        control: over('cpuUs', 'control'),
      },
    },
    sendNs: {
      bare: round(quantile(ns.bare, 0.5), 0),
      added: round(quantile(ns.wrapped, 0.5) - quantile(ns.bare, 0.5), 0),
      control: round(quantile(ns.control, 0.5) - quantile(ns.bare, 0.5), 0),
    },
    goals: GOALS,
  };
  if (process.argv.includes('--json')) console.log(JSON.stringify(result));
  else print(result);
}

function print({ connections, polling, perConnection, sendNs, ...websocket }) {
  const { bytes, onceBytes, cpuUs } = perConnection;
  console.log(`${connections} connections, medians; the control is a second bare run`);
  for (const [name, { sampleMs, sliceMs }] of Object.entries({
    WebSockets: websocket,
    'long polling': polling,
  })) {
    console.log(`  ${name}`);
    for (const [label, turn] of [
      ['a sample without its preparation  ', sampleMs],
      ['a slice of a sweep, a preparation ', sliceMs],
    ])
      console.log(
        `    ${label} ${turn.median} ms, p99 ${turn.p99}, longest ${turn.longest}, ` +
          `${turn.over} of ${turn.turns} over ${GOALS.sliceMs}, without their GCs ${turn.overWithoutGc}`,
      );
  }
  console.log(
    `  heap per connection                  ${bytes.bare} B + ${bytes.added} (control ${bytes.control})`,
  );
  console.log(
    `  heap once, with the first ones       ${round(onceBytes.added / 1000, 0)} kB (control ${round(onceBytes.control / 1000, 0)})`,
  );
  console.log(
    `  CPU per connection, accept and look  ${cpuUs.bare} us + ${cpuUs.added} (control ${cpuUs.control})`,
  );
  console.log(
    `  CPU per send                         ${sendNs.bare} ns + ${sendNs.added} (control ${sendNs.control})`,
  );
}
