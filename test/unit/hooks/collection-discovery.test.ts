import { EventEmitter } from 'node:events';
import { inspectorConnection } from '../../../src/core/inspector-connection.ts';
import { CollectionDiscovery, type SearchStart } from '../../../src/hooks/discovery/collection-discovery.ts';
import { connectedIds, exampleConnections } from '../../../src/hooks/discovery/example-connections.ts';
import type { Namespace } from '../../../src/hooks/discovery/library-servers.ts';
import { UniqueNames } from '../../../src/hooks/unique-names.ts';
import { connectionWith } from '../../support/connections.ts';

const socket = () => ({ readyState: 1, send: () => undefined });
const newDiscovery = () => new CollectionDiscovery(new UniqueNames(), { wallMs: () => 1_790_000_000_000 });
const startWith = (start: Partial<SearchStart>): SearchStart => ({
  servers: [],
  connections: [],
  emitters: [],
  libraries: [],
  modules: {},
  ...start,
});

/** Searches until done. */
function search(
  discovery: CollectionDiscovery,
  openedTotal: number,
  server: EventEmitter,
  connections: object[] = [],
) {
  const start = startWith({ servers: [{ emitter: server, events: ['connection'] }], connections });
  while (!discovery.searchSlice(openedTotal, start));
}
const TOO_MANY_KEYS = 'objects with more than 5,000 keys, or with more than 10,000 together';
const readAll = (discovery: CollectionDiscovery) => discovery.read(() => false, []);

/** Opens `count` more entries with `add`, with a reading after each. */
function readWhile(discovery: CollectionDiscovery, count: number, add: (n: number) => void) {
  for (let n = 0; n < count; n += 1) {
    add(n);
    readAll(discovery);
  }
  return readAll(discovery);
}

test('a slice of a search reads the scopes of one function', () => {
  const discovery = newDiscovery();
  const helpers = Object.fromEntries(
    Array.from({ length: 20 }, (_, n) => [`${'help'.repeat(n + 1)}`, () => n]),
  );
  const server = new EventEmitter().on('connection', () => helpers);
  const start = startWith({ servers: [{ emitter: server, events: ['connection'] }] });
  let slices = 1;
  while (!discovery.searchSlice(2, start)) slices += 1;
  expect(slices).toBeGreaterThanOrEqual(20);
  expect(discovery.isDue(2)).toBe(false);
  expect(discovery.isDue(20)).toBe(true);
});

test('collections that a handler closes over are found with the names of the code', () => {
  const clients = new Map([1, 2, 3].map((id) => [id, socket()]));
  const state = { rooms: new Map([1, 2, 3].map((id) => [id, new Set([socket()])])) };
  const jobs: object[] = [{ job: 1 }, { job: 2 }, { job: 3 }];
  const server = new EventEmitter().on('connection', () => [clients, state, jobs]);
  const discovery = newDiscovery();
  search(discovery, 2, server);
  const source = 'found';
  const before = readAll(discovery);
  expect(before.registries).toEqual([{ name: 'clients', entries: 3, source }]);
  expect(before.rooms).toEqual([{ name: 'state.rooms', rooms: 3, members: 3, source }]);
  // An array that has never changed can be a constant.
  expect(before.queues).toEqual([]);
  jobs.push({ job: 4 });
  expect(readAll(discovery).queues).toEqual([
    { name: 'jobs', items: 4, oldestAgeMs: null, isTaken: false, source },
  ]);
});

