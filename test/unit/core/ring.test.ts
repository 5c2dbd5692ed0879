import { Ring } from '../../../src/core/ring.ts';

test('keeps the last values, oldest first', () => {
  const ring = new Ring<number>(3);
  expect(ring.values).toEqual([]);
  for (const value of [1, 2]) ring.push(value);
  expect(ring.values).toEqual([1, 2]);
  for (const value of [3, 4, 5]) ring.push(value);
  expect(ring.values).toEqual([3, 4, 5]);
});
