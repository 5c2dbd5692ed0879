import type { ExpectedGrowth, Suspect } from '../../types/index.ts';
import { describe, sampleOf } from './describe.ts';
import type { Comparison } from './describe.ts';
import { excuseOf } from './suppression.ts';
import { finish } from './finish.ts';
import type { Described } from './finish.ts';
import { foldLike } from '../compare/fold.ts';
import type { Group } from '../compare/fold.ts';
import type { Graph } from '../graph/graph.ts';
import { findChains, findGrown } from '../compare/growth.ts';
import type { Chain, Grown, Pairing } from '../compare/growth.ts';
import { NODE, NONE } from '../graph/heap.ts';
import { isChain } from '../compare/kinds.ts';
import { parentOf } from '../graph/reach.ts';
import { netOfChain, netOfCopies } from '../compare/replaced.ts';
import { isPackageFile } from '../locate/scripts.ts';
import { functionIn, isContext } from '../locate/variable.ts';

const LEAST_GAINED = 50;
const MOST_SUSPECTS = 20;

/** What grew, told apart: suspects by the bytes that go with them, and what has an excuse. */
export function findSuspects(comparison: Comparison): { suspects: Suspect[]; growing: ExpectedGrowth[] } {
  const suspects: Described[] = [];
  const growing: ExpectedGrowth[] = [];
  const groups = findGroups(comparison);
  const grown = grownNodes(groups);
  const described = groups.map((group) => ({ group, suspect: describe(comparison, group, grown) }));
  const { scripts, heap } = comparison.graph;
  const isAgents = ({ suspect: { location } }: Described): boolean =>
    location !== null && scripts.isAgentFile(location.file);
  const agents = grownNodes(described.filter(isAgents).map(({ group }) => group));
  const applications = new Set([...grown].filter((node) => !agents.has(node)));
  for (const { group, suspect: first } of described.filter((each) => !isAgents(each))) {
    const isAlsoAgents = agents.size > 0 && first.otherRetainers.length > 0;
    const suspect = isAlsoAgents ? describe(comparison, group, applications) : first;
    const because = excuseOf(comparison, group, suspect, sampleOf(heap, group));
    if (because === null) suspects.push({ group, suspect });
    else {
      const { name, path, location, objects } = suspect;
      growing.push({ name, path, location, objects, because });
    }
  }
  // Two that hold the same objects hold the same bytes: what the user wrote is what the user can change.
  suspects.sort(({ suspect: a }, { suspect: b }) => {
    return b.retainedBytes - a.retainedBytes || rankOfPlace(a) - rankOfPlace(b);
  });
  return {
    suspects: finish(comparison, suspects.slice(0, MOST_SUSPECTS)),
    growing: growing.slice(0, MOST_SUSPECTS),
  };
}

const grownNodes = (groups: readonly Group[]): Set<number> =>
  new Set(groups.flatMap(({ how, members }) => (how === 'chain' ? [] : members.map(({ node }) => node))));

const rankOfPlace = ({ location }: Suspect): number =>
  location === null ? 2 : Number(isPackageFile(location.file));

function findGroups({ graph, first, censuses }: Comparison): Group[] {
  const { heap } = graph;
  const entries = netOfCopies(first, findGrown(heap, first));
  const holders = new Set(entries.filter(({ gained }) => gained > 0).map(({ node }) => node));
  const grown = entries.filter((each) => each.how !== 'fresh' || !isCovered(graph, first, holders, each));
  const gained = grown.filter((each) => each.gained > 0);
  const chains = findChains(heap, first, graph, gained)
    .map((chain) => anchored(graph, chain))
    .map((chain) => (censuses === null ? chain : netOfChain(heap, censuses, chain)));
  return foldLike(graph, [...grown, ...chains]).filter(
    (group) => group.gained >= LEAST_GAINED && (group.how !== 'chain' || isChain(heap, first.before, group)),
  );
}

/** The engine's own closures and contexts between a list and its holder are no place in the source. */
function anchored(graph: Graph, chain: Chain): Chain {
  const { heap, dominators, scripts } = graph;
  let { node } = chain;
  while (node !== 0) {
    const isContextOfEngine = isContext(graph, node) && functionIn(graph, node) === null;
    const isClosureOfEngine = heap.nodeType[node] === NODE.closure && scripts.userPlace(node) === null;
    const isObject = heap.nodeType[node] === NODE.object || heap.nodeType[node] === NODE.closure;
    if (isObject && !isContextOfEngine && !isClosureOfEngine) return { ...chain, node };
    node = dominators.parent[node]!;
  }
  return chain;
}

/** A new container inside a new entry of something that grew is part of that growth. */
function isCovered(
  { heap, reach }: Graph,
  { before }: Pairing,
  holders: ReadonlySet<number>,
  { node }: Grown,
): boolean {
  for (let at = parentOf(heap, reach, node); at !== 0 && at !== NONE; at = parentOf(heap, reach, at)) {
    if (holders.has(at)) return true;
    if (before[at] !== 0) return false;
  }
  return false;
}