test('a collection in a private field of an object that a handler uses', () => {
  class Limiter {
    readonly #hits: Record<string, { count: number }> = Object.create(null);
    readonly #recent = new Map<number, { count: number }>();
    hit(n: number): void {
      this.#hits[`10.0.0.${n}`] = { count: 1 };
      if (this.#recent.size < 500) this.#recent.set(n, { count: 1 });
    }
  }
  const limiter = new Limiter();
  const server = new EventEmitter().on('connection', () => limiter);
  const discovery = newDiscovery();
  search(discovery, 2, server);
  const { registries } = readWhile(discovery, 20, (n) => limiter.hit(n));
  const row = { entries: 20, areConnections: false, source: 'found' };
  expect(registries).toEqual([
    { ...row, name: 'limiter.#hits' },
    { ...row, name: 'limiter.#recent' },
  ]);
});

test('rooms that are objects are read by the field with their members', () => {
  const topics = new Map([1, 2, 3].map((id) => [id, { history: ['hi'], members: new Set([socket()]) }]));
  const server = new EventEmitter().on('connection', () => topics);
  const discovery = newDiscovery();
  search(discovery, 2, server);
  expect(readAll(discovery).rooms).toEqual([
    { name: 'topics', rooms: 3, members: 3, areObjects: true, source: 'found' },
  ]);
});

test('a collection that the application registers is not reported twice', () => {
  const clients = new Map([1, 2, 3].map((id) => [id, socket()]));
  const server = new EventEmitter().on('connection', () => clients);
  const discovery = newDiscovery();
  search(discovery, 2, server);
  expect(discovery.read((thing) => thing === clients, []).registries).toEqual([]);
  expect(readAll(discovery).registries).toHaveLength(1);
});

test('the collections of the server itself are left out', () => {
  const clients = new Set([socket(), socket(), socket()]);
  const server: EventEmitter = Object.assign(new EventEmitter(), { clients });
  server.on('connection', () => clients);
  const discovery = newDiscovery();
  search(discovery, 2, server);
  expect(readAll(discovery)).toEqual({ registries: [], queues: [], rooms: [] });
});

test('handlers of connections lead only to collections that two of them share', () => {
  const shared = new Map([1, 2, 3].map((id) => [id, socket()]));
  const connection = () => {
    const own = new Map([1, 2, 3].map((id) => [id, socket()]));
    return new EventEmitter().on('message', () => [own, shared]);
  };
  const discovery = newDiscovery();
  search(discovery, 2, new EventEmitter(), [connection(), connection()]);
  expect(readAll(discovery).registries).toEqual([{ name: 'shared', entries: 3, source: 'found' }]);
});

test('stop forgets what was found', () => {
  const clients = new Map([1, 2, 3].map((id) => [id, socket()]));
  const server = new EventEmitter().on('connection', () => clients);
  const discovery = newDiscovery();
  search(discovery, 2, server);
  discovery.stop();
  expect(readAll(discovery).registries).toEqual([]);
});

test('searches are due at 2, 20, 200 and 2,000 opened connections', () => {
  const discovery = newDiscovery();
  const dueAt = [1, 2, 3, 19, 20, 300, 1_999, 2_000, 1_000_000].filter((opened) => {
    if (!discovery.isDue(opened)) return false;
    search(discovery, opened, new EventEmitter());
    return true;
  });
  expect(dueAt).toEqual([2, 20, 300, 2_000]);
});

/** A Proxy of the handlers' container throws `error` when the search asks for its type. */
const failing = (error: Error) => ({
  get servers(): never {
    throw error;
  },
});

test('an inspector that refuses is a reason, and no fault', () => {
  const refused = Object.assign(new Error('refused'), { code: 'ERR_INSPECTOR_NOT_AVAILABLE' });
  const discovery = newDiscovery();
  const start = Object.defineProperties(startWith({}), Object.getOwnPropertyDescriptors(failing(refused)));
  while (!discovery.searchSlice(2, start));
  expect(discovery.blind()).toEqual([
    {
      what: 'collections that the application does not register',
      why: 'the inspector is not available (ERR_INSPECTOR_NOT_AVAILABLE)',
    },
  ]);
});

test('a search that is stopped half-way disconnects from the inspector', () => {
  const discovery = newDiscovery();
  const server = new EventEmitter().on('connection', () => undefined);
  discovery.searchSlice(2, startWith({ servers: [{ emitter: server, events: ['connection'] }] }));
  expect(inspectorConnection.isConnected).toBe(true);
  discovery.stop();
  expect(inspectorConnection.isConnected).toBe(false);
  expect(discovery.searchSlice(20, startWith({}))).toBe(true);
  expect(inspectorConnection.isConnected).toBe(false);
});

test('the arrow functions that ws itself adds to a connection are not noted as a captured `this`', () => {
  class Server extends EventEmitter {
    readonly clients = new Set<object>();
    completeUpgrade(ws: EventEmitter): void {
      ws.on('close', () => this.clients.delete(ws));
    }
  }
  const ofLibrary = new Server();
  const connection = new EventEmitter();
  ofLibrary.completeUpgrade(connection);
  const discovery = newDiscovery();
  search(discovery, 2, ofLibrary, [connection]);
  expect(discovery.hasCapturedThis).toBe(false);
  search(discovery, 20, new EventEmitter(), [connection]);
  expect(discovery.hasCapturedThis).toBe(true);
});

test('example connections are taken among the oldest 500', () => {
  const open = new Map([
    ...Array.from({ length: 499 }, (_, n) => [n, null] as const),
    [499, connectionWith({ transport: 'sse' })] as const,
    [500, connectionWith({ transport: 'websocket' })] as const,
  ]);
  expect(exampleConnections(open, [])).toHaveLength(1);
});

test('a fault without a code is thrown, and the next search starts anew', () => {
  const discovery = newDiscovery();
  const start = Object.defineProperties(
    startWith({}),
    Object.getOwnPropertyDescriptors(failing(new Error('a fault'))),
  );
  expect(() => {
    while (!discovery.searchSlice(2, start));
  }).toThrow('a fault');
  expect(inspectorConnection.isConnected).toBe(false);
  search(discovery, 20, new EventEmitter());
  expect(discovery.blind()).toEqual([]);
});

test('functions of other modules are followed: their module has the collection', () => {
  const store = (() => {
    const byId = new Map([1, 2, 3].map((id) => [id, socket()]));
    return { add: () => byId };
  })();
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => store.add()),
  );
  expect(readAll(discovery).registries).toEqual([{ name: 'byId', entries: 3, source: 'found' }]);
});

