/** Pending deliveries survive the end of the process, and never delay it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alertOf } from '../support/alerts.ts';
import { ROOT } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { IDENTITY } from '../support/run.ts';

const DIST = join(ROOT, 'dist');
/** `argv`: directory, URL, instance, what it does: `send` three alerts, or `restore` those of ended processes. */
const PROCESS = `
const [dir, url, instance, task] = process.argv.slice(1);
const load = (file) => require(${JSON.stringify(DIST)} + '/' + file);
const identity = { ...${JSON.stringify(IDENTITY)}, instance, pid: process.pid };
const clock = load('core/clock.js').createClock();
load('deliver/black-box.js').openBlackBox(dir, identity, Date.now());
const outbox = { dir, identity, onUnwritable: (error) => console.log(error) };
const webhook = load('deliver/webhook.js').createWebhook({ url, secret: 's', clock, outbox });
const ended = load('deliver/black-box-recovery.js').endedFolders(dir, identity, Date.now());
if (task === 'send') for (const n of [0, 1, 2]) webhook.send({ ...${JSON.stringify(alertOf())}, n });
else {
  const restored = webhook.restore(ended);
  setInterval(() => {}, 1000);
  Promise.all(restored).then((outcomes) => console.log('restored ' + JSON.stringify(outcomes)));
}
if (process.argv[5] === 'stay') setInterval(() => {}, 1000);
console.log('ready');`;

let dir = '';
const children: ChildProcess[] = [];
const servers: Server[] = [];
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-outbox-'))));
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(dir, { recursive: true, force: true });
});

function start(url: string, instance: string, ...task: string[]) {
  const args = ['-e', PROCESS, dir, url, instance, ...task];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += String(chunk)));
  return { child, exited: once(child, 'exit'), output: () => output };
}

async function receive(reply: 'ok' | 'hang') {
  const keys: string[] = [];
  const server = createServer((request, response) => {
    keys.push(String(request.headers['idempotency-key']));
    if (reply === 'ok') response.end();
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return { keys, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

const pendingOf = (instance: string): string[] => {
  const folder = join(dir, instance, 'outbox', 'webhook');
  return existsSync(folder) ? readdirSync(folder) : [];
};

test('alerts of a process that was killed are delivered once by the next two, with their keys', async () => {
  const first = start('http://127.0.0.1:1/', 'first', 'send', 'stay');
  await eventually(() => first.output().includes('ready'), 'the first process');
  first.child.kill('SIGKILL');
  await first.exited;
  expect(pendingOf('first')).toHaveLength(3);
  const { keys, url } = await receive('ok');
  const next = [start(url, 'second', 'restore'), start(url, 'third', 'restore')];
  for (const { output } of next) await eventually(() => output().includes('restored'), 'the next processes');
  expect(keys.toSorted()).toEqual(['a1b2c3/opened/0', 'a1b2c3/opened/1', 'a1b2c3/opened/2']);
  expect([...pendingOf('first'), ...pendingOf('second'), ...pendingOf('third')]).toEqual([]);
});

test('a receiver that never replies does not delay the exit, and the alerts stay on disk', async () => {
  const { url, keys } = await receive('hang');
  const { exited } = start(url, 'first', 'send');
  expect(await exited).toEqual([0, null]);
  expect(pendingOf('first')).toHaveLength(3);
  expect(keys.length).toBeLessThanOrEqual(1);
});
