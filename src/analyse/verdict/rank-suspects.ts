/**
 * Ranks suspects: causes before consequences, then by bytes. A set that holds every connection is the cause of the queues
 * inside the connections, although the queues have more bytes.
 */
import type { Suspect } from '../../types/index.ts';
import { entriesOf } from '../compare/containers.ts';
import type { GrowthGroup } from '../compare/groups.ts';
import type { Graph } from '../graph/graph.ts';
import { NONE } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isPackageFile } from '../graph/scripts.ts';
import { isPart, spread } from '../locate/creator.ts';

export interface GroupedSuspect {
  readonly group: GrowthGroup;
  readonly suspect: Suspect;
}

/** A leak shows in a sample of its entries. */
const MAX_ENTRIES = 1000;
/** From a listener to its context, or from a connection to the sockets and sessions of its own. */
const MAX_DEPTH = 2;
const MAX_NODES = 40;
/** An object that more entries lead to is shared by them, and no part of one entry. */
const MAX_SHARING_ENTRIES = 3;
const MAX_CONTAINERS = 200;
const MAX_CLIMBED = 60;
/** One connection more, or a table that is larger by one step, is no difference. */
const SAME_BYTES_SHARE = 0.9;
/** Share of the containers of a consequence that lie in the entries of its cause. */
const MIN_INSIDE_SHARE = 0.5;
/** One or two may be found by chance. */
const MIN_INSIDE = 3;

export function rankSuspects(graph: Graph, suspects: readonly GroupedSuspect[]): GroupedSuspect[] {
  const groups = suspects.map(({ group }) => group);
  const consequences = findConsequences(graph, groups);
  const isConsequence = ({ group }: GroupedSuspect): number => Number(consequences.has(group));
  const sorted = suspects.toSorted(
    (a, b) =>
      isConsequence(a) - isConsequence(b) ||
      b.suspect.retainedBytes - a.suspect.retainedBytes ||
      locationRank(a.suspect) - locationRank(b.suspect),
  );
  const [first] = sorted;
  if (first === undefined) return sorted;
  // Two containers of the same objects have nearly the same bytes. The application's code comes first: its author can change it.
  const minBytes = SAME_BYTES_SHARE * first.suspect.retainedBytes;
  const leading = sorted
    .filter((one) => isConsequence(one) === isConsequence(first) && one.suspect.retainedBytes >= minBytes)
    .reduce((best, one) => (locationRank(one.suspect) < locationRank(best.suspect) ? one : best));
  return [leading, ...sorted.filter((one) => one !== leading)];
}

/** The list of a library is filled through its own code, whatever line of the application calls it. */
function locationRank({ location, through }: Suspect): number {
  if (location === null) return 2;
  return Number(isPackageFile(location.file) || through !== undefined);
}

/** Groups whose containers lie in the entries of a smaller group: one container, or a few, for each entry. */
function findConsequences(graph: Graph, groups: readonly GrowthGroup[]): ReadonlySet<GrowthGroup> {
  const consequences = new Set<GrowthGroup>();
  for (const cause of groups) {
    const larger = groups.filter(({ members }) => members.length > cause.members.length);
    if (cause.how === 'chain' || larger.length === 0) continue;
    const { parts, sampleShare } = partsOfEntries(graph.heap, cause);
    for (const group of larger) {
      const members = spread(
        group.members.map(({ node }) => node),
        MAX_CONTAINERS,
      );
      const inside = members.filter((node) => isInside(graph, node, parts)).length;
      if (inside >= Math.max(MIN_INSIDE, members.length * sampleShare * MIN_INSIDE_SHARE))
        consequences.add(group);
    }
  }
  return consequences;
}

/** Whether a part of an entry dominates the container: it is freed with the entry. */
function isInside({ dominators }: Graph, container: number, parts: ReadonlySet<number>): boolean {
  let node = container;
  for (let level = 0; level < MAX_CLIMBED && node !== 0 && node !== NONE; level += 1) {
    if (parts.has(node)) return true;
    node = dominators.parent[node]!;
  }
  return false;
}

/** The entries, and the objects near them that few of them lead to. */
function partsOfEntries(
  heap: Heap,
  { members }: GrowthGroup,
): { parts: ReadonlySet<number>; sampleShare: number } {
  const containers = new Set(members.map(({ node }) => node));
  const all = new Set(members.flatMap(({ node }) => [...entriesOf(heap, node)]));
  const entries = spread([...all], MAX_ENTRIES);
  const sharing = new Map<number, number>();
  for (const entry of entries) {
    for (const node of nodesBelow(heap, entry, containers)) sharing.set(node, (sharing.get(node) ?? 0) + 1);
  }
  const parts = [...sharing].filter(([, count]) => count <= MAX_SHARING_ENTRIES).map(([node]) => node);
  return { parts: new Set(parts), sampleShare: entries.length / Math.max(1, all.size) };
}

/** Breadth-first, the entry included, but not through the containers that hold the entries. */
function nodesBelow(heap: Heap, entry: number, containers: ReadonlySet<number>): ReadonlySet<number> {
  const visited = new Set([entry]);
  let level = [entry];
  for (let depth = 0; depth < MAX_DEPTH && level.length > 0; depth += 1) {
    const next: number[] = [];
    for (const node of level) {
      for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge += 1) {
        if (visited.size >= MAX_NODES) return visited;
        const to = heap.edgeTo[edge]!;
        if (visited.has(to) || containers.has(to) || !isPart(heap, node, edge)) continue;
        visited.add(to);
        next.push(to);
      }
    }
    level = next;
  }
  return visited;
}
