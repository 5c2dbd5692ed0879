import fc from 'fast-check';
import {
  idsAgree,
  matchByIds,
  matchByPath,
  toEarlierSnapshot,
} from '../../../src/analyse/compare/matching.ts';
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

test('by path: in two files with the same graph each reachable node matches itself', () => {
  const graph = fc.integer({ min: 1, max: 30 }).chain((count) =>
    fc.record({
      classes: fc.array(fc.constantFrom('Room', 'Session', 'Map'), { minLength: count, maxLength: count }),
      edges: fc.array(
        fc.tuple(
          fc.nat(count - 1),
          fc.constantFrom('property' as const, 'element' as const, 'internal' as const),
          fc.nat(5),
          fc.nat(count - 1),
        ),
        { maxLength: count * 3 },
      ),
    }),
  );
  fc.assert(
    fc.property(graph, ({ classes, edges }) => {
      const build = (firstId: number): Heap => {
        const builder = new HeapSnapshotBuilder();
        classes.forEach((name, index) => builder.node('object', name, { id: firstId + index }));
        for (const [from, type, name, to] of edges)
          builder.edge(from, type, type === 'element' ? name : `field${name}`, to);
        return heapOf(builder);
      };
      const reachable = new Set([0]);
      for (const node of reachable) for (const [from, , , to] of edges) if (from === node) reachable.add(to);
      const earlierNode = matchByPath(build(1), build(1000));
      const expected = classes.map((_, node) => (reachable.has(node) ? node + 1 : 0));
      expect(Array.from(earlierNode)).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});
