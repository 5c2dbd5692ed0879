// Runs the remedies together under clients that churn, storm, freeze and read slowly, and then looks for what is left:
// entries, listeners, timers, and the heap after a garbage collection.
// Options: --connections 5000 --seconds 30 --json
import { fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(import.meta.url);
const root = join(dirname(here), '..', '..');
const require = createRequire(here);
const flag = (name, fallback) => {
  const index = process.argv.indexOf(name);
  return index < 0 ? fallback : Number(process.argv[index + 1]);
};
const CONNECTIONS = flag('--connections', 5_000);
const SECONDS = flag('--seconds', 30);
const HEARTBEAT_MS = 2_000;
const DEADLINE_MS = 60_000;
const MIB = 2 ** 20;

if (process.argv[2] === 'server') await server();
else await main();

/** A server of all remedies. It reports what it holds whenever the parent asks. */
async function server() {
  const { BoundedMessageQueue, memorySafeServer, safeSend, scopedListeners } = require(
    join(root, 'dist', 'remedy', 'index.js'),
  );
  const bus = new EventEmitter().setMaxListeners(0);
  const jobs = new BoundedMessageQueue({ name: 'jobs' });
  const safe = memorySafeServer({ port: 0, statsPort: null, host: '127.0.0.1', intervalMs: HEARTBEAT_MS });
  safe.wss.on('connection', (ws) => {
    scopedListeners(ws).on(bus, 'tick', (text) => safeSend(ws, text, { policy: 'queue' }));
    ws.on('message', (data) => jobs.queue(data));
  });
  const text = 'x'.repeat(500);
  setInterval(() => bus.emit('tick', text), 500);
  const { port } = await safe.listening;
  process.send({ port });
  process.on('message', () => {
    globalThis.gc();
    jobs.cleanup();
    const { active, totalAdded, totalRemoved } = safe.stats().connections;
    process.send({
      added: totalAdded,
      removed: totalRemoved,
      registered: active,
      tracked: safe.wss.clients.size,
      rooms: safe.rooms.size,
      listeners: bus.listenerCount('tick'),
      queued: jobs.getStats().queued,
      timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
      heapMib: process.memoryUsage().heapUsed / MIB,
      rssMib: process.memoryUsage().rss / MIB,
    });
  });
}

async function main() {
  const lab = require(join(root, 'fixtures', 'lab.js'));
  const child = fork(here, ['server'], { execArgv: ['--expose-gc'] });
  const [{ port }] = await once(child, 'message');
  const report = async () => {
    child.send('report');
    return (await once(child, 'message'))[0];
  };
  const part = (share) => Math.round(CONNECTIONS * share);
  const join100 = '{"type":"join","room":"room {n}"}';
  const say = { say: '{"type":"room-message","room":"room {n}","data":"hi"}', every: 2_000 };
  const loads = [
    { behaviour: 'churn', count: part(0.4), rate: part(0.02), hello: join100, ...say },
    { behaviour: 'churn', count: part(0.2), rate: part(0.01), hello: join100, end: 'terminate' },
    { behaviour: 'storm', count: part(0.2), every: 8_000, hello: join100 },
    { behaviour: 'slow', count: part(0.1), every: 3_000 },
    { behaviour: 'freeze', count: 10, rate: part(0.01), batch: part(0.01), max: part(0.1) },
  ];
  try {
    const before = await report();
    const clients = loads.map((load) => lab.startClients(port, load));
    await lab.sleep((SECONDS * 1_000) / 2);
    const middle = await report();
    await lab.sleep((SECONDS * 1_000) / 2);
    const during = await report();
    await Promise.all(clients.map((one) => one.stop()));
    const untilMs = Date.now() + DEADLINE_MS;
    let after = await report();
    while ((after.registered > 0 || after.queued > 0) && Date.now() < untilMs) {
      await lab.sleep(1_000);
      after = await report();
    }
    // The last frames and buffers are freed a little later.
    await lab.sleep(5_000);
    after = await report();
    print({ before, middle, during, after });
  } finally {
    child.kill('SIGKILL');
  }
}

function print(reports) {
  const { before, after } = reports;
  const isClean =
    ['registered', 'tracked', 'rooms', 'listeners', 'queued'].every((name) => after[name] === 0) &&
    after.timers <= before.timers;
  if (process.argv.includes('--json')) console.log(JSON.stringify({ ...reports, isClean }));
  else {
    const rows = Object.entries(reports).map(([when, values]) => ({
      when,
      ...Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value.toFixed(1))])),
    }));
    console.table(rows);
    console.log(isClean ? 'Nothing is left.' : 'Something is left.');
  }
  process.exitCode = isClean ? 0 : 1;
}