test('a wrapper of the connection leads to the registry of its server', () => {
  class Hub {
    readonly clients = new Map([1, 2, 3].map((id) => [id, socket()]));
  }
  const hub = new Hub();
  const connection = () => {
    const client = { hub, inbox: [1, 2, 3] };
    return new EventEmitter().on('message', () => client);
  };
  const discovery = newDiscovery();
  search(discovery, 2, new EventEmitter(), [connection(), connection()]);
  expect(readAll(discovery).registries).toEqual([{ name: 'hub.clients', entries: 3, source: 'found' }]);
});

test('objects that the application has set on a connection, and emitters of its classes', () => {
  class Bus extends EventEmitter {
    readonly subscribers = new Set([1, 2, 3].map(socket));
  }
  const sessions = { byUser: new Map([1, 2, 3].map((id) => [id, socket()])) };
  const connection = () => Object.assign(new EventEmitter(), { sessions, _socket: { queue: [1] } });
  const discovery = newDiscovery();
  const start = startWith({ connections: [connection(), connection()], emitters: [new Bus()] });
  while (!discovery.searchSlice(2, start));
  expect(readAll(discovery).registries.map(({ name }) => name)).toEqual([
    'connection.sessions.byUser',
    'Bus.subscribers',
  ]);
});

test('exports of the modules of the application, not of packages', () => {
  const exportsOf = () => ({ exports: { hub: { clients: new Set([1, 2, 3].map(socket)) } } });
  const modules = { '/srv/app/hub.js': exportsOf(), '/srv/node_modules/x/index.js': exportsOf() };
  const discovery = newDiscovery();
  while (!discovery.searchSlice(2, startWith({ modules })));
  expect(readAll(discovery).registries).toEqual([{ name: 'hub.clients', entries: 3, source: 'found' }]);
});

test('a plain object that is used as a map is counted once it grows', () => {
  const players: Record<string, object> = {};
  const config = { port: 8_080, tick: 50, world: 'one', region: 'eu' };
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => [players, config]),
  );
  const reading = readWhile(discovery, 14, (n) => (players[`player-${n}`] = { x: 0 }));
  const source = 'found';
  expect(reading.registries).toEqual([{ name: 'players', entries: 14, areConnections: false, source }]);
});

test('a plain object with too many keys is not counted any more, and the agent says so', () => {
  const players: Record<string, object> = {};
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => players),
  );
  readWhile(discovery, 20, (n) => (players[`player-${n}`] = { x: 0 }));
  for (let n = 0; n < 5_001; n += 1) players[n] = {};
  expect(readAll(discovery).registries).toEqual([]);
  expect(discovery.blind().map(({ what }) => what)).toEqual([TOO_MANY_KEYS]);
});

test('plain objects with more than 10,000 keys together: those that fit are counted, and the agent says so', () => {
  const keys = Array.from({ length: 4_000 }, (_, n) => [`key-${n}`, { x: 0 }] as const);
  const [first, second, third, small] = [{}, {}, {}, {}] as Record<string, object>[];
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => [first, second, third, small]),
  );
  const all = [first, second, third, small].filter((object) => object !== undefined);
  readWhile(discovery, 20, (n) => all.forEach((object) => (object[n] = { x: 0 })));
  for (const object of [first, second, third]) Object.assign(object ?? {}, Object.fromEntries(keys));
  readAll(discovery);
  const counted = readAll(discovery).registries.map(({ name, entries }) => [name, entries]);
  expect(counted).toEqual([
    ['first', 4_020],
    ['second', 4_020],
    ['small', 20],
  ]);
  expect(discovery.blind().map(({ what }) => what)).toEqual([TOO_MANY_KEYS]);
});

