/** Finds the suspects of a comparison, and the growth that is expected. */
import type { ExpectedGrowth, SharedRetention, Suspect } from '../../types/index.ts';
import { findChains, limitToCensus } from '../compare/chains.ts';
import type { Chain } from '../compare/chains.ts';
import { entriesOf } from '../compare/containers.ts';
import { findGrowth, subtractReplaced } from '../compare/growth.ts';
import type { Growth, SnapshotMatch } from '../compare/growth.ts';
import { groupGrowth, isChain } from '../compare/groups.ts';
import type { GrowthGroup } from '../compare/groups.ts';
import { pathParent } from '../graph/graph.ts';
import type { Graph } from '../graph/graph.ts';
import { NODE, NONE, findOddballs } from '../graph/heap.ts';
import { firstFunctionOf, isContext } from '../graph/retaining-path.ts';
import { MAX_SUSPECTS as MAX_SHARING, findSharedRetention } from '../graph/shared-retention.ts';
import { describeSuspect, sampleEntries } from './describe-suspect.ts';
import type { Comparison } from './describe-suspect.ts';
import { rankSuspects } from './rank-suspects.ts';
import type { GroupedSuspect } from './rank-suspects.ts';
import { retainingSteps } from './retaining-steps.ts';
import { expectedReason } from './suppression.ts';

const MIN_GAINED = 50;
const MAX_SUSPECTS = 20;

/** Suspects are sorted: causes before consequences, then the largest first. */
export function findSuspects(comparison: Comparison): { suspects: Suspect[]; growing: ExpectedGrowth[] } {
  const suspects: GroupedSuspect[] = [];
  const growing: ExpectedGrowth[] = [];
  const groups = findGroups(comparison);
  const grown = containersOf(groups);
  const described = groups.map((group) => ({ group, suspect: describeSuspect(comparison, group, grown) }));
  const { scripts, heap } = comparison.graph;
  const isFromAgent = ({ suspect: { location } }: GroupedSuspect): boolean =>
    location !== null && scripts.isAgentFile(location.file);
  const agentContainers = containersOf(described.filter(isFromAgent).map(({ group }) => group));
  const applicationContainers = new Set([...grown].filter((node) => !agentContainers.has(node)));
  for (const { group, suspect: first } of described.filter((each) => !isFromAgent(each))) {
    // The agent's containers must not appear among the other retainers.
    const isRetainedByAgent = agentContainers.size > 0 && first.otherRetainers.length > 0;
    const suspect = isRetainedByAgent ? describeSuspect(comparison, group, applicationContainers) : first;
    const because = expectedReason(comparison, group, suspect, sampleEntries(heap, group));
    if (because === null) suspects.push({ group, suspect });
    else {
      const { name, path, location, objects } = suspect;
      growing.push({ name, path, location, objects, because });
    }
  }
  return {
    suspects: completeSuspects(comparison, rankSuspects(comparison.graph, suspects).slice(0, MAX_SUSPECTS)),
    growing: growing.slice(0, MAX_SUSPECTS),
  };
}

const containersOf = (groups: readonly GrowthGroup[]): Set<number> =>
  new Set(groups.flatMap(({ how, members }) => (how === 'chain' ? [] : members.map(({ node }) => node))));

function findGroups({ graph, first, censuses }: Comparison): GrowthGroup[] {
  const { heap } = graph;
  const all = subtractReplaced(first, findGrowth(heap, first));
  const grownContainers = new Set(all.filter(({ gained }) => gained > 0).map(({ node }) => node));
  const growth = all.filter(
    (each) => each.how !== 'new' || !isInNewEntry(graph, first, grownContainers, each),
  );
  const gained = growth.filter((each) => each.gained > 0);
  const chains = findChains(heap, first, graph, gained)
    .map((chain) => moveToUserCode(graph, chain))
    .map((chain) => (censuses === null ? chain : limitToCensus(heap, censuses, chain)));
  return groupGrowth(graph, [...growth, ...chains]).filter((group) => {
    const isGrown = group.gained >= MIN_GAINED;
    return isGrown && (group.how !== 'chain' || isChain(heap, first.earlierNode, group));
  });
}

/** Replaces closures and contexts of the engine by their dominator: they have no place in the source. */
function moveToUserCode(graph: Graph, chain: Chain): Chain {
  const { heap, dominators, scripts } = graph;
  let { node } = chain;
  while (node !== 0) {
    const isEngineContext = isContext(graph, node) && firstFunctionOf(graph, node) === null;
    const isEngineClosure = heap.nodeType[node] === NODE.closure && scripts.userPosition(node) === null;
    const isObject = heap.nodeType[node] === NODE.object || heap.nodeType[node] === NODE.closure;
    if (isObject && !isEngineContext && !isEngineClosure) return { ...chain, node };
    node = dominators.parent[node]!;
  }
  return chain;
}

/** Whether a new container lies in a new entry of a grown container. Then it is part of that growth. */
function isInNewEntry(
  { heap, paths }: Graph,
  { earlierNode }: SnapshotMatch,
  grownContainers: ReadonlySet<number>,
  { node }: Growth,
): boolean {
  let above = pathParent(heap, paths, node);
  for (; above !== 0 && above !== NONE; above = pathParent(heap, paths, above)) {
    if (grownContainers.has(above)) return true;
    if (earlierNode[above] !== 0) return false;
  }
  return false;
}

/** Shared bytes below this are strings, shapes or functions that a few entries have in common. */
const MIN_SHARED_BYTES = 16 << 10;
const MAX_SHARED_SETS = 3;

/** Adds rank, retaining steps and shared bytes: they are computed only for the suspects that are reported. */
export function completeSuspects(comparison: Comparison, suspects: readonly GroupedSuspect[]): Suspect[] {
  const { heap } = comparison.graph;
  const shared = sharedRetention(comparison, suspects);
  const context = { heap, oddballs: findOddballs(heap) };
  return suspects.map(({ group, suspect }, index) => ({
    ...suspect,
    rank: index + 1,
    steps: retainingSteps({ comparison, context }, group, suspect, sampleEntries(heap, group)),
    shared: shared.get(index) ?? [],
  }));
}

/** The key is the index of the suspect. Chains and timers are left out: they have no references to entries that a fix could remove. */
function sharedRetention(
  { graph, first }: Comparison,
  suspects: readonly GroupedSuspect[],
): Map<number, SharedRetention[]> {
  const shared = new Map<number, SharedRetention[]>();
  const indexes = [...suspects.keys()]
    .filter((index) => suspects[index]!.group.how !== 'chain' && suspects[index]!.suspect.type !== 'Timers')
    .slice(0, MAX_SHARING);
  if (indexes.length < 2) return shared;
  const containers = indexes.map((index) =>
    suspects[index]!.group.members.map(({ node }) => ({
      container: node,
      entries: [...entriesOf(graph.heap, node)].filter((entry) => first.earlierNode[entry] === 0),
    })),
  );
  const bySet = [...(findSharedRetention(graph, containers) ?? [])].sort((a, b) => b[1] - a[1]);
  for (const [set, bytes] of bySet) {
    const inSet = indexes.filter((_, bit) => (set & (1 << bit)) !== 0);
    if (inSet.length < 2 || bytes < MIN_SHARED_BYTES) continue;
    for (const index of inSet) {
      const list = shared.get(index) ?? [];
      shared.set(index, list);
      if (list.length === MAX_SHARED_SETS) continue;
      const others = inSet.filter((other) => other !== index);
      const names = others.map((other) => ({ rank: other + 1, name: suspects[other]!.suspect.name }));
      list.push({ with: names, bytes });
    }
  }
  return shared;
}
