import { socketsIn } from '../../../src/analyse/verdict/details.ts';
import { heapOf } from '../../support/heap-of.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

test('sockets by their handle: null once they are closed, as Node 20 and as later ones write it', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const entryWith = (handle: number): number => {
    const entry = builder.node('object', 'Session');
    const socket = builder.node('object', 'Socket');
    builder.edge(root, 'element', entry, entry).edge(entry, 'property', 'socket', socket);
    builder.edge(socket, 'property', '<symbol kHandle>', handle);
    return entry;
  };
  const entries = [
    entryWith(builder.node('object', 'TCP')),
    entryWith(builder.node('object', 'TCP')),
    entryWith(builder.node('hidden', 'null')),
    entryWith(builder.node('hidden', 'system / Oddball')),
    builder.node('object', 'Session'),
  ];
  // Of an entry with both the closed one is the news.
  const both = entryWith(builder.node('object', 'TCP'));
  builder.edge(both, 'property', 'last', entries[2]!);
  expect(socketsIn(heapOf(builder), [...entries, both])).toEqual({ closed: 3, open: 2 });
});
