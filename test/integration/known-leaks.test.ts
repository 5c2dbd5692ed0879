/** Known leaks of packages: found and named in the leaking version, nothing found in the fixed version. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { analyseFiles } from '../support/analyse-files.ts';
import { KNOWN_LEAKS } from '../../src/analyse/verdict/known-leaks.ts';
import type { Analysis } from '../../src/types/index.ts';
import { NODES, nodeOf } from '../support/nodes.ts';
import { installReal, PAIRS, pinnedVersion, snapshotReal, type Variant } from '../support/real.ts';

const WARM = 50;
const UNITS = 150;

interface Expected {
  readonly id: string;
  readonly package: string;
  readonly type: string;
  /** The end of the retaining path. */
  readonly path: string;
  /** Leaked entries per unit of the load. */
  readonly perUnit: number;
  readonly file: string;
  /** A part of the source line that the analysis must name. */
  readonly line: string;
  /** Connections that the server accepts for a load of `units`, its connections to itself included. */
  readonly accepted: (units: number) => number;
}
const EXPECTED: Readonly<Record<string, Expected>> = {
  'express-sse-listener': {
    id: 'express-sse-listener',
    package: 'express-sse',
    type: 'Listeners',
    path: 'sse._events.data',
    perUnit: 1,
    file: 'node_modules/express-sse/index.js',
    line: "this.on('data', function(data) {",
    accepted: (units) => units,
  },
  'graphql-subscriptions-withfilter': {
    id: 'graphql-subscriptions-withfilter',
    package: 'graphql-subscriptions',
    type: 'Promises',
    path: 'asyncIterator.pullQueue',
    // Each event goes to ten subscriptions, and each of them chains two promises to it.
    perUnit: 20,
    file: 'node_modules/graphql-subscriptions/dist/with-filter.js',
    line: '.then(function (payload) {',
    accepted: () => 10,
  },
  'http-proxy-middleware-upgrade-listeners': {
    id: 'http-proxy-middleware-upgrade-listeners',
    package: 'http-proxy-middleware',
    type: 'Listeners',
    path: 'Server._events.upgrade',
    perUnit: 1,
    file: 'node_modules/http-proxy-middleware/lib/index.js',
    line: 'function handleUpgrade(req, socket, head) {',
    accepted: (units) => 2 * units,
  },
  'sharedb-duplicate-subscribe': {
    id: 'sharedb-duplicate-subscribe',
    package: 'sharedb',
    type: 'Array',
    path: 'pubsub.streams["pages.home"]',
    perUnit: 1,
    file: 'node_modules/sharedb/lib/pubsub/index.js',
    line: 'this.streams[channel] = {}',
    accepted: (units) => units,
  },
  'socketio-join-after-disconnect': {
    id: 'socket.io-join-after-disconnect',
    package: 'socket.io',
    type: 'Map',
    path: 'Server.sockets.adapter.rooms',
    perUnit: 2,
    file: 'node_modules/socket.io-adapter/dist/index.js',
    line: 'this.rooms.set(room, new Set());',
    accepted: (units) => units,
  },
  'websocket-node-two-servers': {
    id: 'websocket-pending-requests',
    package: 'websocket',
    type: 'Array',
    path: 'WebSocketServer.pendingRequests',
    perUnit: 1,
    file: 'node_modules/websocket/lib/WebSocketServer.js',
    line: 'this.pendingRequests.push(wsRequest);',
    accepted: (units) => units,
  },
};

const folder = mkdtempSync(join(tmpdir(), 'wsguard-known-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function analyse(node: string, name: string, variant: Variant): Promise<Analysis> {
  const { files, accepted } = await snapshotReal([name, variant], {
    warm: WARM,
    units: UNITS,
    folder,
    node,
  });
  expect(accepted).toBe(EXPECTED[name]?.accepted(WARM + UNITS));
  return analyseFiles(files);
}

function sourceLine({ file, line }: { file: string; line: number }): string | undefined {
  return readFileSync(file, 'utf8').split('\n')[line - 1];
}

test('every known leak and every pair of package versions is tested here', () => {
  const looked = Object.values(EXPECTED);
  expect(new Set(looked.map(({ id }) => id))).toEqual(new Set(KNOWN_LEAKS.map(({ id }) => id)));
  expect(Object.keys(EXPECTED).sort()).toEqual(Object.keys(PAIRS).sort());
});

const CASES = NODES.flatMap((node) =>
  Object.entries(EXPECTED).map(([name, it]) => [name, node, it] as const),
);

describe.each(CASES)('%s on %s', (name, node, expected) => {
  test('leaking version: the first suspect is the known leak, with its line', async () => {
    const { suspects, clean } = await analyse(await nodeOf(node), name, 'bad');
    expect(clean).toBe(false);
    const [first] = suspects;
    if (!first?.location || !first.growth) throw new Error(`no place, no growth: ${JSON.stringify(first)}`);
    expect(first.type).toBe(expected.type);
    // The start of the path differs from run to run: `pubsub…` or `backend.pubsub…`.
    const path = first.path.join('').replace(/\[\d+\]$/, '');
    expect(path.slice(-expected.path.length)).toBe(expected.path);
    expect(relative(installReal(name, 'bad'), first.location.file)).toBe(expected.file);
    expect(sourceLine(first.location)).toContain(expected.line);
    // The load gives up units that take longer than a minute, and they may leave no entry.
    expect(first.growth.objects / (UNITS * expected.perUnit)).toBeGreaterThan(0.9);
    expect(first.growth.objects / (UNITS * expected.perUnit)).toBeLessThan(1.05);
    // There are no other suspects, and the range ends before the fixed version.
    const range = `<${pinnedVersion(name, 'fixed', expected.package)}`;
    for (const { known } of suspects)
      expect(known).toMatchObject({ id: expected.id, package: expected.package, range });
  });

  test('fixed version: no suspect', async () => {
    const { suspects, clean } = await analyse(await nodeOf(node), name, 'fixed');
    expect(suspects).toEqual([]);
    expect(clean).toBe(true);
  });
});
