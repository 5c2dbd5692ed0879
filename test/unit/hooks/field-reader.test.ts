import { Fields } from '../../../src/hooks/discovery/field-reader.ts';

const withNames = (count: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`name ${n}`, n]));

test('own fields with their values; a getter is not run, an inherited field is none', () => {
  const value = Object.create({ inherited: 1 }) as object;
  Object.assign(value, { clients: 'map', rooms: null });
  Object.defineProperty(value, 'trap', {
    enumerable: true,
    get() {
      throw new Error('code of the application');
    },
  });
  expect(new Fields().of(value)).toEqual([
    ['clients', 'map'],
    ['rooms', null],
    ['trap', undefined],
  ]);
});

test('a Buffer has no fields, though each of its bytes is one; a Proxy is not asked', () => {
  const trap = (): never => {
    throw new Error('trap');
  };
  const fields = new Fields();
  expect(fields.of(Buffer.alloc(100))).toEqual([]);
  expect(fields.of(new Float64Array(100))).toEqual([]);
  expect(fields.of(new Proxy({}, { ownKeys: trap, getOwnPropertyDescriptor: trap }))).toEqual([]);
});

test('an object used as a map is passed by, and never listed again', () => {
  const fields = new Fields();
  const users = withNames(5_000);
  expect(fields.of(users)).toEqual([]);
  for (const name of Object.keys(users).slice(1)) delete users[name];
  expect(fields.of(users)).toEqual([]);
  expect(fields.of({ ...users })).toEqual([['name 0', 0]]);
});

test('large objects cost one look no more than its share; the next look has as much again', () => {
  const fields = new Fields();
  fields.of(withNames(15_000));
  expect(fields.of({ small: 1 })).toEqual([['small', 1]]);
  fields.of(withNames(15_000));
  expect(fields.spent).toBe(true);
  expect(fields.of({ small: 1 })).toEqual([]);
  fields.renew();
  expect(fields.spent).toBe(false);
  expect(fields.of({ small: 1 })).toEqual([['small', 1]]);
});