test('a Map of Maps counts the entries of the inner ones too', () => {
  const topics = new Map(['cars', 'stops', 'lines'].map((topic) => [topic, new Map<number, object>()]));
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => topics),
  );
  topics.get('cars')?.set(-1, {});
  const reading = readWhile(discovery, 14, (n) => topics.get('cars')?.set(n, { since: 1 }));
  expect(reading.registries).toEqual([
    { name: 'topics', entries: 3 + 15, areConnections: false, source: 'found' },
  ]);
});

test('rooms without any member are counted, and become rooms when the first members are seen', () => {
  const rooms = new Map<string, Set<object>>();
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => rooms),
  );
  const source = 'found';
  expect(readWhile(discovery, 14, (n) => rooms.set(`room-${n}`, new Set())).rooms).toEqual([
    { name: 'rooms', rooms: 14, members: 0, source },
  ]);
  rooms.get('room-13')?.add(socket());
  expect(readAll(discovery).rooms).toEqual([{ name: 'rooms', rooms: 14, members: 1, source }]);
});

test('the look at provisional roles can be taken before the reading', () => {
  const users = new Map<string, object>();
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => users),
  );
  const [areConnections, source] = [false, 'found'];
  expect(readWhile(discovery, 14, (n) => users.set(`identifier-${n}`, { n })).registries).toEqual([
    { name: 'users', entries: 14, areConnections, source },
  ]);
  const samples = [...users.keys()].slice(0, 5);
  discovery.prepare([{ samples, has: (id) => users.has(id) }]);
  // This reading does not know the connected ids, and so has not found the role by itself.
  expect(readAll(discovery).registries).toEqual([{ name: 'users', entries: 14, source }]);
});

test('a cache with a maximum, and entries that expire, are marked', () => {
  class Cache {
    readonly max = 500;
    readonly items = new Map<number, object>();
  }
  const cache = new Cache();
  const limiter = new Map<number, object>();
  const profiles = new Map<number, object>();
  const onConnection = () => {
    if (profiles.size > 800) profiles.clear();
    return [cache, limiter];
  };
  const discovery = newDiscovery();
  search(discovery, 2, new EventEmitter().on('connection', onConnection));
  const reading = readWhile(discovery, 14, (n) => {
    cache.items.set(n, {});
    limiter.set(n, { hits: 1, resetAt: 1_790_000_001_000 });
    profiles.set(n, {});
  });
  const row = { entries: 14, areConnections: false, isBounded: true, source: 'found' };
  expect(reading.registries.toSorted((a, b) => a.name.localeCompare(b.name))).toEqual([
    { name: 'cache.items', ...row },
    { name: 'limiter', ...row },
    { name: 'profiles', ...row },
  ]);
});

test('collections that calls have shown: by their owner where an entry leads to it, else by the line', () => {
  class Hub {
    readonly clients = [1, 2, 3].map(socket);
  }
  class Client {
    readonly hub = hub;
  }
  const hub = new Hub();
  const inner = [1, 2].map(() => new Map([1, 2, 3].map((id) => [id, socket()])));
  const discovery = newDiscovery();
  const place = 'hub.js:27';
  const additions = inner.map((collection) => ({ collection, place: 'rooms.js:5', value: null }));
  for (let n = 0; n < 2; n += 1)
    discovery.addObserved([{ collection: hub.clients, place, value: new Client() }, ...additions]);
  expect(readAll(discovery).registries.map(({ name }) => name)).toEqual([
    'Client.hub.clients',
    'Map at rooms.js:5',
    'Map at rooms.js:5 #2',
  ]);
});

test('a plain object whose fields never change is forgotten, and an empty one is not', () => {
  const [record, later]: Record<string, object>[] = [{ a: {}, b: {}, c: {}, d: {} }, {}];
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => [record, later]),
  );
  readWhile(discovery, 40, () => undefined);
  const { registries } = readWhile(discovery, 14, (n) => {
    if (record !== undefined) record[`key ${n}`] = {};
    if (later !== undefined) later[`key ${n}`] = {};
  });
  expect(registries.map(({ name }) => name)).toEqual(['later']);
});

