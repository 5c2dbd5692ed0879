import { buildGraph, pathParent } from '../../../src/analyse/graph/graph.ts';
import { NONE, edgeTarget, edgeText, nodeText, sizeOf } from '../../../src/analyse/graph/heap.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';
import { heapOf, heapOfBytes } from '../../support/heap-of.ts';

function small(): HeapSnapshotBuilder {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '', { selfSize: 0 });
  const map = builder.node('object', 'Map');
  const table = builder.node('array', '');
  const secret = builder.node('string', 'token=4711');
  const buffer = builder.node('native', 'system / JSArrayBufferData', { selfSize: 6_000_000_000 });
  builder.edge(root, 'element', 7, map).edge(map, 'internal', 'table', table);
  return builder.edge(table, 'internal', '3', secret).edge(map, 'property', 'data', buffer);
}

test('the columns contain the numbers of the file', () => {
  const heap = heapOf(small());
  expect([heap.nodeCount, heap.edgeCount, heap.selfBytes]).toEqual([5, 4, 6_000_000_048]);
  expect(nodeText(heap, edgeTarget(heap, 1, 'table'))).toBe('');
  expect(edgeText(heap, 0)).toBe('7');
  expect(sizeOf(heap, 4)).toBe(6_000_000_000);
});

test('the text of a string value is not kept', () => {
  expect(nodeText(heapOf(small()), 3)).toBe('');
});

test('without shapes, the edges of strings and numbers and those to shapes are left out', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '', { selfSize: 0 });
  const stringMap = builder.node('hidden', 'system / Map');
  const shape = builder.node('object shape', 'system / Map');
  const text = builder.node('string', 'text');
  const user = builder.node('object', 'User');
  const last = builder.node('object', 'Last');
  builder.edge(root, 'element', 1, user).edge(root, 'element', 2, last).edge(root, 'element', 3, stringMap);
  builder.edge(text, 'internal', 'map', stringMap);
  builder.edge(user, 'internal', 'map', shape).edge(user, 'property', 'name', text);
  builder.edge(last, 'internal', 'map', shape);
  const [all, few] = [heapOf(builder), heapOf(builder, false)];
  expect([all.edgeCount, few.edgeCount]).toEqual([7, 4]);
  expect([edgeTarget(few, user, 'name'), edgeTarget(few, user, 'map')]).toEqual([text, -1]);
  expect([...few.firstEdge.slice(-2)]).toEqual([4, 4]);
  expect(edgeTarget(all, last, 'map')).toBe(shape);
});

test("the list of Node's native objects keeps nothing alive", () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '', { selfSize: 0 });
  const queue = builder.node('native', 'Node / CleanupQueue');
  const native = builder.node('native', 'Node / JSTransferable');
  const handles = builder.node('synthetic', '(Global handles)');
  const server = builder.node('object', 'Server');
  builder.edge(root, 'element', 1, queue).edge(root, 'element', 2, handles);
  builder
    .edge(queue, 'element', 1, native)
    .edge(queue, 'element', 2, server)
    .edge(handles, 'internal', 1, server);
  const heap = heapOf(builder);
  const { paths } = buildGraph(heap);
  expect(paths.edgeInto[native]).toBe(NONE);
  expect(pathParent(heap, paths, server)).toBe(handles);
});

const text = small().toString();
const numbersOf = (section: string): string => new RegExp(`"${section}":\\[([^\\]]*)\\]`).exec(text)![1]!;
const withNumbers = (section: string, change: (numbers: number[]) => void): string => {
  const numbers = numbersOf(section).split(',').map(Number);
  change(numbers);
  return text.replace(numbersOf(section), numbers.join(','));
};

test.each([
  ['an edge outside the nodes', withNumbers('edges', (numbers) => (numbers[2] = 6 * 99)), 'EDGES'],
  ['an edge into the middle of a node', withNumbers('edges', (numbers) => (numbers[2] = 7)), 'EDGES'],
  ['an edge type that is not listed', withNumbers('edges', (numbers) => (numbers[0] = 9)), 'META'],
  ['a node type that is not listed', withNumbers('nodes', (numbers) => (numbers[0] = 40)), 'META'],
  ['a name behind the strings', withNumbers('nodes', (numbers) => (numbers[1] = 4000)), 'STRINGS'],
  ['a name far outside', withNumbers('nodes', (numbers) => (numbers[1] = 3e9)), 'STRINGS'],
  ['edge counts that do not add up', withNumbers('nodes', (numbers) => (numbers[4] = 3)), 'COUNTS'],
  ['a billion nodes in a small file', text.replace('"node_count":5', '"node_count":1000000000'), 'COUNTS'],
  ['no node at all', text.replace('"node_count":5', '"node_count":0'), 'COUNTS'],
])('%s is refused', (_what, damaged, code) => {
  expect(damaged).not.toBe(text);
  expect(() => heapOfBytes(Buffer.from(damaged))).toThrow(
    expect.objectContaining({ code: `WSGUARD_SNAPSHOT_${code}` }),
  );
});

test('a file with any one bit flipped is read or refused with a code', () => {
  const bytes = Buffer.from(text);
  const codes = new Set<string>();
  for (let index = 0; index < bytes.length; index++) {
    const damaged = Buffer.from(bytes);
    damaged[index]! ^= 1 << (index % 8);
    try {
      heapOfBytes(damaged);
      codes.add('read');
    } catch (error) {
      codes.add((error as { code?: string }).code ?? String(error));
    }
  }
  expect([...codes].filter((code) => !/^(read|WSGUARD_SNAPSHOT_\w+)$/.test(code))).toEqual([]);
  expect(codes.size).toBeGreaterThan(4);
});
