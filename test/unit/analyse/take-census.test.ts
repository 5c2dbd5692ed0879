/** The census of containers on built snapshots of a small server. */
import { takeContainerCensus } from '../../../src/analyse/census/take-census.ts';
import { AGENT_FILES } from '../../../src/analyse/graph/scripts.ts';
import { parseSource } from '../../../src/analyse/locate/source-files.ts';
import { NO_SOURCES } from '../../../src/analyse/locate/sources.ts';
import type { Sources } from '../../../src/analyse/locate/sources.ts';
import type { ContainerCensus, ContainerRow } from '../../../src/types/index.ts';
import { FILE, ServerHeap } from '../../support/server-heap.ts';

const SOURCE = [
  'const clients = new Map();',
  'const log = [];',
  '',
  'function onConnection(ws) {',
  '  clients.set(ws.id, new Session(ws));',
  '  log.push(ws);',
  '}',
];

const sourcesOf = (lines: readonly string[]): Sources => {
  const text = lines.join('\n');
  return {
    ...NO_SOURCES,
    text: (file) => (file === FILE ? text : null),
    syntaxTree: (file) => (file === FILE ? parseSource(text) : null),
  };
};

/** Two censuses of one process; ids of objects differ between them, as in forked children. */
function takeTwo(fill: (server: ServerHeap, count: number) => void, lines = SOURCE): ContainerCensus[] {
  const sources = sourcesOf(lines);
  const take = (count: number, earlier: ContainerCensus | null): ContainerCensus => {
    const server = new ServerHeap(new Map([['another process', count]]));
    fill(server, count);
    return takeContainerCensus(server.build(), sources, earlier?.rows ?? null);
  };
  const first = take(40, null);
  return [first, take(240, first)];
}

const rowOf = (census: ContainerCensus | undefined, key: string): ContainerRow | undefined =>
  census?.rows.find((row) => row.key === `${FILE} ${key}`);

test('a Map of sessions is counted at its variable, located, and its closed connections are seen', () => {
  const [first, second] = takeTwo((server, count) =>
    server.variable('clients', server.map('clients', server.sessions(count, false))),
  );
  expect(rowOf(first, 'clients Map')).toMatchObject({ entries: 40, containers: 1, location: null });
  expect(rowOf(second, 'clients Map')).toMatchObject({
    type: 'Map',
    owner: 'application',
    name: 'clients',
    entries: 240,
    sampled: 24,
    closed: 24,
    open: 0,
    location: { file: FILE, line: 5 },
    expected: null,
    removal: 'none',
  });
  expect(second?.connections).toEqual({ open: 0, closed: 240 });
});

test.each(['this', 'an argument'])(
  'a bound function leads to the closed connection that is its %s',
  (place) => {
    const [, second] = takeTwo((server, count) => {
      const handlers = server.sessions(count, false).map((session, index) => {
        const other = server.object(`other ${index}`, 'Object');
        return place === 'this'
          ? server.bound(`handler ${index}`, session)
          : server.bound(`handler ${index}`, other, [other, session]);
      });
      server.variable('clients', server.map('clients', handlers));
    });
    expect(rowOf(second, 'clients Map')).toMatchObject({ entries: 240, sampled: 24, closed: 24 });
  },
);

/** `depth` objects, each a field of the one before, and the node at the end. Returns the first. */
function nested(server: ServerHeap, key: string, { end, depth }: { end: number; depth: number }): number {
  let first = end;
  for (let level = 0; level < depth; level += 1)
    first = server.object(`${key} level ${level}`, 'Object', { next: first });
  return first;
}

test('an entry leads to its closed connection however many references are between them', () => {
  const [, second] = takeTwo((server, count) => {
    const entries = server
      .sessions(count, false)
      .map((end, index) => nested(server, `entry ${index}`, { end, depth: 12 }));
    server.variable('clients', server.map('clients', entries));
  });
  expect(rowOf(second, 'clients Map')).toMatchObject({ entries: 240, sampled: 24, closed: 24 });
});

test('far closed connections that all entries share belong to one of them at most', () => {
  const [, second] = takeTwo((server, count) => {
    const end = server.array('sessions', server.sessions(count, false));
    const hub = nested(server, 'hub', { end, depth: 6 });
    const entries = Array.from({ length: count }, (_, index) =>
      server.object(`entry ${index}`, 'Entry', { hub }),
    );
    server.variable('clients', server.map('clients', entries));
  });
  const row = rowOf(second, 'clients Map');
  expect(row).toMatchObject({ entries: 240, sampled: 24 });
  expect(row?.closed).toBeLessThanOrEqual(1);
});

