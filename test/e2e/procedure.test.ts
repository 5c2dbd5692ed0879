/** `wsguard procedure` with a real server and real clients. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/child.ts';
import { expectValid } from '../support/schemas.ts';

const CLI = join(ROOT, 'dist', 'cli', 'main.js');
const CLIENTS = 200;
const folder = mkdtempSync(join(tmpdir(), 'wsguard-procedure-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function writeServer(name: string, onClose: string): string {
  const file = join(folder, name);
  writeFileSync(
    file,
    `const { WebSocketServer } = require(${JSON.stringify(join(ROOT, 'node_modules', 'ws'))});
const sessions = new Map();
let count = 0;
const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' });
wss.on('listening', () => console.log('port ' + wss.address().port));
wss.on('connection', (ws) => {
  const id = 'session ' + (count += 1);
  sessions.set(id, { id, ws, notes: Array.from({ length: 50 }, (_, n) => ({ n })) });
  ws.on('close', () => { ${onClose} console.log('open ' + wss.clients.size); });
});
process.send('a message of the application');`,
  );
  return file;
}

function run(args: readonly string[]) {
  const child = spawn(process.execPath, [CLI, 'procedure', ...args], { cwd: folder });
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk) => (text.out += String(chunk)));
  child.stderr.on('data', (chunk) => (text.err += String(chunk)));
  const code = once(child, 'close').then(([exitCode]) => exitCode as number | null);
  return {
    text,
    code,
    child,
    stderr: (pattern: RegExp) => eventually(() => pattern.exec(text.err), String(pattern)),
    pressEnter: () => void child.stdin.write('\n'),
  };
}

async function connect(port: string): Promise<WebSocket[]> {
  return Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}`);
      await once(ws, 'open');
      return ws;
    }),
  );
}

async function procedure(server: string, directory: string, flags: readonly string[] = []) {
  const command = run(['--save', directory, ...flags, '--', process.execPath, server]);
  const [, port = ''] = await command.stderr(/port (\d+)/);
  // Code that runs for the first time takes memory that stays.
  for (const ws of await connect(port)) ws.close();
  await command.stderr(/open 0\b/);
  command.pressEnter();
  await command.stderr(/start: .* written to/);
  const clients = await connect(port);
  command.pressEnter();
  await command.stderr(/loaded: .* written to/);
  command.text.err = '';
  for (const ws of clients) ws.close();
  await command.stderr(/open 0\b/);
  command.pressEnter();
  return { code: await command.code, ...command.text };
}

test('what remains of the clients, with its line; the files can be compared again', async () => {
  const server = writeServer('leaky.js', '');
  const { code, out } = await procedure(server, 'leaky', ['--json']);
  expect(code).toBe(1);
  const result = expectValid('procedure', JSON.parse(out) as { analysis: { suspects: { name: string }[] } });
  expect(result.analysis.suspects[0]).toMatchObject({ name: 'sessions', growth: { objects: CLIENTS } });

  const files = readdirSync(join(folder, 'leaky'))
    .filter((file) => file !== '.gitignore')
    .toSorted();
  expect(files.map((file) => file.split('-').at(-1))).toEqual([
    'start.heapsnapshot.gz',
    'loaded.heapsnapshot.gz',
    'drained.heapsnapshot.gz',
  ]);
  const again = run(files.map((file) => join('leaky', file)));
  expect(await again.code).toBe(1);
  expect(again.text.out).toMatch(/The load took .* remained\./);
  expect(again.text.out).toContain('1. sessions (Map)');
  expect(again.text.out).toContain(`${server}:8`);
});

test('a server that gives everything back: 0, and its process has ended', async () => {
  const { code, out, err } = await procedure(writeServer('fixed.js', 'sessions.delete(id);'), 'fixed');
  expect(out).not.toContain('sessions');
  expect({ code, out: code === 0 ? '' : out, err: code === 0 ? '' : err }).toEqual({
    code: 0,
    out: '',
    err: '',
  });
});

test.each([
  ['a server that fails', 'process.exit(7)', /WSGUARD_PROCEDURE_FAILED: the server ended \(7\)/],
  ['input that ends', 'setInterval(() => {}, 1000)', /WSGUARD_PROCEDURE_FAILED: standard input ended/],
])('%s: exit code 3', async (_name, text, message) => {
  writeFileSync(join(folder, 'other.js'), text);
  const command = run(['--save', 'other', '--', process.execPath, 'other.js']);
  if (text.includes('setInterval')) command.child.stdin.end();
  expect(await command.code).toBe(3);
  expect(command.text.err).toMatch(message);
});

test('a program that does not exist: exit code 3', async () => {
  const command = run(['--save', 'other', '--', 'no-such-program']);
  expect(await command.code).toBe(3);
  expect(command.text.err).toMatch(/WSGUARD_PROCEDURE_FAILED: the server did not start: .*ENOENT/);
});
