/** Dominators and retained sizes, compared with a naive algorithm on random graphs. */
import fc from 'fast-check';
import { findDominators, findIncomingEdges } from '../../../src/analyse/graph/dominators.ts';
import { EDGE, NONE, isStrong } from '../../../src/analyse/graph/heap.ts';
import type { Heap } from '../../../src/analyse/graph/heap.ts';
import { EDGE_TYPES, HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';
import { heapOf } from '../../support/heap-of.ts';

/** The definition of dominators as plain loops, as the reference for the fast algorithm. */
function slowDominators(heap: Heap): { parent: number[]; retainedSize: number[] } {
  const incoming: number[][] = Array.from({ length: heap.nodeCount }, () => []);
  const reached = new Set([0]);
  for (const node of reached) {
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
      if (!isStrong(heap.edgeLabel[edge]!, node)) continue;
      incoming[heap.edgeTo[edge]!]!.push(node);
      reached.add(heap.edgeTo[edge]!);
    }
  }
  const all = [...reached];
  const sets = new Map(all.map((node) => [node, new Set(node === 0 ? [0] : all)]));
  for (let changed = true; changed;) {
    changed = false;
    for (const node of all.slice(1)) {
      const before = sets.get(node)!;
      const from = incoming[node]!.filter((each) => reached.has(each)).map((each) => sets.get(each)!);
      const next = new Set([...from[0]!].filter((each) => from.every((set) => set.has(each))));
      next.add(node);
      if (next.size === before.size) continue;
      sets.set(node, next);
      changed = true;
    }
  }
  const parent = Array.from<number>({ length: heap.nodeCount }).fill(NONE);
  const retainedSize = Array.from(heap.selfSize);
  parent[0] = 0;
  for (const node of all.slice(1)) {
    const strict = [...sets.get(node)!].filter((each) => each !== node);
    parent[node] = strict.find((each) => sets.get(each)!.size === strict.length)!;
    for (const each of strict) retainedSize[each]! += heap.selfSize[node]!;
  }
  return { parent, retainedSize };
}

function expectExact(heap: Heap): void {
  const fast = findDominators(heap, findIncomingEdges(heap));
  const slow = slowDominators(heap);
  expect(Array.from(fast.parent)).toEqual(slow.parent);
  expect(Array.from(fast.retainedSize)).toEqual(slow.retainedSize);
}

test('dominators and retained sizes are exact on random graphs', () => {
  const graph = fc.integer({ min: 1, max: 40 }).chain((count) =>
    fc.record({
      sizes: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: count, maxLength: count }),
      edges: fc.array(fc.tuple(fc.nat(count - 1), fc.constantFrom(...EDGE_TYPES), fc.nat(count - 1)), {
        maxLength: count * 4,
      }),
    }),
  );
  fc.assert(
    fc.property(graph, ({ sizes, edges }) => {
      const builder = new HeapSnapshotBuilder();
      for (const selfSize of sizes) builder.node('object', 'Thing', { selfSize });
      for (const [from, type, to] of edges) {
        builder.edge(from, type, type === 'element' || type === 'hidden' ? 1 : 'x', to);
      }
      expectExact(heapOf(builder));
    }),
    { numRuns: 400 },
  );
});

test('a linked list of a million nodes does not overflow the stack, and its head retains all of it', () => {
  const count = 1_000_000;
  // Built as columns, because the text of such a file would take most of the time.
  const firstEdge = new Uint32Array(count + 2);
  const edgeTo = new Uint32Array(2 * count);
  let edges = 0;
  for (let node = 0; node <= count; node++) {
    firstEdge[node] = edges;
    if (node < count) edgeTo[edges++] = node + 1;
    if (node > 0) edgeTo[edges++] = node - 1;
  }
  firstEdge[count + 1] = edges;
  const one = new HeapSnapshotBuilder();
  one.node('synthetic', '');
  const heap: Heap = {
    ...heapOf(one),
    nodeCount: count + 1,
    edgeCount: edges,
    selfSize: new Uint32Array(count + 1).fill(10),
    firstEdge,
    edgeLabel: new Uint32Array(edges).fill(EDGE.property),
    edgeTo,
  };
  const { parent, retainedSize } = findDominators(heap, findIncomingEdges(heap));
  expect(parent[count]).toBe(count - 1);
  expect(retainedSize[1]).toBe(count * 10);
});

test('an object that 100,000 entries share is dominated by their container', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '', { selfSize: 0 });
  const holder = builder.node('object', 'Map');
  const shared = builder.node('object', 'Config', { selfSize: 777 });
  builder.edge(root, 'element', 1, holder);
  for (let at = 0; at < 100_000; at++) {
    const entry = builder.node('object', 'Entry');
    builder.edge(holder, 'element', at, entry).edge(entry, 'property', 'config', shared);
  }
  const heap = heapOf(builder);
  const { parent, retainedSize } = findDominators(heap, findIncomingEdges(heap));
  expect(parent[shared]).toBe(holder);
  expect(retainedSize[holder]).toBe(16 + 777 + 100_000 * 16);
});

test("a WeakMap's value is retained by its key, not by the table", () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '', { selfSize: 0 });
  const table = builder.node('array', '(WeakMap table)');
  const key = builder.node('object', 'Socket');
  const value = builder.node('object', 'State', { selfSize: 500 });
  const name = `2 / part of key (Socket @5) -> value (State @7) pair in WeakMap (table @${table * 2 + 1})`;
  builder.edge(root, 'element', 1, table).edge(root, 'element', 2, key);
  builder.edge(table, 'weak', '2', key).edge(table, 'internal', name, value);
  builder.edge(key, 'internal', name, value);
  const heap = heapOf(builder);
  const { parent, retainedSize } = findDominators(heap, findIncomingEdges(heap));
  expect(parent[value]).toBe(key);
  expect(retainedSize[key]).toBe(516);
  expect(retainedSize[table]).toBe(16);
});