test("without the application's code near the entries of a package, its code on the way to a connection is named", () => {
  const file = '/app/node_modules/hub/hub.js';
  const [, second] = takeTwo((server, count) => {
    const entries = server.sessions(count, false).map((session, index) => {
      const wait = server.closure(`wait ${index}`, { name: 'follow', file: FILE, line: 5 }, { session });
      const far = nested(server, `entry ${index}`, { end: wait, depth: 40 });
      return server.closure(`entry ${index}`, { name: 'push', file, line: 3 }, { far });
    });
    const topics = server.map('topics', entries);
    server.variable('hub', server.closure('add', { name: 'add', file, line: 1 }, { topics }));
  });
  const row = second?.rows.find(({ entries, type }) => type === 'Map' && entries === 240);
  expect(row).toMatchObject({ owner: 'package', closed: 24, location: { file: FILE, line: 5 } });
});

test('entries with open connections are told from closed ones', () => {
  const [, second] = takeTwo((server, count) =>
    server.variable('log', server.array('log', server.sessions(count, true))),
  );
  expect(rowOf(second, 'log Array')).toMatchObject({ entries: 240, closed: 0, open: 24 });
  expect(second?.connections).toEqual({ open: 240, closed: 0 });
});

test('the fields of entries are one place, and keys are not part of it', () => {
  const [, second] = takeTwo((server, count) => {
    const members = Array.from({ length: count }, (_, index) =>
      server.object(`room ${index}`, 'Object', {
        members: server.array(`members ${index}`, server.sessions(3, true, `member ${index}`)),
      }),
    );
    server.variable('rooms', server.map('rooms', members));
  });
  const row = rowOf(second, 'rooms.get(…).members Array');
  expect(row).toMatchObject({ containers: 240, entries: 720, largest: 3 });
});

test.each([
  ['code', ['function onClose(ws) {', '  clients.delete(ws.id);', '}']],
  ['timer', ['setInterval(() => {', '  for (const id of old()) clients.delete(id);', '}, 1000);']],
  ['timer', ['function sweep() {', '  clients.clear();', '}', 'setInterval(sweep, 1000);']],
  ['code', ['function reset() {', '  clients = new Map();', '}']],
  ['code', ['function reset() {', '  clients.length = 0;', '}']],
  ['none', ['clients.set(1, 2);']],
  ['none', ['setInterval(() => send({ clients: clients.length }), 1000);']],
])('removal by %s is read from the source', (removal, lines) => {
  const [, second] = takeTwo(
    (server, count) => server.variable('clients', server.map('clients', server.sessions(count, false))),
    [...SOURCE, ...lines],
  );
  expect(rowOf(second, 'clients Map')?.removal).toBe(removal);
});

test('code that evicts entries at a limit makes growth expected', () => {
  const [, second] = takeTwo(
    (server, count) => server.variable('clients', server.map('clients', server.sessions(count, false))),
    [...SOURCE, 'if (clients.size > 500) clients.delete(clients.keys().next().value);'],
  );
  expect(rowOf(second, 'clients Map')?.expected).toContain('removes entries at a limit');
});

test.each([
  ['a list of the module loader', 'parents', "Node's module loader keeps one entry for each module"],
  ['a Map that a module exports', 'exports', null],
])('the reason for the growth of %s', (_, field, expected) => {
  const [, second] = takeTwo((server, count) => {
    const module = server.object('module', 'Module', {
      [field]: server.object('exports', 'Object', { docs: server.map('docs', server.sessions(count, true)) }),
    });
    const cache = server.object('cache', 'Object', { 'index.js': module });
    server.variable('clients', server.object('loader', 'Loader', { _cache: cache }));
  });
  const row = second?.rows.find(({ type }) => type === 'Map');
  expect(row).toMatchObject({ entries: 240, expected });
});

test('places with few entries are left out', () => {
  const [first] = takeTwo((server) => server.variable('log', server.array('log', server.sessions(4, true))));
  expect(rowOf(first, 'log Array')).toBeUndefined();
  expect(first?.minEntries).toBe(10);
});

