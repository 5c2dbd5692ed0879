/** Verdicts about a single snapshot: suspicious containers, and the objects that retain most of the heap. */
import type { Holder, Suspect } from '../../types/index.ts';
import { entryCount } from '../compare/containers.ts';
import type { Growth } from '../compare/growth.ts';
import { groupGrowth } from '../compare/groups.ts';
import { pathParent } from '../graph/graph.ts';
import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, NONE, className, nodeText } from '../graph/heap.ts';
import { pathText, stepsTo } from '../graph/retaining-path.ts';
import { isUserFile } from '../graph/scripts.ts';
import { locateOwner } from '../locate/locate.ts';
import { toLocation } from '../locate/sources.ts';
import { describeSuspect } from './describe-suspect.ts';
import type { Comparison } from './describe-suspect.ts';
import { completeSuspects } from './suspects.ts';

const MIN_ENTRIES = 50;
const MAX_CONTAINERS = 200;

/** Large containers that are in no other large container, as if all of their entries were new. */
export function findLargeContainers(comparison: Comparison): Suspect[] {
  const { graph, first } = comparison;
  const { heap } = graph;
  const large: Growth[] = [];
  first.current.nodes.forEach((node, index) => {
    const gained = first.current.entries[index]!;
    if (gained >= MIN_ENTRIES && heap.nodeType[node] === NODE.object) {
      large.push({ node, how: 'entries', gained, gainedBytes: first.current.storeBytes[index]! });
    }
  });
  large.sort((a, b) => graph.dominators.retainedSize[b.node]! - graph.dominators.retainedSize[a.node]!);
  const containers = new Set(large.map(({ node }) => node));
  const outermost = large.filter(({ node }) => !isInEntry(graph, containers, node)).slice(0, MAX_CONTAINERS);
  const suspects = groupGrowth(graph, outermost)
    .map((group) => ({ group, suspect: describeSuspect(comparison, group, new Set()) }))
    .filter(
      ({ suspect }) => isSuspicious(suspect) && !graph.scripts.isAgentFile(suspect.location?.file ?? ''),
    )
    .sort((a, b) => b.suspect.retainedBytes - a.suspect.retainedBytes);
  return completeSuspects(comparison, suspects).map((suspect) => ({
    ...suspect,
    growth: null,
    confidence: suspect.notes.length > 0 ? 0.6 : 0.3,
  }));
}

/** Whether a node lies in an entry of a container. The field of an object with many fields is not an entry. */
function isInEntry({ heap, paths }: Graph, containers: ReadonlySet<number>, node: number): boolean {
  let current = node;
  while (current !== 0 && paths.edgeInto[current] !== NONE) {
    const isEntry = (heap.edgeLabel[paths.edgeInto[current]!]! & EDGE_TYPE_MASK) !== EDGE.property;
    current = pathParent(heap, paths, current);
    if (isEntry && containers.has(current)) return true;
  }
  return false;
}

/** A container in user code with closed sockets or with many listeners. */
function isSuspicious({ location, notes, type }: Suspect): boolean {
  if (location === null || !isUserFile(location.file)) return false;
  return notes.length > 0 || type === 'Listeners';
}

const MAX_HOLDERS = 15;
const MIN_SHARE = 0.02;
/** Below this share of the largest child the bytes are spread over several children, so the object itself is reported. */
const MAX_CHILD_SHARE = 0.5;

/** Objects that retain a large share of the heap and whose retained bytes are spread over several children. */
export function findHolders({ graph, sources, first }: Comparison): Holder[] {
  const { heap, dominators } = graph;
  const { order, parent, retainedSize } = dominators;
  const largestChild = new Float32Array(graph.scratch.buffer, 0, heap.nodeCount).fill(0);
  for (let i = 1; i < order.length; i += 1) {
    const node = order[i]!;
    const above = parent[node]!;
    if (retainedSize[node]! > largestChild[above]!) largestChild[above] = retainedSize[node]!;
  }
  const total = heap.selfBytes;
  const large: number[] = [];
  for (let i = 0; i < order.length; i += 1) {
    const node = order[i]!;
    if (heap.nodeType[node] !== NODE.object || retainedSize[node]! < total * MIN_SHARE) continue;
    const isSpread = largestChild[node]! < retainedSize[node]! * MAX_CHILD_SHARE;
    if (isSpread || hasBackingStore(graph, node)) large.push(node);
  }
  return large
    .sort((a, b) => retainedSize[b]! - retainedSize[a]!)
    .slice(0, MAX_HOLDERS)
    .map((node) => {
      const steps = stepsTo(graph.heap, graph.paths, node);
      const path = pathText(graph, steps);
      const position = locateOwner(graph, sources, steps);
      return {
        name: path.slice(-2).join('').replace(/^\./, '') || className(heap, node),
        type: nodeText(heap, node),
        path,
        location: position === null ? null : toLocation(position, sources),
        objects: entryCount(first.current, node),
        retainedBytes: retainedSize[node]!,
        share: total === 0 ? 0 : Math.min(1, retainedSize[node]! / total),
      };
    });
}

/** The largest child of a Map, Set or array is its own backing store. */
const hasBackingStore = ({ heap }: Graph, node: number): boolean =>
  /^(Map|Set|Array)$/.test(nodeText(heap, node));
