import type { SharedRetention, Suspect } from '../../types/index.ts';
import { constantsOf } from '../graph/constants.ts';
import { sampleOf } from './describe.ts';
import type { Comparison } from './describe.ts';
import type { Group } from '../compare/fold.ts';
import { entriesOf } from '../compare/growth.ts';
import { heldSteps } from './held.ts';
import { MOST_HOLDERS, sharedBytes } from '../graph/shared.ts';

/** Less is chance: a string, a shape, a function that a few of them have in common. */
const LEAST_SHARED_BYTES = 16 << 10;
const MOST_SETS = 3;

export interface Described {
  readonly group: Group;
  readonly suspect: Suspect;
}

/** What is worked out only for suspects that stay, in the order in which they are told. */
export function finish(comparison: Comparison, described: readonly Described[]): Suspect[] {
  const { heap } = comparison.graph;
  const shared = findShared(comparison, described);
  const facts = { heap, constants: constantsOf(heap) };
  return described.map(({ group, suspect }, at) => ({
    ...suspect,
    rank: at + 1,
    steps: heldSteps({ comparison, facts }, group, suspect, sampleOf(heap, group)),
    shared: shared.get(at) ?? [],
  }));
}

/** By place in the list. Chains and timers have no references that a fix would cut one by one. */
function findShared({ graph, first }: Comparison, described: readonly Described[]): Map<number, SharedRetention[]> {
  const found = new Map<number, SharedRetention[]>();
  const places = [...described.keys()]
    .filter((at) => described[at]!.group.how !== 'chain' && described[at]!.suspect.type !== 'Timers')
    .slice(0, MOST_HOLDERS);
  if (places.length < 2) return found;
  const holds = places.map((at) =>
    described[at]!.group.members.map(({ node }) => ({
      container: node,
      entries: [...entriesOf(graph.heap, node)].filter((entry) => first.before[entry] === 0),
    })),
  );
  const bySet = [...(sharedBytes(graph, holds) ?? [])].sort((a, b) => b[1] - a[1]);
  for (const [set, bytes] of bySet) {
    const all = places.filter((_, bit) => (set & (1 << bit)) !== 0);
    if (all.length < 2 || bytes < LEAST_SHARED_BYTES) continue;
    for (const at of all) {
      const others = all.filter((other) => other !== at);
      const list = found.get(at) ?? [];
      found.set(at, list);
      if (list.length === MOST_SETS) continue;
      const names = others.map((other) => ({ rank: other + 1, name: described[other]!.suspect.name }));
      list.push({ with: names, bytes });
    }
  }
  return found;
}
