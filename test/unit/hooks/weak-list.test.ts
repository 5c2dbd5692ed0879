import { WeakList } from '../../../src/hooks/weak-list.ts';
import { useClearableWeakRefs } from '../../support/clearable-weak-refs.ts';

const { clear } = useClearableWeakRefs();
const objects = (count: number): { n: number }[] => Array.from({ length: count }, (_, n) => ({ n }));

test('a full list refuses and counts, and makes room when its objects are gone', () => {
  const dropped: string[] = [];
  const list = new WeakList<object, string>(3, (data) => dropped.push(data));
  const [first = {}, ...others] = objects(6);
  expect(list.add(first, 'first')).toBe(true);
  expect(others.map((one) => list.add(one, 'other'))).toEqual([true, true, false, false, false]);
  expect(list.refusedTotal).toBe(3);
  clear(first);
  // One sweep between two readings.
  expect(list.add({}, 'late')).toBe(false);
  expect(list.read()).toHaveLength(2);
  expect(dropped).toEqual(['first']);
  expect(list.add({}, 'late')).toBe(true);
  expect(list.refusedTotal).toBe(4);
});

test('a full list removes objects that are gone before it refuses one', () => {
  const list = new WeakList<object>(2);
  for (const one of objects(2)) {
    list.add(one, null);
    clear(one);
  }
  expect(list.add({}, null)).toBe(true);
  expect(list.refusedTotal).toBe(0);
});

test('some() passes over what is gone', () => {
  const list = new WeakList<object, number>(2);
  const [one = {}, two = {}] = objects(2);
  list.add(one, 1);
  list.add(two, 2);
  clear(one);
  expect(list.some(({ target }) => target === one)).toBe(false);
  expect(list.some(({ data }) => data === 2)).toBe(true);
  list.clear();
  expect(list.read()).toEqual([]);
});
