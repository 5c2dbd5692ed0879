import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const CHILD = join(ROOT, 'test', 'support', 'hooks-child.cjs');
beforeAll(() => void execFileSync(process.execPath, [join(ROOT, 'test', 'tools', 'build.mjs')]));

/** The child must end by itself: a guest keeps nothing alive. */
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

test('listeners have a function, a file and a line: bound, by once, debounced, and under per-id names too', () => {
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

test('a listener in code that was transpiled in memory is led back to the line that was written', () => {
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
  // Without a map in the code the place there, column and all, for the watcher to lead back.
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

test('registries, rooms and queues are found through what handlers close over, and called by their names', () => {
  const source = 'found';
  expect(run('discovery')).toEqual({
    registries: [
      { name: 'ws clients', entries: 4, source },
      { name: 'Manager.connections', entries: 4, source },
      { name: 'clients', entries: 4, source },
    ],
    // Neither a constant, nor a cache of plain values, nor closures, nor what belongs to one connection.
    queues: [{ name: 'jobs', items: 20, oldestAgeMs: null, isTaken: false, source }],
    rooms: [
      { name: 'rooms', rooms: 4, members: 4, source },
      { name: 'topics', rooms: 4, members: 4, areObjects: true, source },
    ],
    once: [{ name: 'by hand', entries: 4, source: 'app' }],
    kept: [4, 4],
    faults: [],
  });
});

test('what is kept by the ids of Socket.IO sockets is a registry, what is kept by a name of its own is none', () => {
  const source = 'found';
  expect(run('discovery-by-id')).toEqual({
    registries: [
      { name: 'presence', entries: 4, source },
      { name: 'typing', entries: 4, source },
    ],
    // Members that are ids of connections make rooms; those that are anybody's do not.
    rooms: [{ name: 'channels', rooms: 4, members: 4, source }],
    faults: [],
  });
});

test("Node's warnings lead to emitters beyond the first of a class, and to EventTargets", () => {
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
    changed: ['init', 'setMaxListeners', 'send', 'ping', 'warning'],
    left: [],
    pongListeners: 1,
    closeListenersTaken: 1,
    channels: [false, false],
    held: 0,
    served: 'still served',
    faults: [],
  });
});

test('who wrapped after us keeps a working chain when we stop', () => {
  expect(run('wrappedAfterUs')).toEqual({ heard: 'heard', calls: 1, buses: 0, faults: [] });
});

test('an application that breaks what we lean on goes on being served', () => {
  const seen = run('hostile');
  expect(seen).toMatchObject({ echoed: 'served', heap: true });
  expect(seen['parts']).toContain('connection');
});

test('a late start finds the server and the connections that were there', () => {
  expect(run('late')).toEqual({ servers: 1, faults: [] });
});

test('it wakes for what serves, not for a private pipe', () => {
  expect(run('wakes')).toEqual({ woken: ['httpOnPipe', 'tcp', 'http2'], faults: [] });
});

test('under the permission model what cannot be read is said', () => {
  const [major = 0] = process.versions.node.split('.').map(Number);
  const flag = major >= 24 ? '--permission' : '--experimental-permission';
  const nodeArgs = [flag, `--allow-fs-read=${ROOT}/*`, ...(major >= 25 ? ['--allow-net'] : [])];
  const { blind, faults } = run('permission', nodeArgs, '3');
  expect(blind).toEqual([
    {
      what: 'collections that the application does not register',
      why: 'the inspector is not available (ERR_ACCESS_DENIED)',
    },
    { what: 'TCP retransmits (/proc/net/tcp)', why: 'it cannot be read (ERR_ACCESS_DENIED)' },
    { what: 'open descriptors', why: '/proc/self/fd cannot be read (ERR_ACCESS_DENIED)' },
  ]);
  expect(faults).toEqual([]);
});
