/** Bytes that are freed only together, against a walk over the whole graph for each set of suspects. */
import { buildGraph } from '../../../src/analyse/graph/graph.ts';
import type { Graph } from '../../../src/analyse/graph/graph.ts';
import { isStrong, sizeOf } from '../../../src/analyse/graph/heap.ts';
import { findSharedRetention } from '../../../src/analyse/graph/shared-retention.ts';
import type { SuspectContainer } from '../../../src/analyse/graph/shared-retention.ts';
import { heapOf } from '../../support/heap-of.ts';
import { HeapSnapshotBuilder } from '../../support/heap-snapshot-builder.ts';

/** A small generator of numbers, the same in each run. */
function numbers(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Suspects = readonly (readonly SuspectContainer[])[];

/** Two to five containers below the root, entries of theirs, and anything below and between those. */
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
    // Some are far from the root, so that the short way to them leads through an entry; some are in an entry only.
    let holder = root;
    for (let i = random(3) * random(3); i > 0; i--) {
      const next = builder.node('object', 'Holder');
      builder.edge(holder, 'property', 'next', next);
      holder = next;
    }
    const isAlone = random(12) === 0;
    builder.edge(isAlone ? any() : holder, 'property', `v${container}`, container);
    if (random(4) === 0) builder.edge(any(), 'property', 'owner', container);
  }
  for (let i = random(4); i > 0; i--) builder.edge(root, 'property', `o${i}`, any());
  const kinds = ['property', 'property', 'property', 'weak'] as const;
  for (let i = rest.length + random(rest.length); i > 0; i--) {
    builder.edge(any(), kinds[random(kinds.length)]!, `f${i}`, any());
  }
  const suspects = containers.map((container) => {
    const entries = Array.from({ length: random(8) }, any);
    for (const [index, entry] of entries.entries()) builder.edge(container, 'element', index, entry);
    return [{ container, entries }];
  });
  return { graph: buildGraph(heapOf(builder)), suspects };
}

/** Nodes that stay reachable when the suspects of the bit set `set` release their entries. */
function reachable({ heap }: Graph, suspects: Suspects, set: number): Set<number> {
  const letGo = new Map<number, Set<number>>();
  for (const [bit, holds] of suspects.entries()) {
    if ((set & (1 << bit)) === 0) continue;
    for (const { container, entries } of holds) letGo.set(container, new Set(entries));
  }
  const seen = new Set([0]);
  for (const node of seen) {
    for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
      const to = heap.edgeTo[edge]!;
      if (isStrong(heap.edgeLabel[edge]!, node) && letGo.get(node)?.has(to) !== true) seen.add(to);
    }
  }
  return seen;
}

const bytesIn = ({ heap }: Graph, nodes: Iterable<number>): number =>
  [...nodes].reduce((sum, node) => sum + sizeOf(heap, node), 0);

test('random graphs: for each set of suspects exactly what a whole walk finds to be freed', () => {
  let together = 0;
  let nested = 0;
  for (let seed = 0; seed < 600; seed++) {
    const { graph, suspects } = randomGraph(seed);
    const bySet = findSharedRetention(graph, suspects);
    const all = reachable(graph, suspects, (1 << suspects.length) - 1);
    if (bySet === null) {
      nested++;
      expect(suspects.some(([hold]) => !all.has(hold!.container))).toBe(true);
      continue;
    }
    const before = bytesIn(graph, reachable(graph, suspects, 0));
    for (let set = 1; set < 1 << suspects.length; set++) {
      const freed = [...bySet].reduce((sum, [of, bytes]) => ((of & ~set) === 0 ? sum + bytes : sum), 0);
      expect([seed, set, freed]).toEqual([
        seed,
        set,
        before - bytesIn(graph, reachable(graph, suspects, set)),
      ]);
    }
    if ([...bySet.keys()].some((of) => (of & (of - 1)) !== 0)) together++;
  }
  // Both really occurred.
  expect(together).toBeGreaterThan(100);
  expect(nested).toBeGreaterThan(10);
});

test('a container inside an entry of another one: no set is told', () => {
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

test('what two lists hold between them is put down to both, twenty thousand links deep', () => {
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
  for (let i = 1; i < 20_000; i++) {
    const link = builder.node('object', 'Link', { selfSize: 1 });
    builder.edge(last, 'property', 'next', link).edge(link, 'property', 'previous', last);
    // One more holder of the same for each link: their number times their depth would be 2 * 10^8 steps.
    builder.edge(link, 'property', 'owner', owner);
    last = link;
  }
  // Its end has a holder of its own on one side: no link dominates the others.
  builder.edge(lists[0]!.entry, 'property', 'last', last);
  const suspects = lists.map(({ list, entry }) => [{ container: list, entries: [entry] }]);
  const bySet = findSharedRetention(buildGraph(heapOf(builder)), suspects);
  expect([...bySet!].sort(([a], [b]) => a - b)).toEqual([
    [1, 10],
    [2, 10],
    [3, 20_005],
  ]);
});
