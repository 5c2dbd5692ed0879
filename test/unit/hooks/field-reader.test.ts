import { FieldReader, namesOf, readField } from '../../../src/hooks/discovery/field-reader.ts';

const withNames = (count: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`name ${n}`, n]));

test('own fields have their values; a getter is not called and an inherited field is not listed', () => {
  const value = Object.create({ inherited: 1 }) as object;
  Object.assign(value, { clients: 'map', rooms: null });
  Object.defineProperty(value, 'getter', {
    enumerable: true,
    get() {
      throw new Error('code of the application');
    },
  });
  expect(new FieldReader().fieldsOf(value)).toEqual([
    ['clients', 'map'],
    ['rooms', null],
    ['getter', undefined],
  ]);
});

test('a Buffer has no fields, and a Proxy is not read', () => {
  const trap = (): never => {
    throw new Error('trap');
  };
  const proxy = new Proxy({}, { ownKeys: trap, getOwnPropertyDescriptor: trap });
  const fields = new FieldReader();
  expect(fields.fieldsOf(Buffer.alloc(100))).toEqual([]);
  expect(fields.fieldsOf(new Float64Array(100))).toEqual([]);
  expect(fields.fieldsOf(proxy)).toEqual([]);
  expect(readField(proxy, 'x')).toBeUndefined();
});

test('the first 50 fields of an object are read', () => {
  const fields = new FieldReader().fieldsOf(withNames(60));
  expect(fields).toHaveLength(50);
  expect(fields.at(-1)).toEqual(['name 49', 49]);
});

test('an object with a long text as a key is used as a map, and its keys are not searched', () => {
  expect(new FieldReader().fieldsOf({ ['x'.repeat(300)]: 1, clients: 2 })).toEqual([]);
});

test('an object that is used as a map is skipped, and never listed again', () => {
  const fields = new FieldReader();
  const users = withNames(5_000);
  expect(fields.fieldsOf(users)).toEqual([]);
  for (const name of Object.keys(users).slice(1)) delete users[name];
  expect(fields.fieldsOf(users)).toEqual([]);
  expect(fields.fieldsOf({ ...users })).toEqual([['name 0', 0]]);
});

test('an object with more than 5,000 names is listed once only, whoever asks', () => {
  const [counted, walked] = [withNames(5_001), withNames(5_001)];
  expect(namesOf(counted)).toEqual([]);
  new FieldReader().fieldsOf(walked);
  for (const users of [counted, walked]) for (const name of Object.keys(users).slice(1)) delete users[name];
  expect([counted, walked].map(namesOf)).toEqual([[], []]);
  expect(namesOf(withNames(5_000))).toHaveLength(5_000);
});

test('large objects cost one pass no more than its budget; the next pass has the same budget again', () => {
  const fields = new FieldReader();
  fields.fieldsOf(withNames(15_000));
  expect(fields.fieldsOf({ small: 1 })).toEqual([['small', 1]]);
  fields.fieldsOf(withNames(15_000));
  expect(fields.isExhausted).toBe(true);
  expect(fields.fieldsOf({ small: 1 })).toEqual([]);
  fields.startPass();
  expect(fields.isExhausted).toBe(false);
  expect(fields.fieldsOf({ small: 1 })).toEqual([['small', 1]]);
});

test.each([
  ['a value that is not an object', 5, undefined],
  ['null', null, undefined],
  ['a field', { members: 5 }, 5],
  ['a missing field', {}, undefined],
])('readField: %s', (_case, value, expected) => {
  expect(readField(value, 'members')).toBe(expected);
});
