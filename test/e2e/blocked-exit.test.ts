/** Nothing that the agent reads or writes may delay the application or its exit, also when nobody serves the other end. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT, endChildren, onTrigger, removeFolder, startChild, until } from '../support/child.ts';

const onLinux = process.platform === 'linux' ? describe : describe.skip;
/** A machine can be slow, but a blocked exit never ends. */
const DEADLINE_MS = 120_000;
/** Asks to exit 1.5 s after its reply. */
const SERVER = `
const http = require('node:http');
const server = http.createServer((request, response) => {
  response.end('ok');
  setTimeout(() => {
    if (process.argv[1] === 'exit') process.exit(7);
    process.exitCode = 7;
    server.close();
    server.closeAllConnections();
  }, 1500);
});
server.listen(0, '127.0.0.1', () => {
  require('node:fs').writeSync(1, 'port ' + server.address().port + '\\n');
});`;

let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-blocked-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await endChildren();
  removeFolder(dir);
});

interface Options {
  readonly stderr: number | Socket;
  readonly how: 'exit' | 'close';
  readonly env: Readonly<Record<string, string>>;
}

/** Returns the exit code of the application; null when it did not exit. Rejects when it does not answer. */
async function runServer({ stderr, how, env }: Options): Promise<number | null> {
  const child = spawn(process.execPath, ['--require', AGENT, '-e', SERVER, how], {
    stdio: ['ignore', 'pipe', stderr],
    env: { ...process.env, NODE_OPTIONS: '', WSGUARD_DIR: join(dir, 'out'), ...env },
  });
  children.push(child);
  const exited = new Promise<number | null>((resolve) => {
    const deadline = setTimeout(() => resolve(null), DEADLINE_MS);
    child.on('exit', (code) => {
      clearTimeout(deadline);
      resolve(code);
    });
  });
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      const found = /port (\d+)/.exec(String(chunk))?.[1];
      if (found !== undefined) resolve(found);
    });
    void exited.then(() => reject(new Error('the application does not listen')));
  });
  const reply = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(DEADLINE_MS) });
  expect(await reply.text()).toBe('ok');
  return exited;
}

function fill(descriptor: number): void {
  for (const chunk of [Buffer.alloc(4096), Buffer.alloc(1)]) {
    try {
      for (;;) writeSync(descriptor, chunk);
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
    }
  }
}

const CASES = [
  { how: 'exit', env: {} },
  { how: 'close', env: {} },
  { how: 'exit', env: { WSGUARD_THREAD: 'off' } },
  { how: 'close', env: { WSGUARD_THREAD: 'off' } },
  // A warning about a setting comes from the application thread.
  { how: 'exit', env: { WSGUARD_LOGG: 'x' } },
] as const;

onLinux('stderr that nobody reads', () => {
  test.each(CASES)('a full pipe: $how $env', async ({ how, env }) => {
    const fifo = join(dir, 'stderr');
    spawnSync('mkfifo', [fifo]);
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const full = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    fill(full);
    // The descriptor of the application waits, as usual.
    const writer = openSync(fifo, constants.O_WRONLY);
    try {
      expect(await runServer({ stderr: writer, how, env })).toBe(7);
    } finally {
      for (const descriptor of [reader, full, writer]) closeSync(descriptor);
    }
  });

  test.each(CASES)('a full socket: $how $env', async ({ how, env }) => {
    const server = createServer({ pauseOnConnect: true });
    await new Promise<void>((resolve) => server.listen(join(dir, 'socket'), resolve));
    const stderr = await new Promise<Socket>((resolve) => {
      const socket: Socket = connect(join(dir, 'socket'), () => resolve(socket));
    });
    stderr.on('error', () => undefined);
    while (stderr.write(Buffer.alloc(64 * 1024)));
    try {
      expect(await runServer({ stderr, how, env })).toBe(7);
    } finally {
      stderr.destroy();
      server.close();
    }
  });
});

onLinux('a FIFO where a file is expected', () => {
  test.each(['.analysis.lock', 'host-1-x/owner.json', 'host-1-x/open-alerts.json'])('%s', async (name) => {
    const folder = join(dir, 'files');
    mkdirSync(join(folder, 'host-1-x'), { recursive: true, mode: 0o700 });
    spawnSync('mkfifo', [join(folder, name)]);
    const child = startChild({
      files: {
        'main.js': `
const { EventEmitter } = require('node:events');
const agent = require(${JSON.stringify(AGENT)}).start();
const server = require('node:http').createServer().listen(0, '127.0.0.1');
const sessions = new Map();
agent.watchRegistry('sessions', sessions);
setTimeout(() => process.exit(7), 2500);`,
      },
      env: { WSGUARD_DIR: folder },
    });
    expect(await child.exited).toEqual({ code: 7, signal: null });
  });
});

const hasNamespaces = spawnSync('unshare', ['-mn', 'true']).status === 0;

(hasNamespaces ? test : test.skip)('a DNS server that never answers', async () => {
  const main = `
const { createSocket } = require('node:dgram');
createSocket('udp4').on('message', () => console.log('asked')).bind(53, '127.0.0.1').unref();
require('node:http').createServer().listen(0, '127.0.0.1');
${onTrigger('exit', 'process.exit(7);')}`;
  // getaddrinfo asks five times, for 30 s each.
  const script = `ip link set lo up && echo 'options timeout:30 attempts:5' > resolv.conf &&
    echo nameserver 127.0.0.1 >> resolv.conf && mount --bind resolv.conf /etc/resolv.conf &&
    exec ${process.execPath} --require ${AGENT} main.js`;
  const child = startChild({
    files: { 'main.js': main },
    command: 'unshare',
    args: ['-mn', 'sh', '-c', script],
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.example.com:4318',
      OTEL_METRIC_EXPORT_INTERVAL: '1000',
      OTEL_METRIC_EXPORT_TIMEOUT: '900',
      WSGUARD_INTERVAL_MS: '250',
    },
  });
  await child.stdoutMatch(/asked/);
  child.trigger('exit');
  const exitsAtMs = Date.now();
  expect(await child.exited).toEqual({ code: 7, signal: null });
  expect(Date.now() - exitsAtMs).toBeLessThan(100_000);
});

