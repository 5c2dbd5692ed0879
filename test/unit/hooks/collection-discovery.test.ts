import { EventEmitter } from 'node:events';
import {
  CollectionDiscovery,
  connectedIds,
  exampleConnections,
} from '../../../src/hooks/discovery/collection-discovery.ts';
import type { Namespace } from '../../../src/hooks/discovery/library-servers.ts';
import { UniqueNames } from '../../../src/hooks/unique-names.ts';
import { connectionWith } from '../../support/connections.ts';

class CountingEmitter extends EventEmitter {
  static reads = 0;
  override listeners(event: string | symbol) {
    CountingEmitter.reads += 1;
    return super.listeners(event);
  }
}
const withListener = (): CountingEmitter => new CountingEmitter().on('connection', () => undefined);
const socket = () => ({ readyState: 1, send: () => undefined });

/** Searches until done. */
function search(
  discovery: CollectionDiscovery,
  openedTotal: number,
  server: EventEmitter,
  examples: object[] = [],
) {
  const handlers = [{ emitter: server, events: ['connection'] }];
  while (!discovery.searchSlice(openedTotal, handlers, examples));
}
const readAll = (discovery: CollectionDiscovery) => discovery.read(() => false, []);

test('a slice of a search reads the handlers of at most one emitter', () => {
  const discovery = new CollectionDiscovery(new UniqueNames());
  const servers = Array.from({ length: 3 }, () => ({ emitter: withListener(), events: ['connection'] }));
  const connections = Array.from({ length: 2 }, () => Object.assign(withListener(), { req: withListener() }));
  const slices: number[] = [];
  for (let isDone = false; !isDone;) {
    const before = CountingEmitter.reads;
    isDone = discovery.searchSlice(2, servers, connections);
    slices.push(CountingEmitter.reads - before);
  }
  // A connection has two emitters: itself and its request.
  expect(slices.reduce((sum, reads) => sum + reads, 0)).toBe(3 + 2 * 2);
  expect(slices).toHaveLength(3 + 2 * 2 + 1);
  expect(discovery.isDue(2)).toBe(false);
  expect(discovery.isDue(20)).toBe(true);
});

test('collections that a handler closes over are found with the names of the code', () => {
  const clients = new Map([1, 2, 3].map((id) => [id, socket()]));
  const state = { rooms: new Map([1, 2, 3].map((id) => [id, new Set([socket()])])) };
  const jobs: object[] = [{ job: 1 }, { job: 2 }, { job: 3 }];
  const server = new EventEmitter().on('connection', () => [clients, state, jobs]);
  const discovery = new CollectionDiscovery(new UniqueNames());
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

test('rooms that are objects are read by the field with their members', () => {
  const topics = new Map([1, 2, 3].map((id) => [id, { history: ['hi'], members: new Set([socket()]) }]));
  const server = new EventEmitter().on('connection', () => topics);
  const discovery = new CollectionDiscovery(new UniqueNames());
  search(discovery, 2, server);
  expect(readAll(discovery).rooms).toEqual([
    { name: 'topics', rooms: 3, members: 3, areObjects: true, source: 'found' },
  ]);
});

test('a collection that the application registers is not reported twice', () => {
  const clients = new Map([1, 2, 3].map((id) => [id, socket()]));
  const server = new EventEmitter().on('connection', () => clients);
  const discovery = new CollectionDiscovery(new UniqueNames());
  search(discovery, 2, server);
  expect(discovery.read((thing) => thing === clients, []).registries).toEqual([]);
  expect(readAll(discovery).registries).toHaveLength(1);
});

test('the collections of the server itself are left out', () => {
  const clients = new Set([socket(), socket(), socket()]);
  const server: EventEmitter = Object.assign(new EventEmitter(), { clients });
  server.on('connection', () => clients);
  const discovery = new CollectionDiscovery(new UniqueNames());
  search(discovery, 2, server);
  expect(readAll(discovery)).toEqual({ registries: [], queues: [], rooms: [] });
});

test('handlers of connections lead only to collections that two of them share', () => {
  const shared = new Map([1, 2, 3].map((id) => [id, socket()]));
  const connection = () => {
    const own = new Map([1, 2, 3].map((id) => [id, socket()]));
    return new EventEmitter().on('message', () => [own, shared]);
  };
  const discovery = new CollectionDiscovery(new UniqueNames());
  search(discovery, 2, new EventEmitter(), [connection(), connection()]);
  expect(readAll(discovery).registries).toEqual([{ name: 'shared', entries: 3, source: 'found' }]);
});

test('stop forgets what was found', () => {
  const clients = new Map([1, 2, 3].map((id) => [id, socket()]));
  const server = new EventEmitter().on('connection', () => clients);
  const discovery = new CollectionDiscovery(new UniqueNames());
  search(discovery, 2, server);
  discovery.stop();
  expect(readAll(discovery).registries).toEqual([]);
});

test('searches are due at 2, 20, 200 and 2,000 opened connections', () => {
  const discovery = new CollectionDiscovery(new UniqueNames());
  const dueAt = [1, 2, 3, 19, 20, 300, 1_999, 2_000, 1_000_000].filter((opened) => {
    if (!discovery.isDue(opened)) return false;
    search(discovery, opened, new EventEmitter());
    return true;
  });
  expect(dueAt).toEqual([2, 20, 300, 2_000]);
});

test('an inspector that refuses is a reason, and no fault', () => {
  const refused = Object.assign(new Error('refused'), { code: 'ERR_INSPECTOR_NOT_AVAILABLE' });
  const server = Object.assign(new EventEmitter(), {
    listeners() {
      throw refused;
    },
  });
  const discovery = new CollectionDiscovery(new UniqueNames());
  search(discovery, 2, server as EventEmitter);
  expect(discovery.unavailable).toBe('the inspector is not available (ERR_INSPECTOR_NOT_AVAILABLE)');
});

test('a fault without a code is thrown, and the next search starts anew', () => {
  const server = Object.assign(new EventEmitter(), {
    listeners() {
      throw new Error('a fault');
    },
  });
  const discovery = new CollectionDiscovery(new UniqueNames());
  expect(() => search(discovery, 2, server as EventEmitter)).toThrow('a fault');
  search(discovery, 20, new EventEmitter());
  expect(discovery.unavailable).toBeNull();
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
