import { EventEmitter } from 'node:events';
import { FieldReader } from '../../../src/hooks/discovery/field-reader.ts';
import { PrivateFieldReader } from '../../../src/hooks/discovery/private-fields.ts';
import { walkReferences } from '../../../src/hooks/discovery/reference-walk.ts';

const walk = (variables: Record<string, unknown>, excluded = new WeakSet<object>()) =>
  walkReferences(
    [Object.entries(variables).map(([name, value]) => ({ name, value }))],
    { fields: new FieldReader(), privateFields: new PrivateFieldReader() },
    excluded,
  );
const namesFrom = (variables: Record<string, unknown>): string[] =>
  walk(variables).collections.map(({ name }) => name);
const socket = () => ({ readyState: 1, send: () => undefined });

test('collections that are variables, and in fields up to three levels deep', () => {
  const level3 = { tooFar: new Map(), deepest: { hidden: new Set() } };
  const names = namesFrom({ clients: new Map(), state: { rooms: new Set(), hub: { jobs: [1], level3 } } });
  expect(names).toEqual(
    expect.arrayContaining(['clients', 'state', 'state.rooms', 'state.hub.jobs', 'state.hub.level3']),
  );
  expect(names.filter((name) => name.includes('hidden'))).toEqual([]);
});

test('a collection in a field has its owner, so that a new one in its place is found', () => {
  class Hub {
    clients = [1];
  }
  const hub = new Hub();
  expect(walk({ hub }).collections).toEqual([
    { name: 'hub.clients', collection: hub.clients, owner: hub, field: 'clients', limit: null },
  ]);
});

test('a wrapper of a connection leads to the server that it refers to', () => {
  const hub = Object.assign(new EventEmitter(), { clients: new Map() });
  class Client {
    readonly ws = socket();
    readonly hub = hub;
  }
  expect(namesFrom({ client: new Client() })).toContain('client.hub.clients');
});

test('a plain object is a collection; one with ids as names is not walked into', () => {
  const byId = { '7f3-a': { groups: ['a'] }, '9c1-b': { groups: ['b'] } };
  const byName = { ann: { ws: socket(), groups: ['a'] }, bob: { ws: socket(), groups: ['b'] } };
  expect(namesFrom({ byId, byName })).toEqual(['byId', 'byName']);
});

test('connections, streams, requests and servers are not walked into', () => {
  const server = { listen: () => undefined, connections: [1] };
  const adapter = { sids: new Map() };
  const stream = { pipe: () => undefined, chunks: [1] };
  const ws = { ...socket(), queue: [1] };
  const library = { cache: new Map() };
  const { collections } = walk({ server, adapter, stream, ws, library }, new WeakSet([library]));
  expect(collections).toEqual([]);
});

test('functions in variables, of classes, and in the routes of a web framework', () => {
  const [broadcast, onEvents, onHealth, use] = [() => 1, () => 2, () => 3, () => 4];
  class Store {
    add(): void {}
  }
  const store = new Store();
  const router = { stack: [{ handle: use }, { route: { stack: [{ handle: onEvents }] } }, onHealth] };
  const { functions, classes } = walk({ broadcast, store, router });
  expect(functions).toEqual(
    expect.arrayContaining([broadcast, Reflect.get(store, 'add'), onEvents, onHealth, use]),
  );
  expect(classes).toContain(Store);
});

test('an object graph with cycles and many objects ends', () => {
  const node: Record<string, unknown> = { list: [] };
  node['self'] = node;
  node['children'] = Object.fromEntries(
    Array.from({ length: 39 }, (_, n) => ['abcdefghijklmnopqrstuvwxyz'.slice(0, 1 + (n % 26)), { node }]),
  );
  expect(namesFrom({ node })).toContain('node.list');
});

test('no code of the application runs', () => {
  const trap = jest.fn();
  const proxy = new Proxy({}, { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap });
  const inherits = Object.create(proxy) as object;
  const withGetter = Object.defineProperty({}, 'db', { enumerable: true, get: trap });
  class Bus extends EventEmitter {
    get pipe() {
      return trap();
    }
  }
  walk({ proxy, inherits, withGetter, bus: new Bus(), list: [proxy, inherits] });
  expect(trap).not.toHaveBeenCalled();
});
