import { isMultiple } from '../../../src/detect/count-shape.ts';

/** 60 rows of about 500 connections that vary. */
const connections = Float64Array.from({ length: 60 }, (_, row) => 500 + ((row * 37) % 41));
const of = (valueAt: (count: number, row: number) => number): boolean =>
  isMultiple(connections.map(valueAt), connections);

test.each([
  ['two for each connection', true, (count: number) => 2 * count],
  ['two for each connection and 20 others', true, (count: number) => 2 * count + 20],
  ['two for each connection and 21 others', false, (count: number) => 2 * count + 21],
  ['one for each connection', false, (count: number) => count],
  ['two for each, read a moment late in a tenth of the rows', true, late(10)],
  ['two for each, read a moment late in a third of the rows', false, late(3)],
  ['two for each, and the leaked ones', false, (count: number, row: number) => 2 * count + row],
  ['a count beside the connections', false, (_: number, row: number) => 1000 + 5 * row],
])('%s: %s', (_, expected, valueAt) => {
  expect(of(valueAt)).toBe(expected);
});

/** One connection has no entries yet in every `nth` row. */
function late(nth: number): (count: number, row: number) => number {
  return (count, row) => 2 * count - (row % nth === 0 ? 2 : 0);
}
