import type { Holder, Suspect } from '../../types/index.ts';
import { describe } from './describe.ts';
import type { Comparison } from './describe.ts';
import { finish } from './finish.ts';
import { foldLike } from '../compare/fold.ts';
import type { Graph } from '../graph/graph.ts';
import { holdingOf } from '../compare/entries.ts';
import type { Holdings } from '../compare/entries.ts';
import type { Grown } from '../compare/growth.ts';
import { EDGE, EDGE_MASK, NODE, NONE, nodeText } from '../graph/heap.ts';
import { locateOwner } from '../locate/locate.ts';
import { className, pathText, stepsTo } from '../locate/path.ts';
import { parentOf } from '../graph/reach.ts';
import { isUserFile } from '../locate/scripts.ts';
import { toLocation } from '../locate/sources.ts';

const LEAST_ENTRIES = 50;
const MOST_GROUPS = 200;
const MOST_HOLDERS = 15;
const LEAST_SHARE = 0.02;
/** Where no child has most of the bytes, they spread: that object is the one to name. */
const SPREAD = 0.5;

/** Containers with many entries, the outermost ones, as if all of it were new. */
export function findHeld(comparison: Comparison): Suspect[] {
  const { graph, first } = comparison;
  const { heap } = graph;
  const big: Grown[] = [];
  first.now.nodes.forEach((node, at) => {
    const gained = first.now.entries[at]!;
    if (gained >= LEAST_ENTRIES && heap.nodeType[node] === NODE.object) {
      big.push({ node, how: 'entries', gained, gainedBytes: first.now.storeBytes[at]! });
    }
  });
  big.sort((a, b) => graph.dominators.retained[b.node]! - graph.dominators.retained[a.node]!);
  const holders = new Set(big.map(({ node }) => node));
  const outermost = big.filter(({ node }) => !isInside(graph, holders, node)).slice(0, MOST_GROUPS);
  const described = foldLike(graph, outermost)
    .map((group) => ({ group, suspect: describe(comparison, group, new Set()) }))
    .filter(
      ({ suspect }) => isSuspicious(suspect) && !graph.scripts.isAgentFile(suspect.location?.file ?? ''),
    )
    .sort((a, b) => b.suspect.retainedBytes - a.suspect.retainedBytes);
  return finish(comparison, described).map((suspect) => ({
    ...suspect,
    growth: null,
    confidence: confidenceOf(suspect),
  }));
}

/** Is it inside an entry of another? A field of an object with many fields is not. */
function isInside({ heap, reach }: Graph, holders: ReadonlySet<number>, node: number): boolean {
  for (let at = node; at !== 0 && reach.viaEdge[at] !== NONE;) {
    const isEntry = (heap.edgeLabel[reach.viaEdge[at]!]! & EDGE_MASK) !== EDGE.property;
    at = parentOf(heap, reach, at);
    if (isEntry && holders.has(at)) return true;
  }
  return false;
}

/** Closed sockets in it, or a crowd of listeners; and in the user's or a package's code. */
function isSuspicious({ location, notes, type }: Suspect): boolean {
  if (location === null || !isUserFile(location.file)) return false;
  return notes.length > 0 || type === 'Listeners';
}

const confidenceOf = ({ notes }: Suspect): number => (notes.length > 0 ? 0.6 : 0.3);

/** Points of the dominator tree from which the bytes spread. */
export function findHolders({ graph, sources }: Comparison, holdings: Holdings): Holder[] {
  const { heap, dominators } = graph;
  const { order, parent, retained } = dominators;
  const largestChild = new Float32Array(graph.spare.buffer, 0, heap.nodeCount).fill(0);
  for (let at = 1; at < order.length; at++) {
    const node = order[at]!;
    const above = parent[node]!;
    if (retained[node]! > largestChild[above]!) largestChild[above] = retained[node]!;
  }
  const all = heap.selfBytes;
  const big: number[] = [];
  for (let at = 0; at < order.length; at++) {
    const node = order[at]!;
    if (heap.nodeType[node] !== NODE.object || retained[node]! < all * LEAST_SHARE) continue;
    if (largestChild[node]! < retained[node]! * SPREAD || isTableOwner(graph, node)) big.push(node);
  }
  return big
    .sort((a, b) => retained[b]! - retained[a]!)
    .slice(0, MOST_HOLDERS)
    .map((node) => {
      const steps = stepsTo(graph.heap, graph.reach, node);
      const path = pathText(graph, steps);
      const place = locateOwner(graph, sources, steps);
      return {
        name: path.slice(-2).join('').replace(/^\./, '') || className(heap, node),
        type: nodeText(heap, node),
        path,
        location: place === null ? null : toLocation(place, sources),
        objects: holdings.entries[holdingOf(holdings, node)] ?? 0,
        retainedBytes: retained[node]!,
        share: all === 0 ? 0 : Math.min(1, retained[node]! / all),
      };
    });
}

/** All of a Map's bytes pass through its table. */
const isTableOwner = ({ heap }: Graph, node: number): boolean =>
  /^(Map|Set|Array)$/.test(nodeText(heap, node));
