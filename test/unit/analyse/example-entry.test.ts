import { findOddballs } from '../../../src/analyse/graph/heap.ts';
import { findExampleEntry } from '../../../src/analyse/verdict/example-entry.ts';
import { heapOf } from '../../support/heap-of.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

test('the example is an entry with a closed socket, although the newest hundred entries have open ones', () => {
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
  const context = { heap, oddballs: findOddballs(heap) };
  const example = findExampleEntry(context, new Uint8Array(heap.nodeCount), entries);
  expect(entries.indexOf(example?.entry ?? -1)).toBeGreaterThanOrEqual(100);
  expect(example?.below).toEqual([
    { text: '.socket', is: 'Socket', state: 'leaking', because: 'a closed socket: its handle is null' },
  ]);
});

test('among entries without a closed socket the example is one that the first snapshot does not have', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const entries = ['old', 'new', 'newer'].map((name) => {
    const entry = builder.node('object', 'Session');
    builder.edge(root, 'property', name, entry);
    return entry;
  });
  const heap = heapOf(builder);
  const context = { heap, oddballs: findOddballs(heap) };
  const earlierNode = new Uint8Array(heap.nodeCount);
  earlierNode[entries[0]!] = 1;
  expect(findExampleEntry(context, earlierNode, entries)?.entry).toBe(entries[1]);
  // A function that is added repeatedly is old itself.
  expect(findExampleEntry(context, earlierNode, [entries[0]!])?.entry).toBe(entries[0]);
});

test('an entry is no example because the next timer in the list of Node has a closed socket', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const server = builder.node('object', 'Server');
  const clients = [builder.node('object', 'TCP'), builder.node('hidden', 'null')].map((handle) => {
    const [entry, timer, socket] = ['Client', 'Timeout', 'Socket'].map((name) =>
      builder.node('object', name),
    );
    builder.edge(root, 'element', entry!, entry!).edge(entry!, 'property', 'timer', timer!);
    builder.edge(timer!, 'property', 'socket', socket!);
    builder
      .edge(socket!, 'property', '<symbol kHandle>', handle)
      .edge(socket!, 'property', '_server', server);
    return { entry: entry!, timer: timer! };
  });
  const [open, closed] = clients as [(typeof clients)[0], (typeof clients)[0]];
  builder.edge(open.timer, 'property', '_idleNext', closed.timer);
  const heap = heapOf(builder);
  const context = { heap, oddballs: findOddballs(heap) };
  const example = findExampleEntry(context, new Uint8Array(heap.nodeCount), [open.entry, closed.entry]);
  expect(example?.entry).toBe(closed.entry);
  expect(example?.below.map(({ text }) => text)).toEqual(['.timer', '.socket']);
});
