import { FieldReader } from '../../../src/hooks/discovery/field-reader.ts';
import { collectionRole, type RoleContext } from '../../../src/hooks/discovery/collection-role.ts';

const socket = () => ({ readyState: 1, send: () => undefined });
const IDS = ['c1b2a3d4-01', 'c1b2a3d4-02', 'c1b2a3d4-03', 'c1b2a3d4-04'];
const contextWith = (fields: Partial<RoleContext> = {}): RoleContext => ({
  fields: new FieldReader(),
  connected: [],
  isConnectionKey: (key) => IDS.includes(key),
  ...fields,
});
const roomsOf = (...members: unknown[][]) =>
  new Map(members.map((inRoom, n) => [`room ${n}`, new Set(inRoom)] as const));
const roomObjects = (...members: unknown[][]) =>
  new Map(
    members.map((inRoom, n) => [n, { topic: 'x', history: ['hi'], members: new Set(inRoom) }] as const),
  );
const proxyOf = (target: object) =>
  new Proxy(target, {
    has: () => {
      throw new Error('code of the application');
    },
  });

test.each([
  ['registry', 'connections by their ids', new Map(IDS.map((id) => [id, socket()]))],
  ['registry', 'connections as keys', new Map(IDS.map((id) => [socket(), id]))],
  ['registry', 'responses', new Set([1, 2, 3].map(() => ({ writeHead: () => undefined })))],
  ['registry', 'objects with a connection', new Set(IDS.map((id) => ({ id, ws: socket() })))],
  ['registry', 'connections in a plain object', Object.fromEntries(IDS.map((id) => [id, socket()]))],
  ['rooms', 'rooms in a plain object', Object.fromEntries(roomsOf([socket()], [socket()], [socket()]))],
  ['entries', 'records in a plain object', Object.fromEntries(IDS.map((id) => [id, { x: 0 }]))],
  ['nested', 'a Map of Maps of records', new Map(IDS.map((id) => [id, new Map([[1, { id }]])]))],
  ['rooms', 'rooms of connections', roomsOf([socket()], [socket()], [socket()])],
  ['rooms', 'rooms of ids of connections', roomsOf([IDS[0]], [IDS[1], IDS[2]], [IDS[3]])],
  ['rooms', 'rooms that are arrays of ids', new Map(IDS.map((id) => [`of ${id}`, [id]]))],
  ['rooms', 'rooms that are Maps by id', new Map(IDS.map((id) => [`of ${id}`, new Map([[id, 1]])]))],
  ['rooms.members', 'rooms that are objects', roomObjects([socket()], [], [])],
  ['rooms.members', 'objects with ids of connections', roomObjects([IDS[0]], [IDS[1], IDS[2]], [])],
  ['entries', 'objects that are all empty', roomObjects([], [], [])],
  ['rooms.members', 'rooms of which only the newest is not empty', roomObjects([], [], [], [], [socket()])],
  ['entries', 'records with lists of their own', roomObjects([1], ['a'], [{}])],
  ['queue', 'plain values in an array', [{ job: 1 }, { job: 2 }, { job: 3 }]],
  ['queue', 'strings in an array', ['a', 'b', 'c']],
  ['entries', 'numbers in an array', [1, 2, 3]],
  ['entries', 'rooms without keys', new Set([new Set([socket()]), new Set([socket()]), new Set([socket()])])],
  ['entries', 'a cache of records', new Map(IDS.map((id) => [id, { id, at: 1 }]))],
  ['entries', 'proxies', new Set([1, 2, 3].map(() => proxyOf({ readyState: 1, send: 1 })))],
  ['nested', 'lists of small numbers, which can mean anything', roomsOf([1], [2], [3])],
  ['nested', 'lists of records', new Map(IDS.map((id) => [id, [{ id }]]))],
  [
    'nested',
    'permitted users of a page: ids too, but not only of connections',
    roomsOf([IDS[0], 'somebody-else'], [IDS[1]], [IDS[2]]),
  ],
  ['empty rooms', 'rooms that are all empty', roomsOf([], [], [])],
  [null, 'fewer than three entries', roomsOf([socket()], [socket()])],
])('%s: %s', (role, _case, collection) => {
  expect(collectionRole(collection, contextWith())).toBe(role);
});

describe('with connected sockets of Socket.IO', () => {
  const connected = [{ samples: IDS, has: (id: string) => IDS.includes(id) }];

  test('a collection with their ids as keys is a registry, whatever its values are', () => {
    const byId = new Map(IDS.map((id) => [id, { since: 1 }]));
    expect(collectionRole(byId, contextWith({ connected }))).toBe('registry');
    expect(collectionRole(new Set(IDS), contextWith({ connected }))).toBe('registry');
  });

  test('a collection with other keys is not', () => {
    const byName = new Map(['ann', 'bob', 'eve'].map((user) => [user, {}]));
    expect(collectionRole(byName, contextWith({ connected }))).toBe('entries');
  });

  test('with fewer than three connected sockets there is no answer yet', () => {
    const few = [{ samples: IDS.slice(0, 2), has: () => false }];
    const byId = new Map(IDS.map((id) => [id, { since: 1 }]));
    expect(collectionRole(byId, contextWith({ connected: few }))).toBeNull();
  });
});

test('an exhausted field reader gives no answer', () => {
  const fields = new FieldReader();
  fields.fieldsOf(Object.fromEntries(Array.from({ length: 20_001 }, (_, n) => [n, n])));
  const byId = new Map(IDS.map((id) => [id, socket()]));
  expect(collectionRole(byId, contextWith({ fields }))).toBeNull();
});

test('the newest entries of a large Map are not reached', () => {
  const empty = Array.from({ length: 2_000 }, () => []);
  expect(collectionRole(roomsOf(...empty.slice(1), [socket()]), contextWith())).toBe('rooms');
  expect(collectionRole(roomsOf(...empty, [socket()]), contextWith())).toBe('empty rooms');
});

test('overridden iterators and sizes, and traps of Proxies among the prototypes, do not run', () => {
  const trap = jest.fn();
  class Ring extends Map<unknown, unknown> {
    override *[Symbol.iterator](): MapIterator<[unknown, unknown]> {
      for (;;) yield ['endless', trap()];
    }
    override get size(): number {
      return Number(trap());
    }
  }
  const inherits = Object.create(new Proxy({}, { has: trap, get: trap, getOwnPropertyDescriptor: trap }));
  const ring = new Ring(IDS.map((id) => [id, inherits]));
  expect(collectionRole(ring, contextWith())).toBe('entries');
  const list = Object.defineProperty([1, 2, 3, 4], '0', { get: trap });
  expect(collectionRole(list, contextWith())).toBe('entries');
  expect(trap).not.toHaveBeenCalled();
});
