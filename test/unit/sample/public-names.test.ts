import { withPublicNames } from '../../../src/sample/public-names.ts';

const source = 'found' as const;
const changes = { opened: 9, added: 9, other: 0, unseen: 3, before: 3 };
const NONE = { registries: [], queues: [], rooms: [], emitters: [] };

test('rows whose public names are equal are summed', () => {
  const reading = withPublicNames({
    registries: [
      { name: 'user:1001', entries: 3, source },
      { name: 'user:1002', entries: 4, source },
      { name: 'clients', entries: 5, source },
    ],
    queues: [
      { name: 'jobs 1001', items: 1, oldestAgeMs: null, source },
      { name: 'jobs 1002', items: 2, oldestAgeMs: 9, source },
    ],
    rooms: [
      { name: 'rooms 1001', rooms: 1, members: 2, source },
      { name: 'rooms 1002', rooms: 3, members: 4, source },
    ],
    emitters: [
      { emitter: 'bus', event: '*', listeners: 20, eventNames: 2, source },
      { emitter: 'bus', event: 'inbox:a@example.com', listeners: 9, eventNames: null, changes, source },
      { emitter: 'bus', event: 'inbox:b@example.com', listeners: 11, eventNames: null, source },
    ],
  });
  expect(reading.registries).toEqual([
    { name: 'user:*', entries: 7, source },
    { name: 'clients', entries: 5, source },
  ]);
  expect(reading.queues).toEqual([{ name: 'jobs *', items: 3, oldestAgeMs: 9, source }]);
  expect(reading.rooms).toEqual([{ name: 'rooms *', rooms: 4, members: 6, source }]);
  expect(reading.emitters).toEqual([
    { emitter: 'bus', event: '*', listeners: 20, eventNames: 2, source },
    { emitter: 'bus', event: 'inbox:*', listeners: 20, eventNames: null, source },
  ]);
});

test('the changes of a count stay, unless it is summed with another one', () => {
  const row = { emitter: 'bus', event: 'news', listeners: 9, eventNames: null, changes, source };
  expect(withPublicNames({ ...NONE, emitters: [row] }).emitters).toEqual([row]);
});

test('other fields of the reading stay', () => {
  expect(withPublicNames({ ...NONE, seq: 7 })).toEqual({ ...NONE, seq: 7 });
});
