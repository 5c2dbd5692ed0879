// Each remedy with thousands of clients that churn, storm, freeze and read slowly, and then a search for what is left:
// entries, listeners, rooms, subscriptions, sockets, timers, and memory after a garbage collection. Each server has three
// rounds of the same load. A leak grows with each round; what a server takes once, such as compiled code, does not. So the
// smaller one of the two growths counts.
// Usage: npm run bench -- remedy [all|heartbeat|sse|fanout|socketio|guard|drain ...] [--connections 5000] [--seconds 20] [--json]
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));
const SERVER = fileURLToPath(new URL('remedy/servers.mjs', import.meta.url));
const lab = require(join(root, 'fixtures', 'lab.js'));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    connections: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
});
const CONNECTIONS = Number(values.connections);
const ROUND_MS = Number(values.seconds) * 1_000;
const ROUNDS = 3;
/** Frozen peers are found after two intervals of 2 s, and a busy machine is slower. */
const REST_DEADLINE_MS = 120_000;
const EXIT_DEADLINE_MS = 30_000;
/** In each round. A leaked listener with its closure takes about 200 bytes, a leaked WebSocket more than 2,000. */
const MAX_GROWTH_PER_CONNECTION_BYTES = 150;
const DRAIN_DEADLINE_MS = 10_000;
/** A process of 5,000 connections needs a moment to destroy them after the deadline. */
const MAX_DRAIN_MS = DRAIN_DEADLINE_MS + 5_000;

const share = (part) => Math.max(1, Math.round(CONNECTIONS * part));
const churn = (options) => ({ behaviour: 'churn', count: share(0.4), rate: share(0.02), ...options });
const abort = (options) => churn({ count: share(0.2), rate: share(0.01), end: 'terminate', ...options });
const storm = (options) => ({ behaviour: 'storm', count: share(0.2), every: 8_000, ...options });
const slow = (options) => ({ behaviour: 'slow', count: share(0.1), every: 3_000, ...options });
const freeze = (options) => ({
  behaviour: 'freeze',
  count: 10,
  rate: share(0.01),
  batch: share(0.01),
  max: share(0.1),
  ...options,
});
const loads = (options = {}) => [churn, abort, storm, slow, freeze].map((load) => load(options));
const room = {
  hello: '{"type":"join","room":"room {n}"}',
  say: '{"type":"room-message","room":"room {n}","data":"hi"}',
  every: 2_000,
};

/** `needs` are the components of fixtures/components, `expects` the numbers of `did` that must not be 0. */
const PARTS = {
  all: {
    loads: [churn(room), abort(room), storm({ hello: room.hello }), slow(), freeze()],
    expects: ['removed', 'terminated'],
  },
  heartbeat: { loads: loads(), expects: ['terminated'] },
  sse: {
    loads: [
      ...[churn, abort, storm].map((load) => load({ transport: 'sse', path: '/events' })),
      // Each takes 4 MB of the kernel's memory.
      freeze({ transport: 'sse', path: '/events?big', batch: 10, rate: 10, max: 30 }),
    ],
    expects: ['opened', 'destroyed'],
  },
  fanout: { loads: loads(), needs: ['redis'], expects: ['received', 'delivered'] },
  socketio: {
    loads: [churn, abort, storm, freeze].map((load) => load({ transport: 'socketio' })),
    needs: ['redis'],
    expects: ['received', 'delivered'],
  },
  guard: {
    loads: [
      churn(),
      storm({ every: 1_000 }),
      { behaviour: 'pause', path: '/slow', count: 30, rate: 30, max: 30 },
    ],
    expects: ['periods', 'terminated', 'refused'],
  },
  drain: {
    loads: [{ behaviour: 'steady', count: share(0.9) }, freeze()],
    rounds: 0,
    expects: ['closed', 'forced'],
  },
};

const names = positionals.length > 0 ? positionals : Object.keys(PARTS);
if (names.some((name) => !Object.hasOwn(PARTS, name)) || !(CONNECTIONS > 0) || !(ROUND_MS > 0)) {
  console.error(
    `Usage: npm run bench -- remedy [${Object.keys(PARTS).join('|')} ...] [--connections 5000] [--seconds 20] [--json]`,
  );
  process.exit(2);
}

async function startNeeds(components = []) {
  const installer = require(join(root, 'fixtures', 'components', 'install.js'));
  const starter = require(join(root, 'fixtures', 'components', 'start.js'));
  const started = [];
  for (const name of components) {
    await installer.install(name);
    started.push(await starter.startComponent(name));
  }
  return started;
}

const isNothingLeft = ({ left }) => Object.values(left).every((count) => count === 0);