describe('an address that accepts connections and never answers', () => {
  const SERVES = `require('node:http').createServer().listen(0, '127.0.0.1');`;
  const EXITS = onTrigger('exit', "console.log('exits'); process.exit(7);");

  /** The request was under way when the process asked to exit. */
  const METHOD_AND_PATH = {
    webhook: /^POST \/ /m,
    upload: /^PUT \/a1\/heap\.heapsnapshot\.gz /m,
    s3: /^P(?:OST|UT) \/snapshots\/.*heap\.heapsnapshot\.gz/m,
    collector: /^POST \/v1\/metrics /m,
  } as const;

  /** The next process that uses the directory opens an alert for this one at once. */
  async function leaveDeadProcess(folder: string): Promise<void> {
    const child = startChild({
      files: { 'main.js': SERVES },
      nodeArgs: ['--require', AGENT],
      env: { WSGUARD_DIR: folder, WSGUARD_INTERVAL_MS: '250' },
    });
    const hasSamples = (): boolean =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).some(
        (name) => name.endsWith('box-0.ndjson') && readFileSync(join(folder, name), 'utf8').includes('\n'),
      );
    await until(
      () => (existsSync(folder) && hasSamples() ? true : undefined),
      () => child.stderr(),
    );
    child.process.kill('SIGKILL');
    await child.exited;
  }

  /** The dead process had a snapshot to upload, which the next one takes over. */
  function leavePendingUpload(folder: string, sink: 'upload' | 's3'): void {
    const file = join(folder, 'heap.heapsnapshot.gz');
    writeFileSync(file, Buffer.alloc(40 * 1024 ** 2));
    const item = { alertId: 'a1', file, redacted: true };
    const envelope = { schema: 'wsguard.outbox/1', service: 'test', addedWallMs: Date.now(), item };
    const [instance = ''] = readdirSync(folder).filter((name) =>
      existsSync(join(folder, name, 'owner.json')),
    );
    const outbox = join(folder, instance, 'outbox', sink);
    mkdirSync(outbox, { recursive: true, mode: 0o700 });
    writeFileSync(join(outbox, `${Date.now()}-000001-0123456789ab.json`), JSON.stringify(envelope));
  }

  test.each([
    ['webhook', (url: string) => ({ WSGUARD_WEBHOOK_URL: url })],
    ['upload', (url: string) => ({ WSGUARD_UPLOAD_URL: url })],
    [
      's3',
      (url: string) => ({
        WSGUARD_S3_BUCKET: 'snapshots',
        WSGUARD_S3_ENDPOINT: url,
        AWS_ACCESS_KEY_ID: 'key',
        AWS_SECRET_ACCESS_KEY: 'secret',
      }),
    ],
    [
      'collector',
      (url: string) => ({
        OTEL_EXPORTER_OTLP_ENDPOINT: url,
        OTEL_METRIC_EXPORT_INTERVAL: '1000',
        OTEL_METRIC_EXPORT_TIMEOUT: '900',
      }),
    ],
  ] as const)('%s', async (sink, settings) => {
    const folder = join(dir, 'out');
    await leaveDeadProcess(folder);
    if (sink === 'upload' || sink === 's3') leavePendingUpload(folder, sink);
    const sockets: Socket[] = [];
    let received = '';
    const server = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined));
      // Reads the start of the request only, so that the upload of a large file waits too.
      socket.once('data', (chunk: Buffer) => {
        received += chunk.toString('latin1');
        socket.pause();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const child = startChild({
      files: { 'main.js': SERVES + EXITS },
      nodeArgs: ['--require', AGENT],
      env: { ...settings(`http://127.0.0.1:${port}`), WSGUARD_DIR: folder, WSGUARD_INTERVAL_MS: '250' },
    });
    try {
      await until(
        () => (METHOD_AND_PATH[sink].test(received) ? true : undefined),
        () => `the request, after ${received}\n${child.stderr()}`,
      );
      child.trigger('exit');
      await child.stdoutMatch(/exits/);
      const exitsAtMs = Date.now();
      expect(await child.exited).toEqual({ code: 7, signal: null });
      expect(Date.now() - exitsAtMs).toBeLessThan(5_000);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
});

const DEAD_MOUNT = `mkdir -p dead && exec 3<>/dev/fuse &&
  mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 dead ./dead`;
const canMount = spawnSync('unshare', ['-m', 'sh', '-c', DEAD_MOUNT], { cwd: tmpdir() }).status === 0;

(canMount ? test : test.skip)('a directory on a mount that does not respond', async () => {
  const main = `
require('node:http').createServer().listen(0, '127.0.0.1');
${onTrigger('exit', 'process.exit(7);')}`;
  const child = startChild({
    files: { 'main.js': main },
    command: 'unshare',
    args: ['-m', 'sh', '-c', `${DEAD_MOUNT} && exec ${process.execPath} --require ${AGENT} main.js`],
    env: { WSGUARD_DIR: './dead/wsguard' },
  });
  const line = await until(
    () => child.logLines().find(({ code }) => code === 'WSGUARD_NO_FILES'),
    () => child.stderr(),
  );
  expect(line.reason).toMatch(/is on the network mount .*dead \(fuse\)/);
  await child.logLine(/^watching /);
  child.trigger('exit');
  expect(await child.exited).toEqual({ code: 7, signal: null });
});
