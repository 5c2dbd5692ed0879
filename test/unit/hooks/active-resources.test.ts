import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, watch } from 'node:fs';
import { createServer as createHttpServer, get, type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { MessageChannel, Worker } from 'node:worker_threads';
import { ActiveResources } from '../../../src/hooks/resources/active-resources.ts';
import { ResourceProbe } from '../../../src/hooks/resources/resource-probe.ts';
import type { ResourceCounts } from '../../../src/types/index.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { eventually } from '../../support/eventually.ts';
import { onLinux } from '../../support/platform.ts';

const OPEN = { acceptedSockets: 0, descriptors: 30 };

const create = (nodeClearTimeout: object = globalThis.clearTimeout): ActiveResources =>
  new ActiveResources({ nodeClearTimeout, timeScale: 1 });
const read = (open = OPEN): ResourceCounts => create().read(open, 0);
const growth = (before: ResourceCounts, after: ResourceCounts): ResourceCounts =>
  Object.fromEntries(
    Object.entries(after)
      .map(([type, count]) => [type, count - (before[type as keyof ResourceCounts] ?? 0)] as const)
      .filter(([, count]) => count !== 0),
  );

function onExit(): void {}

describe('ActiveResources', () => {
  test('a child process with its pipes', async () => {
    const before = read();
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    expect(growth(before, read())).toMatchObject({ child_process: 1, pipe: 2 });
    child.kill('SIGKILL');
    await once(child, 'close');
    await eventually(() => growth(before, read()).child_process === undefined || null, 'its handle to close');
  });

  test('a file watcher and a message port', () => {
    const folder = mkdtempSync(join(tmpdir(), 'wsguard-resources-'));
    const before = read();
    const watcher = watch(folder);
    const { port1, port2 } = new MessageChannel();
    port1.on('message', () => undefined);
    expect(growth(before, read())).toMatchObject({ file_watcher: 1, message_port: 1 });
    watcher.close();
    port1.close();
    port2.close();
    rmSync(folder, { recursive: true });
  });

  test('a connection to a server of this process is one outgoing socket beside the accepted one', async () => {
    const accepted: Socket[] = [];
    const server = createServer((socket) => void accepted.push(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const before = read();
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await eventually(() => (accepted.length === 1 ? true : null), 'the server to accept');
    expect(growth(before, read({ ...OPEN, acceptedSockets: 1 })).outgoing_socket).toBe(1);
    client.destroy();
    accepted[0]?.destroy();
    server.close();
    await once(server, 'close');
  });

  onLinux('a Worker is one more thread', async () => {
    const before = read();
    const worker = new Worker('setInterval(() => undefined, 1000)', { eval: true });
    await once(worker, 'online');
    expect(growth(before, read()).thread).toBe(1);
    await worker.terminate();
  });

  test('descriptors without the accepted sockets, and none where the system gives no number', () => {
    expect(read({ acceptedSockets: 12, descriptors: 30 }).descriptor).toBe(18);
    expect(read({ acceptedSockets: 40, descriptors: 30 }).descriptor).toBe(0);
    expect(create().read({ acceptedSockets: 0, descriptors: null }, 0)).not.toHaveProperty('descriptor');
  });

  test('the callback of the timers whose number grew most, not of those that were many before', () => {
    const timers: NodeJS.Timeout[] = [];
    const steady = (): void => undefined;
    const leaking = (): void => undefined;
    for (let n = 0; n < 60; n += 1) timers.push(setInterval(steady, 7_000_001));
    const resources = create();
    resources.read(OPEN, 0);
    for (let n = 0; n < 30; n += 1) timers.push(setInterval(leaking, 7_000_002));
    expect(resources.locate('timer')).toMatchObject({
      text: expect.stringMatching(/^timer of 7000002 ms: leaking at /) as string,
      name: 'timer',
      file: __filename,
      function: 'leaking',
      package: null,
    });
    timers.forEach((timer) => clearInterval(timer));
  });

  test('timers of Node itself are no root cause', () => {
    const resources = create();
    resources.read(OPEN, 0);
    const timers = Array.from({ length: 20 }, () => setInterval(inspect, 7_000_003, null));
    expect(resources.locate('timer')).toBeNull();
    timers.forEach((timer) => clearInterval(timer));
  });

  test('the listener that most child processes share, not those of Node', async () => {
    const children = [1, 2, 3].map(() =>
      spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'pipe', 'ignore'] }),
    );
    children.forEach((child) => {
      child.on('exit', onExit);
    });
    expect(create().locate('child_process')).toMatchObject({
      text: expect.stringMatching(/^listener of a child process: onExit at /) as string,
      name: 'child_process',
      file: __filename,
    });
    children.forEach((child) => child.kill('SIGKILL'));
    await Promise.all(children.map((child) => once(child, 'close')));
  });

  test('the listener of a file watcher', () => {
    const watcher = watch(__filename, function onChange() {});
    expect(create().locate('file_watcher')).toMatchObject({ function: 'onChange', file: __filename });
    watcher.close();
  });

  test('the listener of the pipes of a child process', async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    child.stdout.on('data', function onOutput() {});
    expect(create().locate('pipe')).toMatchObject({ function: 'onOutput', file: __filename });
    child.kill('SIGKILL');
    await once(child, 'close');
  });

  test('the listener of an outgoing socket', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('data', function onData() {});
    await once(client, 'connect');
    expect(create().locate('outgoing_socket')).toMatchObject({ function: 'onData', file: __filename });
    client.destroy();
    server.close();
    await once(server, 'close');
  });

  test('the listener of the response to a client request', async () => {
    const server = createHttpServer((_, response) => response.write('event')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.on('data', function onEvent() {});
    expect(create().locate('outgoing_socket')).toMatchObject({ function: 'onEvent', file: __filename });
    request.destroy();
    response.on('error', () => undefined);
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  test.each(['descriptor', 'thread', 'no such type'])('%s has no listeners', (type) => {
    expect(create().locate(type)).toBeNull();
  });

  test('without the lists of timers the agent says so', () => {
    const resources = create(() => undefined);
    expect(resources.read(OPEN, 0)).not.toHaveProperty('timer');
    expect(resources.locate('timer')).toBeNull();
    expect(resources.blind()).toEqual([
      { what: 'timers', why: "the inspector does not show Node's lists of timers" },
    ]);
    expect(create().blind()).toEqual([]);
  });
});

describe('ResourceProbe', () => {
  const MINUTE_MS = 60_000;

  /** A probe whose counts take `costMs`. */
  function probeWith(costMs: () => number) {
    const clock = createFakeClock();
    const probe = new ResourceProbe({
      clock,
      timeScale: 1,
      nodeClearTimeout: globalThis.clearTimeout,
      countAccepted: () => 3,
    });
    jest.spyOn(ActiveResources.prototype, 'read').mockImplementation((open) => {
      clock.advance(costMs());
      return { descriptor: (open.descriptors ?? 0) - open.acceptedSockets };
    });
    const isDue = (): boolean => 'descriptor' in probe.read({ open: 10, limit: null });
    return { clock, probe, isDue };
  }
  afterEach(() => jest.restoreAllMocks());

  test('the first count is due after five minutes', () => {
    const { clock, probe, isDue } = probeWith(() => 0);
    expect(isDue()).toBe(false);
    expect(probe.blind()).toEqual([]);
    expect(probe.locate('timer')).toBeNull();
    clock.advance(5 * MINUTE_MS);
    expect(probe.read({ open: 10, limit: null })).toEqual({ descriptor: 7 });
  });

  test.each([
    [1, 1_000],
    [2, 2_000],
    [3, MINUTE_MS],
    [11, 100_000],
  ])('after five counts of %i ms the next one is due after %i ms', (costMs, waitMs) => {
    const { clock, isDue } = probeWith(() => costMs);
    clock.advance(5 * MINUTE_MS);
    for (let count = 0; count < 5; count += 1) expect(isDue()).toBe(true);
    clock.advance(waitMs - 1);
    expect(isDue()).toBe(false);
    clock.advance(1);
    expect(isDue()).toBe(true);
  });

  test('interrupted counts change nothing until ten in a row were long', () => {
    const costs = [0.2];
    const { clock, isDue } = probeWith(() => costs.shift() ?? 40);
    clock.advance(5 * MINUTE_MS);
    for (let count = 0; count < 11; count += 1) {
      expect(isDue()).toBe(true);
      clock.advance(201);
    }
    expect(isDue()).toBe(false);
    clock.advance(10 * MINUTE_MS);
    expect(isDue()).toBe(true);
  });
});
