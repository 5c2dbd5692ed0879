import { Fields } from '../../../src/hooks/discovery/field-reader.ts';
import { roleOf, type Known } from '../../../src/hooks/discovery/collection-role.ts';

const socket = () => ({ readyState: 1, send: () => undefined });
const IDS = ['c1b2a3d4-01', 'c1b2a3d4-02', 'c1b2a3d4-03', 'c1b2a3d4-04'];
const known = (more: Partial<Known> = {}): Known => ({
  fields: new Fields(),
  connected: [],
  isId: (key) => IDS.includes(key),
  ...more,
});
const roomsOf = (...members: unknown[][]) =>
  new Map(members.map((of, n) => [`room ${n}`, new Set(of)] as const));
const roomObjects = (...members: unknown[][]) =>
  new Map(members.map((of, n) => [n, { topic: 'x', history: ['hi'], members: new Set(of) }] as const));

test.each([
  ['registry', 'connections by their ids', new Map(IDS.map((id) => [id, socket()]))],
  ['registry', 'objects with one', new Set(IDS.map((id) => ({ id, ws: socket() })))],
  ['rooms', 'rooms of connections', roomsOf([socket()], [socket()], [socket()])],
  ['rooms', 'rooms of ids of connections', roomsOf([IDS[0]], [IDS[1], IDS[2]], [IDS[3]])],
  ['rooms', 'rooms that are arrays of ids', new Map(IDS.map((id) => [`of ${id}`, [id]]))],
  ['rooms.members', 'rooms that are objects', roomObjects([socket()], [], [])],
  ['rooms.members', 'objects with ids of connections', roomObjects([IDS[0]], [IDS[1], IDS[2]], [])],
  [null, 'objects that are all empty', roomObjects([], [], [])],
  ['rooms.members', 'the oldest are empty, the newest are not', roomObjects([], [], [], [], [socket()])],
  ['other', 'records with lists of their own', roomObjects([1], ['a'], [{}])],
  ['queue', 'plain values in an array', [{ job: 1 }, { job: 2 }, { job: 3 }]],
  ['other', 'a cache of records', new Map(IDS.map((id) => [id, { id, at: 1 }]))],
  ['other', 'lists of small numbers, which anything may be', roomsOf([1], [2], [3])],
  ['other', 'lists of records', new Map(IDS.map((id) => [id, [{ id }]]))],
  [
    null,
    'who may read a page: ids too, and of others',
    roomsOf([IDS[0], 'somebody-else'], [IDS[1]], [IDS[2]]),
  ],
  [null, 'rooms that are all empty', roomsOf([], [], [])],
  [null, 'too few to tell', roomsOf([socket()])],
])('%s: %s', (role, _, collection) => {
  expect(roleOf(collection, known())).toBe(role);
});

test('what is kept by the ids of connected sockets of Socket.IO is a registry, whatever it holds', () => {
  const connected = [{ some: IDS, has: (id: string) => IDS.includes(id) }];
  expect(roleOf(new Map(IDS.map((id) => [id, { since: 1 }])), known({ connected }))).toBe('registry');
  expect(roleOf(new Map(['ann', 'bob', 'eve'].map((user) => [user, {}])), known({ connected }))).toBe(
    'other',
  );
});
