/** Shared retention, compared with a traversal of the whole graph for each set of suspects. */
import { buildGraph } from '../../../src/analyse/graph/graph.ts';
import type { Graph } from '../../../src/analyse/graph/graph.ts';
import { isStrong, sizeOf } from '../../../src/analyse/graph/heap.ts';
import { findSharedRetention } from '../../../src/analyse/graph/shared-retention.ts';
import type { SuspectContainer } from '../../../src/analyse/graph/shared-retention.ts';
import { heapOf } from '../../support/heap-of.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

/** A pseudo-random generator with a seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Suspects = readonly (readonly SuspectContainer[])[];

/** Two to five containers below the root, with entries and random references between all objects. */
function randomGraph(seed: number): { graph: Graph; suspects: Suspects } {
  const random = numbers(seed);
  const builder = new HeapSnapshotBuilder(seed % 2 === 0 ? 'node20' : 'node26');
  const root = builder.node('synthetic', '');
  const count = 2 + random(4);
  const containers = Array.from({ length: count }, () => builder.node('object', 'Array'));
  const rest = Array.from({ length: 12 + random(50) }, () =>
    builder.node('object', 'Object', { selfSize: 8 + random(1000) }),
  );
  const any = (): number => rest[random(rest.length)]!;
  for (const container of containers) {
    // Some containers are far from the root, so that their shortest path leads through an entry; some are only in an entry.
    let parent = root;
    for (let i = random(3) * random(3); i > 0; i -= 1) {
      const next = builder.node('object', 'Parent');
      builder.edge(parent, 'property', 'next', next);
      parent = next;
    }
    const isOnlyInEntry = random(12) === 0;
    builder.edge(isOnlyInEntry ? any() : parent, 'property', `v${container}`, container);
    if (random(4) === 0) builder.edge(any(), 'property', 'owner', container);
  }
  for (let i = random(4); i > 0; i -= 1) builder.edge(root, 'property', `o${i}`, any());
  const kinds = ['property', 'property', 'property', 'weak'] as const;
  for (let i = rest.length + random(rest.length); i > 0; i -= 1) {
    builder.edge(any(), kinds[random(kinds.length)]!, `f${i}`, any());
  }
  const suspects = containers.map((container) => {
    const entries = Array.from({ length: random(8) }, any);
    for (const [index, entry] of entries.entries()) builder.edge(container, 'element', index, entry);
    return [{ container, entries }];
  });
  return { graph: buildGraph(heapOf(builder)), suspects };
}

/** The nodes that remain when the suspects of a set release their entries. */
function reachable({ heap }: Graph, suspects: Suspects, set: number): Set<number> {
  const released = new Map<number, Set<number>>();
  for (const [bit, containers] of suspects.entries()) {
    if ((set & (1 << bit)) === 0) continue;
    for (const { container, entries } of containers) released.set(container, new Set(entries));
  }
  const reached = new Set([0]);
  for (const node of reached) {
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
      const to = heap.edgeTo[edge]!;
      if (isStrong(heap.edgeLabel[edge]!, node) && released.get(node)?.has(to) !== true) reached.add(to);
    }
  }
  return reached;
}

const bytesIn = ({ heap }: Graph, nodes: Iterable<number>): number =>
  [...nodes].reduce((sum, node) => sum + sizeOf(heap, node), 0);

test('random graphs: the freed bytes of each set of suspects are those of a traversal without their entries', () => {
  let together = 0;
  let nested = 0;
  for (let seed = 0; seed < 600; seed += 1) {
    const { graph, suspects } = randomGraph(seed);
    const bySet = findSharedRetention(graph, suspects);
    const all = reachable(graph, suspects, (1 << suspects.length) - 1);
    if (bySet === null) {
      nested += 1;
      expect(suspects.some(([first]) => !all.has(first!.container))).toBe(true);
      continue;
    }
    const before = bytesIn(graph, reachable(graph, suspects, 0));
    for (let set = 1; set < 1 << suspects.length; set += 1) {
      const freed = [...bySet].reduce(
        (sum, [subset, bytes]) => ((subset & ~set) === 0 ? sum + bytes : sum),
        0,
      );
      expect([seed, set, freed]).toEqual([
        seed,
        set,
        before - bytesIn(graph, reachable(graph, suspects, set)),
      ]);
    }
    if ([...bySet.keys()].some((subset) => (subset & (subset - 1)) !== 0)) together += 1;
  }
  // Both cases must occur, else the test proves nothing.
  expect(together).toBeGreaterThan(100);
  expect(nested).toBeGreaterThan(10);
});

test('a container inside an entry of another: null', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const outer = builder.node('object', 'Array');
  const entry = builder.node('object', 'Room');
  const inner = builder.node('object', 'Array');
  const member = builder.node('object', 'Member');
  builder.edge(root, 'property', 'rooms', outer).edge(outer, 'element', 0, entry);
  builder.edge(entry, 'property', 'members', inner).edge(inner, 'element', 0, member);
  const suspects = [[{ container: outer, entries: [entry] }], [{ container: inner, entries: [member] }]];
  expect(findSharedRetention(buildGraph(heapOf(builder)), suspects)).toBeNull();
});

test('a linked list of twenty thousand links that two containers retain is shared by both', () => {
  const builder = new HeapSnapshotBuilder();
  const root = builder.node('synthetic', '');
  const lists = ['a', 'b'].map((name) => {
    const list = builder.node('object', 'Array');
    const entry = builder.node('object', 'Entry', { selfSize: 10 });
    builder.edge(root, 'property', name, list).edge(list, 'element', 0, entry);
    return { list, entry };
  });
  const owner = builder.node('object', 'Owner', { selfSize: 5 });
  let last = builder.node('object', 'Link', { selfSize: 1 });
  for (const { entry } of lists) builder.edge(entry, 'property', 'first', last);
  for (let i = 1; i < 20_000; i += 1) {
    const link = builder.node('object', 'Link', { selfSize: 1 });
    builder.edge(last, 'property', 'next', link).edge(link, 'property', 'previous', last);
    // Each link refers to the same object. An algorithm that climbs from each reference would take 2 * 10^8 steps.
    builder.edge(link, 'property', 'owner', owner);
    last = link;
  }
  // One container refers to the end of the list too, so that no link dominates the others.
  builder.edge(lists[0]!.entry, 'property', 'last', last);
  const suspects = lists.map(({ list, entry }) => [{ container: list, entries: [entry] }]);
  const bySet = findSharedRetention(buildGraph(heapOf(builder)), suspects);
  expect([...bySet!].sort(([a], [b]) => a - b)).toEqual([
    [1, 10],
    [2, 10],
    [3, 20_005],
  ]);
});
