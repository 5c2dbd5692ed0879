import { createGuard } from '../../../src/core/guard.ts';
import {
  countRoomObjects,
  countRooms,
  RegisteredCollections,
  RoomCounter,
  type RoomsMap,
  type Watchable,
} from '../../../src/hooks/registered-collections.ts';
import { useClearableWeakRefs } from '../../support/clearable-weak-refs.ts';

const { clearAll } = useClearableWeakRefs();
const rejections: unknown[] = [];
const onRejection = (reason: unknown): void => void rejections.push(reason);
beforeAll(() => void process.on('unhandledRejection', onRejection));
afterAll(() => void process.off('unhandledRejection', onRejection));

function setUp() {
  const faults: string[] = [];
  const collections = new RegisteredCollections(createGuard(({ part }) => faults.push(part)));
  return { collections, faults };
}
const source = 'app';

describe('registries', () => {
  test.each<[string, Watchable, number]>([
    ['a Map', new Map([[1, 'a']]), 1],
    ['a Set', new Set([1, 2]), 2],
    ['an Array', [1, 2, 3], 3],
    ['a function', () => 42, 42],
  ])('%s has its number of entries', (_case, thing, entries) => {
    const { collections } = setUp();
    collections.watchRegistry('clients', thing);
    expect(collections.read().registries).toEqual([{ name: 'clients', entries, source }]);
    expect(collections.has(thing)).toBe(true);
    expect(collections.has(new Map())).toBe(false);
  });

  test('Dispose ends it; the Dispose of a replaced registration does not', () => {
    const { collections } = setUp();
    const disposeFirst = collections.watchRegistry('clients', [1]);
    const second = [1, 2];
    const disposeSecond = collections.watchRegistry('clients', second);
    disposeFirst();
    expect(collections.read().registries).toEqual([{ name: 'clients', entries: 2, source }]);
    disposeSecond();
    expect(collections.read().registries).toEqual([]);
    expect(second).toHaveLength(2);
  });

  test('at most 1,000 are read; a name that is there can be replaced', () => {
    const { collections } = setUp();
    for (let n = 0; n < 1_010; n += 1) collections.watchRegistry(`registry ${n}`, () => n);
    collections.watchRegistry('registry 0', () => 7);
    const { registries } = collections.read();
    expect(registries).toHaveLength(1_000);
    expect(registries[0]).toEqual({ name: 'registry 0', entries: 7, source });
  });

  test('an async function has no row, and its rejection is handled', async () => {
    const { collections, faults } = setUp();
    const later = (): Promise<number> => Promise.reject(new Error('the database is down'));
    collections.watchRegistry('later', later as unknown as Watchable);
    collections.watchQueue('queue', () => 1, { oldestAgeMs: later as unknown as () => number });
    expect(collections.read()).toEqual({ registries: [], queues: [], rooms: [] });
    // Node reports an unhandled rejection after the microtasks.
    await new Promise(setImmediate);
    expect(rejections).toEqual([]);
    expect(faults).toEqual(['watched later', 'watched queue']);
  });

  test.each([[-1], [Number.NaN], [Infinity], ['5'], [undefined]])(
    'a function that returns %p has no row, and the others have theirs',
    (value) => {
      const { collections, faults } = setUp();
      collections.watchRegistry('wrong', (() => value) as unknown as Watchable);
      collections.watchRegistry('right', () => 1);
      expect(collections.read().registries).toEqual([{ name: 'right', entries: 1, source }]);
      expect(faults).toEqual(['watched wrong']);
    },
  );
});

describe('queues', () => {
  test('have their items, and the age of the oldest where the application tells it', () => {
    const { collections } = setUp();
    const jobs = [1, 2];
    collections.watchQueue('jobs', jobs);
    collections.watchQueue('mails', () => 3, { oldestAgeMs: () => 500 });
    expect(collections.read().queues).toEqual([
      { name: 'jobs', items: 2, oldestAgeMs: null, source },
      { name: 'mails', items: 3, oldestAgeMs: 500, source },
    ]);
    expect(jobs).toHaveLength(2);
  });
});

