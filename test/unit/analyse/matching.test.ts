import { idsAgree, matchByIds, toEarlierSnapshot } from '../../../src/analyse/compare/matching.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';
import { heapOf } from '../../support/heap-of.ts';
import type { Heap } from '../../../src/analyse/graph/heap.ts';

/** V8 counts the ids of objects; the ids of native objects are hashes. */
function heapWith(ids: readonly number[]): Heap {
  const builder = new HeapSnapshotBuilder();
  for (const id of ids) builder.node('object', 'Thing', { id });
  for (let node = 1; node < ids.length; node++) builder.edge(0, 'element', node, node);
  return heapOf(builder);
}

test('matches nodes by counted and by hashed ids', () => {
  const earlier = toEarlierSnapshot(heapWith([1, 3, 2_945_617_216, 7, 4_294_967_295]));
  const later = heapWith([1, 2_945_617_216, 5, 4_294_967_295, 7, 4_000_000_000, 90_001]);
  expect(Array.from(matchByIds(later, earlier))).toEqual([1, 3, 0, 5, 4, 0, 0]);
  expect(idsAgree(later, earlier)).toBe(true);
});

test('a few hashed ids do not enlarge the table of counted ids', () => {
  const { counted, hashed } = toEarlierSnapshot(heapWith([1, 3, 5, 4_294_967_295])).ids;
  expect(counted.length).toBe(6);
  expect([...hashed]).toEqual([[4_294_967_295, 4]]);
});
