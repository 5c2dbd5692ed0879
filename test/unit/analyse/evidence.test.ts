import { constantsOf } from '../../../src/analyse/graph/constants.ts';
import type { Comparison } from '../../../src/analyse/verdict/describe.ts';
import { findWitness } from '../../../src/analyse/verdict/evidence.ts';
import { heapOf } from '../../support/heap-of.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

test('of many entries one with a closed socket is shown, though the newest hundred are of open ones', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const server = builder.node('object', 'Server');
  const handle = builder.node('object', 'TCP');
  const none = builder.node('hidden', 'null');
  const entries = Array.from({ length: 300 }, (_, at) => {
    const entry = builder.node('object', 'Session');
    const socket = builder.node('object', 'Socket');
    builder.edge(root, 'element', at, entry).edge(entry, 'property', 'socket', socket);
    builder.edge(socket, 'property', '<symbol kHandle>', at < 100 ? handle : none);
    builder.edge(socket, 'property', 'server', server);
    return entry;
  });
  const heap = heapOf(builder);
  const facts = { heap, constants: constantsOf(heap) };
  const comparison = { first: { before: new Uint8Array(heap.nodeCount) } } as unknown as Comparison;
  const witness = findWitness(facts, comparison, entries);
  expect(entries.indexOf(witness?.entry ?? -1)).toBeGreaterThanOrEqual(100);
  expect(witness?.below).toEqual([
    { text: '.socket', is: 'Socket', state: 'leaking', because: 'a closed socket: its handle is null' },
  ]);
});