test('a linked list is sampled from its newest to its oldest link', () => {
  const [, second] = takeTwo((server, count) => {
    let first = -1;
    for (const [index, session] of [
      ...server.sessions(count - 20, false, 'old'),
      ...server.sessions(20, true, 'new'),
    ].entries()) {
      const next: Record<string, number> = first < 0 ? {} : { next: first };
      first = server.object(`link ${index}`, 'Link', { session, ...next });
    }
    server.variable('clients', first);
  });
  expect(rowOf(second, 'clients List')).toMatchObject({ entries: 240, sampled: 24, closed: 22, open: 2 });
});

test('functions that wait for one promise are counted at its variable', () => {
  const [, second] = takeTwo((server, count) =>
    server.variable('clients', server.awaitedPromise('ready', count)),
  );
  expect(rowOf(second, 'clients/reactions_or_result Promises')).toMatchObject({
    type: 'Promises',
    name: 'promises that wait for clients',
    entries: 240,
    containers: 1,
  });
});

test('a queue of promises is one list, whose length is the number of promises', () => {
  const [first, second] = takeTwo((server, count) =>
    server.variable('clients', server.promiseQueue('delivery', count)),
  );
  const promises = ({ rows }: ContainerCensus): unknown[] => rows.filter(({ type }) => type === 'Promises');
  expect(promises(first!)).toMatchObject([{ entries: 40, containers: 1 }]);
  expect(promises(second!)).toMatchObject([
    { name: 'promises that wait for clients', entries: 240, containers: 1 },
  ]);
});

test.each([
  ['their own connections', 240, [24, 24]],
  ['no connection but the last, to which the others lead', 1, [0, 1]],
])('promises in a queue whose functions refer to %s', (_, connections, [least, most]) => {
  const [, second] = takeTwo((server, count) => {
    const sessions = server.sessions(count, false);
    const refersTo = sessions.slice(-connections);
    const handlers = [...Array<number>(count - refersTo.length).fill(-1), ...refersTo];
    server.variable('clients', server.promiseQueue('delivery', count, handlers));
  });
  const row = second?.rows.find(({ type }) => type === 'Promises');
  expect(row).toMatchObject({ entries: 240, sampled: 24 });
  expect(row?.closed).toBeGreaterThanOrEqual(least!);
  expect(row?.closed).toBeLessThanOrEqual(most!);
});

test('the linked list of an EventTarget is a list of listeners', () => {
  const [, second] = takeTwo((server, count) => {
    let link = server.object('listener 0', 'Listener');
    for (let index = 1; index < count; index += 1)
      link = server.object(`listener ${index}`, 'Listener', { next: link });
    const root = server.object('root of the event', 'Object', { next: link });
    const events = server.map('events', [root], 'SafeMap');
    server.variable('clients', server.object('signal', 'AbortSignal', { '<symbol kEvents>': events }));
  });
  const row = second?.rows.find(({ type }) => type === 'Listeners');
  expect(row).toMatchObject({ name: 'listeners of an event on AbortSignal', entries: 240, containers: 1 });
});

describe('what only functions of Node lead to, which the agent has in its variables', () => {
  /** The agent has two functions, of which `setTimeout` refers to `node`. */
  const withAgent = (server: ServerHeap, node: number): void => {
    const setTimeout = server.closure(
      'setTimeout',
      { name: 'setTimeout', file: 'node:timers', line: 1 },
      { timerListMap: node },
    );
    let hook = -1;
    for (const name of AGENT_FILES)
      hook = server.closure(
        name,
        { name: 'hook', file: `/app/node_modules/agent/dist/${name}.js`, line: 1 },
        hook < 0 ? { setTimeout } : { hook },
      );
    server.root(hook);
  };

  test('timers are counted', () => {
    const [, second] = takeTwo((server, count) => withAgent(server, server.timerLists(5000, count)));
    expect(second?.rows).toMatchObject([{ key: 'timers of 5000 ms', type: 'Timers' }]);
  });

  test('a container of Node is one of Node', () => {
    const [, second] = takeTwo((server, count) =>
      withAgent(server, server.map('pending', server.sessions(count, true))),
    );
    expect(second?.rows).toMatchObject([{ type: 'Map', owner: 'node', entries: 240 }]);
  });
});