test('a line that adds to more than three collections is about rooms, and none of them is a registry', () => {
  const discovery = newDiscovery();
  const rooms = Array.from({ length: 6 }, () => new Set([1, 2, 3].map(socket)));
  for (const collection of rooms) discovery.addObserved([{ collection, place: 'rooms.js:5', value: null }]);
  expect(readAll(discovery).registries).toEqual([]);
});

test('the record of a connection is no registry, and the listeners of an emitter are none either', () => {
  const bus = new EventEmitter().setMaxListeners(0);
  const records = [1, 2, 3, 4].map((id) => ({ ws: socket(), id, user: 'u', state: {}, joinedAt: 1 }));
  for (const record of records) bus.on('news', () => record.ws.send());
  const users = Object.fromEntries(records.map(({ ws }, id) => [`user-${id}`, { ws }]));
  const server = new EventEmitter().on('connection', () => [bus, users]);
  const discovery = newDiscovery();
  search(discovery, 2, server);
  expect(readAll(discovery).registries).toEqual([{ name: 'users', entries: 4, source: 'found' }]);
});

test('the parts of an application in an array are followed to what their methods close over', () => {
  const profiles: Record<string, object> = { a: {}, b: {}, c: {} };
  const parts = [{ open: (id: string) => (profiles[id] = {}) }, { close: () => undefined }];
  const server = new EventEmitter().on('connection', () => parts);
  const discovery = newDiscovery();
  search(discovery, 2, server);
  const { registries } = readWhile(discovery, 12, (n) => void (profiles[`user-${n}`] = {}));
  expect(registries).toEqual([{ name: 'profiles', entries: 15, areConnections: false, source: 'found' }]);
});

test('an array that calls have shown and that `filter` replaces stays the same registry', () => {
  const discovery = newDiscovery();
  const add = (collection: object) => discovery.addObserved([{ collection, place: 'a.js:5', value: null }]);
  const [before, after] = [[1, 2, 3].map(socket), [1, 2, 3, 4].map(socket)];
  add(before);
  add(after);
  expect(readAll(discovery).registries).toEqual([{ name: 'array at a.js:5', entries: 4, source: 'found' }]);
});

test('a captured `this` is noted, and said when nothing was found', () => {
  class Game {
    readonly players: Record<string, object> = {};
    onConnection = (ws: object) => (this.players['a'] = ws);
  }
  const game = new Game();
  const discovery = newDiscovery();
  search(discovery, 2, new EventEmitter().on('connection', game.onConnection));
  search(discovery, 20, new EventEmitter().on('connection', game.onConnection));
  expect(discovery.hasCapturedThis).toBe(true);
  expect(discovery.blind().map(({ what }) => what)).toEqual([
    'objects in fields of `this` that arrow functions use',
  ]);
});

test('an array in a field that is replaced by a filtered copy stays the same registry', () => {
  const hub = { clients: [1, 2, 3].map(socket) };
  const discovery = newDiscovery();
  search(
    discovery,
    2,
    new EventEmitter().on('connection', () => hub),
  );
  hub.clients = [...hub.clients.slice(1), socket(), socket()];
  expect(readAll(discovery).registries).toEqual([{ name: 'hub.clients', entries: 4, source: 'found' }]);
});

test('examples are two connections of each transport and of each namespace', () => {
  const connections = ['websocket', 'websocket', 'websocket', 'sse'].map((transport, n) =>
    connectionWith({ transport: transport as 'sse', appObject: { transport, n } }),
  );
  const open = new Map<number, ReturnType<typeof connectionWith> | null>(connections.entries());
  open.set(99, null);
  const sockets = new Map(['a', 'b', 'c'].map((id) => [id, { id }]));
  const namespace = Object.assign(new EventEmitter(), { sockets }) as Namespace;
  expect(exampleConnections(open, [namespace])).toEqual([
    { transport: 'websocket', n: 0 },
    { transport: 'websocket', n: 1 },
    { transport: 'sse', n: 3 },
    { id: 'a' },
    { id: 'b' },
  ]);
  const [ids] = connectedIds([namespace]);
  expect(ids?.samples).toEqual(['a', 'b', 'c']);
  expect([ids?.has('c'), ids?.has('d')]).toEqual([true, false]);
});
