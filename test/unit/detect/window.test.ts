import type { Column } from '../../../src/detect/sample-row.ts';
import { Window } from '../../../src/detect/window.ts';

const row = (values: Partial<Record<Column, number>>): [Column[], number[]] => [
  Object.keys(values) as Column[],
  Object.values(values) as number[],
];

const windowOf = (capacity: number, maxColumns = 10) => new Window(capacity, maxColumns);

test('a column that starts late is NaN before its first value', () => {
  const window = windowOf(8);
  window.append(10, ...row({ connections: 1 }));
  window.append(20, ...row({ connections: 2, slow: 7 }));
  expect([...window.times()]).toEqual([10, 20]);
  expect([...window.column('connections')]).toEqual([1, 2]);
  expect([...window.column('slow')]).toEqual([Number.NaN, 7]);
});

test('a column that a row does not have is NaN in that row', () => {
  const window = windowOf(8);
  window.append(10, ...row({ connections: 1, slow: 7 }));
  window.append(20, ...row({ connections: 2 }));
  expect([...window.column('slow')]).toEqual([7, Number.NaN]);
  expect(window.latest('slow')).toBeNaN();
  expect(window.latest('connections')).toBe(2);
});

test('a column that the window does not have is all NaN', () => {
  const window = windowOf(8);
  window.append(10, ...row({ connections: 1 }));
  window.append(20, ...row({ connections: 1 }));
  expect([...window.column('descriptors')]).toEqual([Number.NaN, Number.NaN]);
  expect([...window.column('descriptors', 1)]).toEqual([Number.NaN]);
  expect(window.latest('descriptors')).toBeNaN();
});

test('a full window drops its first row', () => {
  const window = windowOf(3);
  for (const time of [1, 2, 3, 4, 5]) window.append(time, ...row({ connections: 10 * time }));
  expect(window.rows).toBe(3);
  expect([...window.times()]).toEqual([3, 4, 5]);
  expect([...window.column('connections')]).toEqual([30, 40, 50]);
  expect([...window.column('connections', 1)]).toEqual([40, 50]);
});

test('views have the rows of the last append, before and after the window is full and after clear', () => {
  const window = windowOf(3);
  for (const time of [1, 2, 3, 4]) {
    window.append(time, ...row({ connections: 10 * time }));
    const first = Math.max(1, time - 2);
    expect([...window.times()]).toEqual([1, 2, 3, 4].slice(first - 1, time));
    expect([...window.column('connections')]).toEqual([...window.times()].map((each) => 10 * each));
  }
  expect([...window.times(2)]).toEqual([4]);
  window.clear();
  window.append(7, ...row({ connections: 70 }));
  expect([...window.times()]).toEqual([7]);
  expect([...window.column('connections')]).toEqual([70]);
});

test('rowAt is the first row at or after a time', () => {
  const window = windowOf(8);
  for (const time of [10, 20, 30]) window.append(time, ...row({ connections: 1 }));
  expect([5, 10, 11, 20, 30, 31].map((time) => window.rowAt(time))).toEqual([0, 0, 1, 1, 2, 3]);
});

test('meanSpacingMs is 0 below two rows', () => {
  const window = windowOf(8);
  expect(window.meanSpacingMs()).toBe(0);
  window.append(10, ...row({}));
  expect(window.meanSpacingMs()).toBe(0);
  window.append(20, ...row({}));
  window.append(40, ...row({}));
  expect(window.meanSpacingMs()).toBe(15);
});

test('a value for which there is no column left is counted and dropped', () => {
  const window = windowOf(4, 2);
  window.append(1, ...row({ connections: 1, slow: 2, descriptors: 3 }));
  expect(window.droppedValues).toBe(1);
  expect(window.latest('descriptors')).toBeNaN();
});

test('a column without a number in the whole window makes room for another one', () => {
  const window = windowOf(3, 1);
  window.append(1, ...row({ connections: 1 }));
  for (const time of [2, 3, 4]) window.append(time, ...row({ slow: time }));
  expect(window.latest('slow')).toBe(4);
  expect([...window.column('slow')]).toEqual([Number.NaN, Number.NaN, 4]);
  expect(window.column('connections').every(Number.isNaN)).toBe(true);
});

test('of two values for one column the last one counts', () => {
  const window = windowOf(3, 1);
  for (const time of [1, 2]) {
    window.append(time, ['slow', 'slow'], [time, 10 * time]);
    expect(window.latest('slow')).toBe(10 * time);
  }
  expect(window.droppedValues).toBe(0);
});

test('clear removes rows and columns', () => {
  const window = windowOf(3);
  window.append(1, ...row({ connections: 1 }));
  window.clear();
  expect(window.rows).toBe(0);
  window.append(9, ...row({ slow: 2 }));
  expect([...window.times()]).toEqual([9]);
  expect([...window.column('connections')]).toEqual([Number.NaN]);
});