describe('the limit of an LRU cache', () => {
  const FILE_OF_CLASS = '/app/node_modules/hub/hub.js';
  const limitOf = (
    creation: string,
    className = 'LRUCache',
    file = FILE_OF_CLASS,
  ): string | null | undefined => {
    const source = [`const clients = ${creation};`, ...SOURCE.slice(1)];
    const [, second] = takeTwo((server, count) => {
      const entries = server.map('entries', server.sessions(count, true));
      server.variable('clients', server.constructedIn(server.object('cache', className, { entries }), file));
    }, source);
    return second?.rows.find(({ entries }) => entries === 240)?.expected;
  };
  const LIMITED = 'an LRU cache has a limit';

  test.each([
    ['new LRUCache({ max: 500 })', LIMITED],
    ['new LRUCache(500)', LIMITED],
    ['new LRUCache({ ...options })', LIMITED],
    ['new LRUCache({ maxSize: 5_000_000, sizeCalculation })', LIMITED],
    ['new LRUCache({ ttl: 60_000, ttlAutopurge: true })', LIMITED],
    ['createCache()', LIMITED],
    ['new LRUCache({ ttl: 86_400_000 })', null],
    ['new LRUCache({ maxAge: 86_400_000 })', null],
    ['new LRUCache({ max: Infinity })', null],
    ['new LRUCache()', null],
  ])('of %s', (creation, expected) => {
    expect(limitOf(creation)).toBe(expected);
  });

  test('a minified package has it too', () => {
    const file = '/app/node_modules/lru-cache/dist/commonjs/index.min.js';
    expect(limitOf('new LRUCache({ max: 500 })', 'u', file)).toBe(LIMITED);
  });
});

test('sockets with a request are open handles, and those that wait in the pool of an http agent are not', () => {
  const rowsWith = (isIdle: boolean): ContainerRow | undefined => {
    const [, second] = takeTwo((server, count) => {
      const request = server.object('request', 'ClientRequest');
      const _httpMessage = isIdle ? server.nullValue : request;
      server.openSockets(Array.from({ length: count }, () => ({ _httpMessage })));
    });
    return second?.rows.find(({ type }) => type === 'Handles');
  };
  expect(rowsWith(false)).toMatchObject({ name: 'open handles TCP', entries: 240 });
  expect(rowsWith(true)).toBeUndefined();
});

test('the idle sockets of an http agent have a limit', () => {
  const [, second] = takeTwo((server, count) => {
    const sockets = Array.from({ length: count }, (_, index) => server.object(`idle ${index}`, 'Socket'));
    const freeSockets = server.object('free', 'Object', {
      'localhost:80:': server.array('sockets', sockets),
    });
    server.variable('clients', server.object('agent', 'Agent', { freeSockets }));
  });
  const row = second?.rows.find(({ entries }) => entries === 240);
  expect(row?.expected).toContain('an http agent keeps at most');
});

test('closed connections that no container retains are counted, with the function that has them in a variable', () => {
  const [first, second] = takeTwo((server, count) => {
    let pipeline = -1;
    for (const [index, session] of server.sessions(count, false).entries()) {
      const step = server.closure(`step ${index}`, { name: '', file: FILE, line: 6 }, { session });
      const next: Record<string, number> = pipeline < 0 ? {} : { next: pipeline };
      const wrapper = { name: 'pipeline', file: '/app/pipeline.js', line: 6 };
      pipeline = server.closure(`pipeline ${index}`, wrapper, { step, ...next });
    }
    server.variable('pipeline', pipeline);
  });
  const rowIn = ({ rows }: ContainerCensus) => rows.find(({ type }) => type === 'Connections');
  expect(rowIn(first!)).toMatchObject({ entries: 40, location: null });
  expect(rowIn(second!)).toMatchObject({ entries: 240, sampled: 24, location: { file: FILE, line: 6 } });
  expect(second?.rows).toHaveLength(1);
});

test('contexts of node:vm count with their memory, which the path from the application does not lead to', () => {
  const bytesWith = (inRecord: boolean, symbol: string): number | undefined => {
    const [, second] = takeTwo((server, count) => {
      const contexts = Array.from({ length: count }, (_, index) => {
        const internal = server.object(`internal ${index}`, 'Object');
        const context = server.object(`context ${index}`, 'Object', { [symbol]: internal });
        return inRecord ? server.object(`record ${index}`, 'Object', { context }) : context;
      });
      server.variable('log', server.array('log', contexts));
    });
    return rowOf(second, 'log Array')?.bytes;
  };
  const contexts = 240 * 140 * 1024;
  expect(bytesWith(false, '<symbol node:contextify:context>')).toBeGreaterThan(contexts);
  expect(bytesWith(true, '<symbol contextify_context_private_symbol>')).toBeGreaterThan(contexts);
  expect(bytesWith(false, '<symbol kState>')).toBeLessThan(contexts / 100);
});

