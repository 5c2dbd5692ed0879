import { createGuard } from '../../../src/core/guard.ts';
import {
  RegisteredCollections,
  type RoomsMap,
  type Watchable,
} from '../../../src/hooks/registered-collections.ts';

const rejections: unknown[] = [];
const onRejection = (reason: unknown): void => void rejections.push(reason);
beforeAll(() => void process.on('unhandledRejection', onRejection));
afterAll(() => void process.off('unhandledRejection', onRejection));

test('an async function has no row, and its rejection reaches nobody', async () => {
  const faults: string[] = [];
  const registries = new RegisteredCollections(createGuard(({ part }) => faults.push(part)));
  const later = (): Promise<number> => Promise.reject(new Error('the database is down'));
  registries.watchRegistry('later', later as unknown as Watchable);
  registries.watchQueue('queue', () => 1, { oldestAgeMs: later as unknown as () => number });
  expect(registries.read()).toEqual({ registries: [], queues: [], rooms: [] });
  // Node reports an unhandled rejection after the microtasks.
  await new Promise(setImmediate);
  expect(rejections).toEqual([]);
  expect(faults).toEqual(['watched later', 'watched queue']);
});

test('a room that is null or undefined has no members', () => {
  const registries = new RegisteredCollections(createGuard(() => undefined));
  const rooms = new Map<string, unknown>([
    ['a', new Set([1, 2])],
    ['b', null],
    ['c', undefined],
  ]) as RoomsMap;
  registries.watchRooms('rooms', rooms);
  expect(registries.read().rooms).toEqual([{ name: 'rooms', rooms: 3, members: 2, source: 'app' }]);
});
