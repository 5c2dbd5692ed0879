import { EventEmitter } from 'node:events';
import { namespacesOf, readLibraryServers } from '../../../src/hooks/discovery/library-servers.ts';
import { UniqueNames } from '../../../src/hooks/unique-names.ts';

const source = 'found';
const emitterWith = (fields: object): EventEmitter => Object.assign(new EventEmitter(), fields);
const read = (...servers: object[]) => readLibraryServers(servers, new UniqueNames());

test('a ws server has its clients', () => {
  const server = emitterWith({ shouldHandle: () => true, clients: new Set([1, 2]) });
  expect(read(server)).toEqual({
    registries: [{ name: 'ws clients', entries: 2, source }],
    rooms: [],
    engines: [],
    namespaces: [],
    emitters: [{ name: 'ws', emitter: server }],
  });
});

test('a ws server without client tracking has no registry', () => {
  const server = emitterWith({ shouldHandle: () => true, clients: undefined });
  expect(read(server)).toMatchObject({ registries: [], emitters: [{ name: 'ws' }] });
});

test('a server of the package websocket has connections and pending requests', () => {
  const server = emitterWith({ connections: [1, 2, 3], pendingRequests: [1] });
  expect(read(server).registries).toEqual([
    { name: 'websocket connections', entries: 3, source },
    { name: 'websocket pendingRequests', entries: 1, source },
  ]);
});

test('an engine has its number of clients', () => {
  const engine = emitterWith({ clientsCount: 4, clients: {} });
  const reading = read(engine);
  expect(reading.registries).toEqual([{ name: 'engine.io clients', entries: 4, source }]);
  expect(reading.engines).toEqual([engine]);
  expect(reading.emitters).toEqual([{ name: 'engine.io', emitter: engine }]);
});

test('an adapter of Socket.IO has rooms, and its namespace has sockets', () => {
  const nsp = emitterWith({ name: '/chat', sockets: new Map([['a', {}]]) });
  const rooms = new Map([
    ['lobby', new Set(['a', 'b'])],
    ['a', new Set(['a'])],
  ]);
  const reading = read(emitterWith({ sids: new Map(), rooms, nsp }));
  expect(reading.rooms).toEqual([{ name: 'socket.io /chat', rooms: 2, members: 3, source }]);
  expect(reading.registries).toEqual([{ name: 'socket.io /chat sockets', entries: 1, source }]);
  expect(reading.namespaces).toEqual([nsp]);
  const without = emitterWith({ sids: new Map(), rooms, nsp: { name: '/chat', sockets: {} } });
  const engine = emitterWith({ clientsCount: 4, nsp });
  expect(namespacesOf([engine, without, emitterWith({ sids: new Map(), nsp })])).toEqual([nsp]);
});

test('an adapter without a namespace has rooms only', () => {
  const reading = read(emitterWith({ sids: new Map(), rooms: new Map() }));
  expect(reading.rooms).toEqual([{ name: 'socket.io', rooms: 0, members: 0, source }]);
  expect(reading.namespaces).toEqual([]);
});

test('two servers of one library have different names', () => {
  const server = () => emitterWith({ shouldHandle: () => true, clients: new Set() });
  expect(read(server(), server()).registries.map(({ name }) => name)).toEqual([
    'ws clients',
    'ws #2 clients',
  ]);
});

describe('closed connections that the list of a library keeps', () => {
  const closed = (fields: object): EventEmitter => emitterWith(fields);
  const listening = (fields: object): EventEmitter => closed(fields).on('close', () => undefined);

  test.each([
    ['of ws', { _readyState: 3 }, 'clients'],
    ['of ws 6', { readyState: 3 }, 'clients'],
    ['of websocket', { connected: false }, 'connections'],
  ])('%s: those without a close listener are counted', (_library, state, field) => {
    const entries = [closed(state), listening(state), closed(state)];
    const list = field === 'clients' ? new Set(entries) : entries;
    const [registry] = read(emitterWith({ shouldHandle: () => true, [field]: list })).registries;
    expect(registry).toMatchObject({ entries: 3, strippedEntries: 2 });
  });

  test('open connections, and closed ones that the library still removes, are not', () => {
    const entries = [
      closed({ readyState: 1 }),
      listening({ readyState: 3 }),
      closed({ connected: true }),
      1,
      null,
    ];
    const [registry] = read(emitterWith({ shouldHandle: () => true, clients: new Set(entries) })).registries;
    expect(registry).toEqual({ name: 'ws clients', entries: 5, source });
  });

  test('only the oldest entries are read', () => {
    const entries = Array.from({ length: 1_000 }, () => closed({ _readyState: 3 }));
    const [registry] = read(emitterWith({ shouldHandle: () => true, clients: new Set(entries) })).registries;
    expect(registry).toMatchObject({ entries: 1_000, strippedEntries: 20 });
  });
});

describe('no code of the application runs for a class of the application that looks like', () => {
  const calls: string[] = [];
  const hit = (name: string): never => {
    calls.push(name);
    throw new Error(name);
  };
  const withGetters = (names: readonly string[], holder: object): object => {
    for (const name of names) Object.defineProperty(holder, name, { get: () => hit(name), enumerable: true });
    return holder;
  };
  class Ring extends Set<unknown> {
    override get size(): number {
      return hit('size');
    }
    override [Symbol.iterator](): SetIterator<unknown> {
      return hit('iterator');
    }
  }
  const FIELDS = ['clientsCount', 'sids', 'clients', 'connections', 'pendingRequests', 'shouldHandle'];
  afterEach(() => calls.splice(0));

  test.each<[string, () => object]>([
    ['a server, with own getters', () => withGetters(FIELDS, new EventEmitter())],
    ['a server, with getters of its class', () => Object.create(withGetters(FIELDS, new EventEmitter()))],
    [
      'a server with a Proxy among its prototypes',
      () => Object.create(new Proxy(new EventEmitter(), { get: () => hit('get'), has: () => hit('has') })),
    ],
    ['an adapter with getters', () => withGetters(['nsp', 'rooms'], emitterWith({ sids: new Map() }))],
    [
      'an adapter of a namespace with getters',
      () => emitterWith({ sids: new Map(), nsp: withGetters(['name', 'sockets'], new EventEmitter()) }),
    ],
    [
      'a ws server whose connections have getters',
      () => emitterWith({ clients: new Set([withGetters(['readyState', '_readyState', 'connected'], {})]) }),
    ],
    ['a ws server with a Set of its own', () => emitterWith({ clients: new Ring() })],
  ])('%s', (_, createServer) => {
    expect(() => read(createServer())).not.toThrow();
    expect(calls).toEqual([]);
  });
});
