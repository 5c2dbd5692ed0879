import { renumberedIds } from '../../../src/analyse/compare/renumber.ts';
import { heapOf } from '../../support/heap-of.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

/** An object with one property for each node. */
function heapWith(nodes: readonly { readonly name: string; readonly id: number }[]) {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '', { id: 1 });
  const owner = builder.node('object', 'Owner', { id: 21 });
  builder.edge(root, 'property', 'owner', owner);
  for (const { name, id } of nodes)
    builder.edge(owner, 'property', name, builder.node('object', 'Thing', { id }));
  return heapOf(builder);
}

test('a node that was there before gets the id of then, a new one gets an id that nobody had', () => {
  const earlier = heapWith([
    { name: 'a', id: 3 },
    { name: 'b', id: 5 },
    { name: 'gone', id: 8 },
  ]);
  const later = heapWith([
    { name: 'new', id: 3 },
    { name: 'b', id: 7 },
    { name: 'a', id: 9 },
    { name: 'newer', id: 5 },
  ]);
  expect([...renumberedIds(earlier, later)]).toEqual([1, 21, 23, 5, 3, 25]);
});

test('ids of native objects are hashes: new ids stay with the counted ones, and never meet a hash', () => {
  const earlier = heapWith([
    { name: 'a', id: 3 },
    { name: 'native', id: 4_000_000_001 },
  ]);
  const later = heapWith([
    { name: 'native', id: 77 },
    { name: 'new', id: 4_000_000_001 },
  ]);
  expect([...renumberedIds(earlier, later)]).toEqual([1, 21, 4_000_000_001, 23]);
});