async function measure(name) {
  const { loads: partLoads, needs, rounds = ROUNDS, expects } = PARTS[name];
  const components = await startNeeds(needs);
  const env = { ...process.env, REDIS_URL: components[0]?.url ?? '' };
  const child = fork(SERVER, ['serve', name], { execArgv: ['--expose-gc'], env });
  const exited = once(child, 'exit');
  const clients = [];
  const failed = exited.then(([code]) => {
    throw new Error(`the server ${name} ended (${code})`);
  });
  failed.catch(() => undefined);
  const nextMessage = async () => (await Promise.race([once(child, 'message'), failed]))[0];
  const ask = (command) => {
    child.send(command);
    return nextMessage();
  };
  const runLoad = async () => {
    clients.push(...partLoads.map((load) => lab.startClients(port, load)));
    await lab.sleep(ROUND_MS);
    const peak = await ask('report');
    const opened = clients.reduce((sum, one) => sum + one.state().opened + one.state().frozen, 0);
    return { peak, opened };
  };
  const stopLoad = () => Promise.all(clients.splice(0).map((one) => one.stop()));
  let port = 0;
  try {
    ({ port } = await nextMessage());
    const result = { name, opened: 0, peakConnections: 0, rests: [] };
    const count = ({ peak, opened }) => {
      result.opened += opened;
      result.peakConnections = Math.max(result.peakConnections, peak.left.sockets);
    };
    for (let round = 0; round < rounds; round += 1) {
      const { peak, opened } = await runLoad();
      count({ peak, opened });
      await stopLoad();
      result.rests.push({ opened, ...(await restOf(ask)) });
    }
    // A drain ends connections that are there; elsewhere they have gone.
    if (rounds === 0) count(await runLoad());
    const end = await ask('close');
    const [code] = await Promise.race([exited, lab.sleep(EXIT_DEADLINE_MS).then(() => ['still running'])]);
    return judge({ ...result, end, exitCode: code, expects });
  } finally {
    child.kill('SIGKILL');
    await stopLoad();
    for (const component of components) await component.stop();
  }
}

/** Waits until nothing is left, at most to the deadline. */
async function restOf(ask) {
  const untilMs = Date.now() + REST_DEADLINE_MS;
  let report = await ask('report');
  while (!isNothingLeft(report) && Date.now() < untilMs) {
    await lab.sleep(1_000);
    report = await ask('report');
  }
  // The last frames and buffers are freed a little later.
  await lab.sleep(3_000);
  return ask('report');
}

function judge(result) {
  const { rests, end, exitCode, expects } = result;
  const problems = [...rests, end].flatMap(({ left }) =>
    Object.entries(left)
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${count} ${what} left`),
  );
  for (const what of expects) if (!(end.did[what] > 0)) problems.push(`${what} is 0: the load was too small`);
  if (exitCode !== 0) problems.push(`the process did not end by itself (${exitCode})`);
  if (end.did.drainMs > MAX_DRAIN_MS) problems.push(`the drain took ${end.did.drainMs} ms`);
  const growths = rests
    .slice(1)
    .map(({ usedBytes, opened }, index) => (usedBytes - rests[index].usedBytes) / Math.max(1, opened));
  const growthPerConnectionBytes = growths.length === 0 ? null : Math.min(...growths);
  if (growthPerConnectionBytes > MAX_GROWTH_PER_CONNECTION_BYTES)
    problems.push(`memory grew by ${growthPerConnectionBytes.toFixed(0)} bytes per connection in each round`);
  return { ...result, growthPerConnectionBytes, problems };
}

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function printText({ name, opened, peakConnections, rests, end, growthPerConnectionBytes, problems }) {
  const memory = rests.map(({ usedBytes }) => mebibytes(usedBytes)).join(', then ');
  const did = Object.entries(end.did)
    .map(([what, count]) => `${what} ${count}`)
    .join(', ');
  console.log(`${name}: ${opened} connections opened, ${peakConnections} at the peak; ${did}`);
  if (rests.length > 1)
    console.log(
      `  memory at rest ${memory}: ${growthPerConnectionBytes.toFixed(0)} bytes per connection in the round with less growth`,
    );
  console.log(
    problems.length === 0 ? '  Nothing is left.' : problems.map((text) => `  Problem: ${text}`).join('\n'),
  );
}

const results = [];
for (const name of names) {
  const result = await measure(name);
  results.push(result);
  if (!values.json) printText(result);
}
if (values.json) console.log(JSON.stringify(results));
process.exit(results.every(({ problems }) => problems.length === 0) ? 0 : 1);
