import type { Suspect, SuspectType } from '../types.ts';
import { foldLike } from './fold.ts';
import type { Group } from './fold.ts';
import type { Graph } from './graph.ts';
import { entriesOf, findChains, findGrown } from './growth.ts';
import type { Chain, Grown, Pairing } from './growth.ts';
import { NODE, NONE } from './heap.ts';
import type { Heap } from './heap.ts';
import { entriesPerEdge, isChain, listenersOf, typeOf } from './kinds.ts';
import { locate } from './locate.ts';
import { className } from './path.ts';
import { toLocation } from './sources.ts';
import type { Sources } from './sources.ts';
import { functionIn, isContext } from './variable.ts';

const LEAST_GAINED = 50;
const MOST_SUSPECTS = 20;
const MOST_SAMPLE = 300;

export function findSuspects(graph: Graph, pairing: Pairing, sources: Sources): Suspect[] {
  const { heap, dominators } = graph;
  const entries = findGrown(heap, pairing);
  const holders = new Set(entries.filter(({ gained }) => gained > 0).map(({ node }) => node));
  const grown = entries.filter((each) => each.how !== 'fresh' || !isCovered(graph, pairing, holders, each));
  const chains = findChains(
    heap,
    pairing,
    dominators,
    grown.filter(({ gained }) => gained > 0),
  ).map((chain) => anchored(graph, chain));
  return foldLike(graph, [...grown, ...chains])
    .filter((group) => group.gained >= LEAST_GAINED && (group.how !== 'chain' || isChain(heap, group)))
    .map((group) => describe(graph, pairing, sources, group))
    .sort((a, b) => b.retainedBytes - a.retainedBytes)
    .slice(0, MOST_SUSPECTS)
    .map((suspect, at) => ({ ...suspect, rank: at + 1 }));
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
  { reach }: Graph,
  { before }: Pairing,
  holders: ReadonlySet<number>,
  { node }: Grown,
): boolean {
  for (let at = reach.parent[node]!; at !== 0 && at !== NONE; at = reach.parent[at]!) {
    if (holders.has(at)) return true;
    if (before[at] !== 0) return false;
  }
  return false;
}

function describe(graph: Graph, pairing: Pairing, sources: Sources, group: Group): Suspect {
  const { heap } = graph;
  const sample = sampleOf(heap, group);
  const type = typeOf(heap, group, sample);
  const place = locate(graph, pairing.before, sources, { group, type, sample });
  const objects = Math.round(group.gained * entriesPerEdge(heap, type, group.members[0]!.node));
  const bytes = bytesOf(graph, pairing, group);
  return {
    rank: 0,
    name: nameOf(heap, group, type),
    type,
    path: group.path,
    location: place === null ? null : toLocation(place, sources),
    objects,
    retainedBytes: bytes,
    growth: { objects, bytes },
    confidence: 0.8,
    containers: group.members.length,
    entries: commonest(sample.map((node) => className(heap, node))),
    example: [],
    otherRetainers: [],
    notes: [],
    known: null,
  };
}

function sampleOf(heap: Heap, { how, members }: Group): number[] {
  const sample: number[] = [];
  for (const member of members) {
    if (sample.length >= MOST_SAMPLE) break;
    if (how === 'chain') sample.push(...(member as Chain).sample);
    else {
      let left = Math.min(member.gained, MOST_SAMPLE);
      for (const entry of entriesOf(heap, member.node)) {
        if (left-- <= 0) break;
        sample.push(entry);
      }
    }
  }
  return sample;
}

function bytesOf({ heap, dominators }: Graph, { before }: Pairing, group: Group): number {
  if (group.how === 'chain') return group.gainedBytes;
  const counted = new Set<number>();
  let bytes = Math.max(0, group.gainedBytes);
  for (const { node } of group.members) {
    for (const entry of entriesOf(heap, node)) {
      if (before[entry] !== 0 || counted.has(entry)) continue;
      counted.add(entry);
      bytes += dominators.retained[entry]!;
    }
  }
  return bytes;
}

function nameOf(heap: Heap, group: Group, type: SuspectType): string {
  const listeners = listenersOf(heap, group);
  if (listeners !== null) return `listeners of '${listeners.event}' on ${listeners.emitter}`;
  const path = group.path.slice(-3).join('').replace(/^\./, '');
  return type === 'Promises' ? `promises below ${path}` : path;
}

function commonest(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'numbers';
}
