import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const CHILD = join(ROOT, 'test', 'support', 'hooks-child.cjs');
beforeAll(() => void execFileSync(process.execPath, [join(ROOT, 'test', 'tools', 'build.mjs')]));

/** The child must end by itself: the agent keeps no process alive. */
function run(scenario: string, nodeArgs: readonly string[] = [], ...args: string[]): Record<string, unknown> {
  const child = spawnSync(process.execPath, [...nodeArgs, CHILD, scenario, ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  expect({ status: child.status, stderr: child.status === 0 ? '' : child.stderr }).toEqual({
    status: 0,
    stderr: '',
  });
  return JSON.parse(child.stdout) as Record<string, unknown>;
}

test('listeners have a function, a file and a line, also when they are bound, debounced, or one per user', () => {
  const { located } = run('locate');
  expect(located).toEqual([
    expect.objectContaining({
      function: 'onPrice',
      file: CHILD,
      line: lineOf('function onPrice() {}'),
      package: null,
    }),
    expect.objectContaining({ function: 'onPrice' }),
    expect.objectContaining({ function: 'onUser', file: CHILD, line: lineOf('function onUser() {}') }),
    expect.objectContaining({ function: 'onResize', line: lineOf('function onResize() {}') }),
    null,
  ]);
});

test('a listener in code that was transpiled in memory is mapped to the written line', () => {
  const written = `interface Tick {
  readonly price: number;
}
type Subscribe = (bus: { on(event: string, listener: (tick: Tick) => void): void }) => void;
(((bus) => {
  bus.on('tick', function onTick(tick: Tick) {
    return tick.price;
  });
}) satisfies Subscribe);
`;
  expect(run('locate-transpiled', [], written, 'inline')).toEqual({
    text: "listener of 'tick': onTick at /srv/feed.ts:6",
    name: 'tick',
    file: '/srv/feed.ts',
    line: 6,
    function: 'onTick',
    package: null,
    confidence: 0.95,
    faults: [],
  });
  // Without an inline map: the line and column in the code that runs. The watcher can map it.
  expect(run('locate-transpiled', [], written, 'none')).toMatchObject({
    line: 1,
    column: expect.any(Number),
  });
});

const lineOf = (text: string): number => {
  const { readFileSync } = require('node:fs') as typeof import('node:fs');
  return (
    readFileSync(CHILD, 'utf8')
      .split('\n')
      .findIndex((line) => line.includes(text)) + 1
  );
};

test('registries, rooms and queues that handlers close over are found, with the names of the code', () => {
  const source = 'found';
  expect(run('discovery')).toEqual({
    registries: [
      { name: 'ws clients', entries: 4, source },
      { name: 'clients', entries: 4, source },
      { name: 'Manager.connections', entries: 4, source },
    ],
    // A constant, a cache of plain values, closures, and the array of one connection are not queues.
    queues: [{ name: 'jobs', items: 20, oldestAgeMs: null, isTaken: false, source }],
    rooms: [
      { name: 'rooms', rooms: 4, members: 4, source },
      { name: 'topics', rooms: 4, members: 4, areObjects: true, source },
    ],
    notTwice: [{ name: 'by hand', entries: 4, source: 'app' }],
    sizes: [4, 4],
    faults: [],
  });
});

test('a collection with ids of Socket.IO sockets as keys is a registry; one with other keys is none', () => {
  const source = 'found';
  expect(run('discovery-by-id')).toEqual({
    registries: [
      { name: 'presence', entries: 4, source },
      { name: 'typing', entries: 4, source },
    ],
    // `channels` has ids of connections as members. `readers` has other users too, so it does not count as rooms.
    rooms: [{ name: 'channels', rooms: 4, members: 4, source }],
    faults: [],
  });
});

test("Node's warnings lead to emitters beyond the first 50 of a class, and to EventTargets", () => {
  expect(run('warnings')).toMatchObject({
    crowd: [
      ['*', 20, 1],
      ['data', 20, null],
    ],
    target: [['stop', 20, null]],
  });
});

test('stop undoes every hook', () => {
  expect(run('stop')).toEqual({
    changed: ['init', 'setMaxListeners', 'send', 'ping', 'destroy', 'processEmit'],
    notRestored: [],
    pongListeners: 1,
    channels: [false, false],
    openSockets: 0,
    served: 'still served',
    faults: [],
  });
});

test('a wrapper that other code installed later works after stop', () => {
  expect(run('wrapped-later')).toEqual({ received: 'received', calls: 1, buses: 0, faults: [] });
});

test('an application that breaks methods that the hooks use is served as before', () => {
  expect(run('hostile')).toEqual({ echoed: 'served', heap: true, reads: 0, faults: [] });
});

test('a late start finds the servers and connections that are older', () => {
  expect(run('late')).toEqual({ servers: 1, faults: [] });
});

test('servers wake the agent, a private pipe does not', () => {
  expect(run('wake')).toEqual({ woken: ['httpOnPipe', 'tcp', 'http2'], faults: [] });
});

test('with the permission model the agent reports what it cannot see', () => {
  const [major = 0] = process.versions.node.split('.').map(Number);
  const flag = major >= 24 ? '--permission' : '--experimental-permission';
  const nodeArgs = [flag, `--allow-fs-read=${ROOT}/*`, ...(major >= 25 ? ['--allow-net'] : [])];
  const { blind, faults } = run('permission', nodeArgs, '5');
  expect(blind).toEqual([
    {
      what: 'collections that the application does not register',
      why: 'the inspector is not available (ERR_ACCESS_DENIED)',
    },
    { what: 'TCP retransmits (/proc/net/tcp)', why: 'it cannot be read (ERR_ACCESS_DENIED)' },
    { what: 'whether peers of event streams respond', why: 'the protocol of event streams has no ping' },
    { what: 'open descriptors', why: '/proc/self/fd cannot be read (ERR_ACCESS_DENIED)' },
    { what: 'timers', why: "the inspector does not show Node's lists of timers" },
  ]);
  expect(faults).toEqual([]);
});
