/** Clusters: workers that share a port, and workers that never listen because their primary sends them the sockets. */
import { AGENT, endChildren, startChild, until } from '../support/child.ts';

afterEach(endChildren);

const WATCHING = /^watching /;
const SERVE = `
const http = require('node:http');
const { WebSocketServer } = require(${JSON.stringify(require.resolve('ws'))});
const server = http.createServer((request, response) => response.end('ok'));
const wss = new WebSocketServer({ server });
const report = async () => {
  const { byTransport } = (await require(${JSON.stringify(AGENT)}).start().status()).connections;
  console.log('worker ' + process.pid + ' has ' + byTransport.websocket);
};
setInterval(report, 300);
`;
/** Opens and closes 100 connections, then keeps 6. */
const LOAD = `
async function load(port) {
  const { WebSocket } = require(${JSON.stringify(require.resolve('ws'))});
  const open = () => new Promise((resolve, reject) => {
    const ws = new WebSocket('ws://127.0.0.1:' + port);
    ws.on('open', () => resolve(ws)).on('error', reject);
  });
  for (let i = 0; i < 100; i += 1) {
    const ws = await open();
    const closed = new Promise((resolve) => ws.on('close', resolve));
    ws.close();
    await closed;
  }
  for (let i = 0; i < 6; i += 1) await open();
  console.log('loaded');
}`;
const STICKY = `
const cluster = require('node:cluster');
if (cluster.isPrimary) {
  ${LOAD}
  const workers = [cluster.fork(), cluster.fork()];
  const sockets = [];
  let turn = 0;
  const server = require('node:net').createServer({ pauseOnConnect: true }, (socket) => {
    sockets.push(new WeakRef(socket));
    workers[(turn += 1) % 2].send('sticky', socket);
  });
  Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('online', resolve)))).then(() =>
    server.listen(0, '127.0.0.1', () => load(server.address().port)));
  setInterval(() => {
    global.gc();
    console.log('primary holds ' + sockets.filter((ref) => ref.deref()).length + ' of ' + sockets.length);
  }, 300);
} else {
  ${SERVE}
  process.on('message', (message, socket) => {
    if (message !== 'sticky') return;
    server.emit('connection', socket);
    socket.resume();
  });
}`;

/** The last number of connections that each worker reported. */
function connectionsOf(stdout: string): number[] {
  const byPid = new Map<string, number>();
  for (const [, pid = '', count] of stdout.matchAll(/worker (\d+) has (\d+)/g)) byPid.set(pid, Number(count));
  return [...byPid.values()];
}

test('a sticky primary keeps no socket that it sent away, and the workers count their connections', async () => {
  const child = startChild({
    files: { 'main.js': STICKY },
    env: { NODE_OPTIONS: `--require ${AGENT} --expose-gc`, WSGUARD_INTERVAL_MS: '500' },
  });
  await child.stdoutMatch(/loaded/);
  await until(
    () => (connectionsOf(child.stdout()).join() === '3,3' ? true : undefined),
    () => child.stdout() + child.stderr(),
  );
  // The primary has its own six clients in this process, but none of the sockets that it accepted.
  await child.stdoutMatch(/primary holds 0 of 106/);
  expect(child.logLines().filter(({ msg }) => WATCHING.test(msg))).toHaveLength(3);
  expect(child.logLines().filter(({ level }) => level > 30)).toEqual([]);
});

test('a worker that never listens wakes without start(), at its first connection', async () => {
  const worker = STICKY.replace('setInterval(report, 300);', '');
  const child = startChild({
    files: { 'main.js': worker },
    env: { NODE_OPTIONS: `--require ${AGENT} --expose-gc` },
  });
  await child.stdoutMatch(/loaded/);
  const watching = (): number => child.logLines().filter(({ msg }) => WATCHING.test(msg)).length;
  await until(
    () => (watching() === 3 ? true : undefined),
    () => child.stderr(),
  );
});