describe('rooms', () => {
  test('have their number and the sum of their members', () => {
    const { collections } = setUp();
    const rooms: RoomsMap = new Map<string, Set<number> | number[] | Map<number, number>>([
      ['set', new Set([1, 2])],
      ['array', [1, 2, 3]],
      ['map', new Map([[1, 1]])],
      ['empty', new Set()],
    ]);
    collections.watchRooms('rooms', rooms);
    expect(collections.read().rooms).toEqual([{ name: 'rooms', rooms: 4, members: 6, source }]);
    expect(rooms.size).toBe(4);
  });

  test('a room that is null or undefined has no members', () => {
    const rooms = new Map<string, unknown>([
      ['a', new Set([1, 2])],
      ['b', null],
      ['c', undefined],
    ]) as RoomsMap;
    expect(countRooms(rooms)).toEqual({ rooms: 3, members: 2 });
  });

  test('beyond 5,000 rooms the members are extrapolated', () => {
    const rooms = new Map(Array.from({ length: 10_000 }, (_, n) => [n, n < 5_000 ? [1, 2] : []] as const));
    expect(countRooms(rooms)).toEqual({ rooms: 10_000, members: 20_000 });
  });

  test('of many maps: a reading sums 10,000 rooms, and the next ones sum the rest again', () => {
    const counter = new RoomCounter();
    const maps = Array.from({ length: 6 }, () => new Map(Array.from({ length: 4_000 }, (_, n) => [n, [1]])));
    const readAll = () => {
      counter.startReading();
      return maps.map((rooms) => counter.count(rooms).members);
    };
    expect(readAll()).toEqual(maps.map(() => 4_000));
    for (const rooms of maps) for (const room of rooms.values()) room.push(2);
    // Three maps fit, and the first reading has summed three.
    const stale = () => readAll().filter((members) => members === 4_000).length;
    expect([stale(), stale(), stale()]).toEqual([3, 0, 0]);
    for (const rooms of maps) rooms.clear();
    expect(readAll()).toEqual(maps.map(() => 0));
  });

  test('that are objects have their members in a field; a getter is not called', () => {
    const rooms = new Map<number, object>([
      [1, { members: new Set([1, 2]) }],
      [2, { members: [1] }],
      [
        3,
        {
          get members() {
            throw new Error('code of the application');
          },
        },
      ],
    ]);
    expect(countRoomObjects(rooms, 'members')).toEqual({ rooms: 3, members: 3, areObjects: true });
    expect(countRoomObjects(new Map(), 'members')).toEqual({ rooms: 0, members: 0, areObjects: true });
  });
});

test('stop ends all registrations', () => {
  const { collections } = setUp();
  collections.watchRegistry('clients', () => 1);
  collections.watchQueue('jobs', () => 1);
  collections.watchRooms('rooms', new Map());
  collections.stop();
  expect(collections.read()).toEqual({ registries: [], queues: [], rooms: [] });
});

test.each<[string, (collections: RegisteredCollections) => unknown, string]>([
  [
    'a plain object',
    (collections) => collections.watchRegistry('plain', {} as never),
    'expected a Map, a Set, an Array or a function that returns a number, got object',
  ],
  [
    'an empty name',
    (collections) => collections.watchRegistry('', []),
    "expected a name (a string that is not empty), got ''",
  ],
  [
    'a name that is not a string',
    (collections) => collections.watchQueue(5 as never, []),
    'expected a name (a string that is not empty), got number',
  ],
  [
    'an age that is not a function',
    (collections) => collections.watchQueue('jobs', [], { oldestAgeMs: 5 as never }),
    'expected a function that returns milliseconds, got number',
  ],
  [
    'rooms that are no Map',
    (collections) => collections.watchRooms('rooms', [] as never),
    'expected a Map of rooms, got an Array',
  ],
])('%s is a wrong argument', (_case, watch, message) => {
  const { collections } = setUp();
  expect(() => watch(collections)).toThrow(
    expect.objectContaining({ code: 'WSGUARD_WATCH_ARGUMENT', message: `wsguard: ${message}` }),
  );
  expect(collections.read()).toEqual({ registries: [], queues: [], rooms: [] });
});

test('a full table is searched for dead collections once, and again after a major GC', () => {
  const { collections } = setUp();
  const spy = jest.spyOn(WeakRef.prototype, 'deref');
  for (let n = 0; n < 1_000; n += 1) collections.watchRegistry(`map ${n}`, new Map());
  for (let n = 0; n < 100; n += 1) collections.watchRegistry(`further ${n}`, new Map());
  // One for each entry, and one of the marker of a GC for each call.
  expect(spy.mock.calls.length).toBeLessThan(1_200);
  spy.mockRestore();
  expect(collections.blind()[0]?.what).toBe('100 collections that the application registered');
  clearAll();
  const late = new Map([[1, 1]]);
  collections.watchRegistry('late', late);
  expect(collections.read().registries).toEqual([{ name: 'late', entries: 1, source: 'app' }]);
});