test('entries lead to the connections of their own timers, not to those of the next ones in the list of Node', () => {
  const [, second] = takeTwo((server, count) => {
    const withTimers = (sessions: readonly number[], name: string): number[] =>
      sessions.map((session, index) => server.object(`${name} timer ${index}`, 'Timeout', { session }));
    const open = withTimers(server.sessions(count, true, 'open'), 'open');
    const closed = withTimers(server.sessions(count, false, 'closed'), 'closed');
    server.variable('others', server.map('others', closed));
    const clients = open.map((timer, index) => server.object(`client ${index}`, 'Client', { timer }));
    server.variable('clients', server.map('clients', clients));
    for (const [index, timer] of open.entries()) server.link(timer, '_idleNext', closed[index]!);
  });
  expect(rowOf(second, 'clients Map')).toMatchObject({ entries: 240, sampled: 24, closed: 0, open: 24 });
});

describe('a variable that an ES module exports', () => {
  const STORE = '/app/store.js';
  const HUB = '/app/hub.js';
  const STORE_LINES = ['export const sessions = new Map();', 'export function count() {', '}'];
  const HUB_LINES = [
    "import { sessions } from './store.js';",
    'export function join(id, ws) {',
    '  sessions.set(id, ws);',
  ];

  /** The Map has 240 entries in the second census. */
  const rowsWith = (hub: readonly string[], store = STORE_LINES): readonly ContainerRow[] => {
    const texts = new Map([
      [STORE, store.join('\n')],
      [HUB, hub.join('\n')],
    ]);
    const sources: Sources = {
      ...NO_SOURCES,
      text: (file) => texts.get(file) ?? null,
      syntaxTree: (file) => parseSource(texts.get(file) ?? null),
    };
    const take = (count: number, earlier: ContainerCensus | null): ContainerCensus => {
      const server = new ServerHeap(new Map([['another process', count]]));
      const entries = Array.from({ length: count }, (_, index) => server.object(`entry ${index}`, 'Entry'));
      const counter = server.closure('count', { name: 'count', file: STORE, line: 2 });
      const cells = server.esModule(STORE, { count: counter, sessions: server.map('sessions', entries) });
      server.esModule(HUB, { join: server.closure('join', { name: 'join', file: HUB, line: 2 }) }, cells);
      return takeContainerCensus(server.build(), sources, earlier?.rows ?? null);
    };
    return take(240, take(40, null)).rows;
  };
  const sessions = (rows: readonly ContainerRow[]): ContainerRow | undefined =>
    rows.find(({ type }) => type === 'Map');

  test('is counted at its name, with the line of the module that imports it and adds', () => {
    expect(sessions(rowsWith([...HUB_LINES, '}']))).toMatchObject({
      owner: 'application',
      name: 'sessions',
      entries: 240,
      location: { file: HUB, line: 3 },
      removal: 'none',
      expected: null,
    });
  });

  test('code of that module removes its entries too, and has a limit', () => {
    const removing = [...HUB_LINES, '}', 'export const leave = (id) => sessions.delete(id);'];
    expect(sessions(rowsWith(removing))).toMatchObject({ removal: 'code', expected: null });
    const limited = [...HUB_LINES, '  if (sessions.size > 100) sessions.clear();', '}'];
    expect(sessions(rowsWith(limited))?.expected).toBe(`the code removes entries at a limit (${HUB}:4)`);
  });

  test('without an addition elsewhere it has the line that creates it', () => {
    const row = sessions(rowsWith(["import { sessions } from './store.js';"]));
    expect(row?.location).toMatchObject({ file: STORE, line: 1 });
  });

  test('of which the source does not tell the name has its module', () => {
    const row = sessions(rowsWith(HUB_LINES, [...STORE_LINES, 'export const other = 1;']));
    expect(row).toMatchObject({ owner: 'application', location: { file: STORE, line: 1 } });
  });
});
