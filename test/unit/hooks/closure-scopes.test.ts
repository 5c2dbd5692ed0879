import { collectionsInScopes, isCollection } from '../../../src/hooks/discovery/closure-scopes.ts';
import { FieldReader } from '../../../src/hooks/discovery/field-reader.ts';

const namesAround = (...functions: object[]): string[] =>
  collectionsInScopes(functions, new FieldReader()).map(({ name }) => name);

test('the Maps, Sets and Arrays that a function closes over', () => {
  const [clients, rooms, jobs, count] = [new Map(), new Set(), [1], 5];
  const collections = collectionsInScopes([() => [clients, rooms, jobs, count]], new FieldReader());
  const byName = new Map(collections.map(({ name, collection }) => [name, collection]));
  expect(byName.get('clients')).toBe(clients);
  expect(byName.get('rooms')).toBe(rooms);
  expect(byName.get('jobs')).toBe(jobs);
  expect(byName.has('count')).toBe(false);
});

test('a variable that the function does not use is not in its scope', () => {
  const [used, unused] = [new Map(), new Map()];
  const names = namesAround(() => used);
  expect(names).toContain('used');
  expect(names).not.toContain('unused');
  expect(unused.size).toBe(0);
});

test('collections in the scopes around the function', () => {
  const outer = new Map();
  const makeHandler = () => {
    const inner = new Set();
    return () => [outer, inner];
  };
  expect(namesAround(makeHandler())).toEqual(expect.arrayContaining(['inner', 'outer']));
});

test('collections in fields of plain objects, one level deep', () => {
  const state = { clients: new Map(), nested: { rooms: new Map() } };
  const names = namesAround(() => state);
  expect(names).toContain('state.clients');
  expect(names.filter((name) => name.includes('rooms'))).toEqual([]);
});

test('a bound method: the fields of its object, named after its class', () => {
  class Manager {
    readonly connections = new Set();
    welcome(): void {}
  }
  const manager = new Manager();
  expect(namesAround(manager.welcome.bind(manager))).toContain('Manager.connections');
  expect(namesAround(manager.welcome.bind(manager).bind(null))).toContain('Manager.connections');
  const plain: object = Object.assign(Object.create(null), { sessions: new Map() });
  expect(namesAround(manager.welcome.bind(plain as Manager))).toContain('this.sessions');
});

test('a function that is bound around a closure: the scopes of its target', () => {
  const clients = new Map();
  const handler = (): unknown => clients;
  expect(namesAround(handler.bind(null))).toContain('clients');
});

test('a variable before its declaration is skipped', () => {
  const reader = (): unknown => late;
  const clients = new Map();
  const handler = (): unknown => [clients, late];
  expect(namesAround(handler, reader)).toContain('clients');
  const late = new Map();
  expect(namesAround(handler)).toContain('late');
});

test('collections of streams, requests and servers are left out', () => {
  const server = { listen: () => undefined, connections: [1] };
  const adapter = { sids: new Map() };
  const stream = { pipe: () => undefined, chunks: [1] };
  const names = namesAround(() => [server, adapter, stream]);
  expect(names.filter((name) => /^(?:server|adapter|stream)\./.test(name))).toEqual([]);
});

test('a Proxy is not read', () => {
  const trap = (): never => {
    throw new Error('code of the application');
  };
  const list = new Proxy([1], { get: trap, ownKeys: trap, has: trap });
  expect(namesAround(() => list).filter((name) => name.startsWith('list'))).toEqual([]);
  expect(isCollection(list)).toBe(false);
});

test('without functions the inspector is not opened', () => {
  expect(collectionsInScopes([], new FieldReader())).toEqual([]);
});
