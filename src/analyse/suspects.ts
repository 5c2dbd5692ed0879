import type { Suspect, SuspectType } from '../types.ts';
import { findAddLine } from './addline.ts';
import { findCreator } from './creators.ts';
import type { Dominators } from './dominators.ts';
import type { Incoming } from './edges.ts';
import { foldLike } from './fold.ts';
import type { Group } from './fold.ts';
import { findChains, findGrown, newEntries } from './growth.ts';
import type { Grown, Pairing } from './growth.ts';
import { NONE } from './heap.ts';
import type { Heap } from './heap.ts';
import { entriesPerEdge, listenersOf, typeOf } from './kinds.ts';
import { findOwner } from './owner.ts';
import { className } from './path.ts';
import type { Reach } from './reach.ts';
import { isPackageFile } from './scripts.ts';
import type { Place, Scripts } from './scripts.ts';
import { toLocation } from './sources.ts';
import type { Sources } from './sources.ts';

/** One snapshot with everything that was worked out about it. */
export interface Graph {
  readonly heap: Heap;
  readonly incoming: Incoming;
  readonly dominators: Dominators;
  readonly reach: Reach;
  readonly scripts: Scripts;
}

const LEAST_GAINED = 50;
const MOST_SUSPECTS = 20;
const SAMPLE_ENTRIES = 200;

export function findSuspects(graph: Graph, pairing: Pairing, sources: Sources): Suspect[] {
  const { heap, reach, dominators } = graph;
  const entries = findGrown(heap, pairing);
  const holders = new Set(entries.map(({ node }) => node));
  const chains = findChains(heap, pairing, dominators).filter(({ node }) => !holders.has(node));
  const uncovered = entries.filter(
    (each) => each.how !== 'fresh' || !isCovered(graph, pairing, holders, each),
  );
  return foldLike(heap, reach, [...uncovered, ...chains])
    .filter((group) => group.gained >= LEAST_GAINED)
    .map((group) => describe(graph, pairing, sources, group))
    .sort((a, b) => b.retainedBytes - a.retainedBytes)
    .slice(0, MOST_SUSPECTS)
    .map((suspect, at) => ({ ...suspect, rank: at + 1 }));
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
  const { heap, dominators } = graph;
  const sample = group.members
    .slice(0, 50)
    .flatMap(({ node }) =>
      group.how === 'chain'
        ? newBelow(graph, pairing, node)
        : newEntries(heap, pairing.before, node, SAMPLE_ENTRIES),
    );
  const type = typeOf(heap, group, sample);
  const scale = entriesPerEdge(heap, type, group.members[0]!.node);
  const all = group.members.flatMap(({ node }) => newEntries(heap, pairing.before, node, Infinity));
  const bytes =
    group.how === 'chain'
      ? group.gainedBytes
      : group.gainedBytes + [...new Set(all)].reduce((sum, node) => sum + dominators.retained[node]!, 0);
  const place = locate(graph, pairing, sources, { group, type, sample });
  return {
    rank: 0,
    name: nameOf(heap, group, type),
    type,
    path: group.path,
    location: place === null ? null : toLocation(place, sources),
    objects: Math.round(group.gained * scale),
    retainedBytes: bytes,
    growth: { objects: Math.round(group.gained * scale), bytes },
    confidence: 0.8,
    containers: group.members.length,
    entries: commonest(sample.map((node) => className(heap, node))),
    example: [],
    otherRetainers: [],
    notes: [],
    known: null,
  };
}

function newBelow({ heap, dominators }: Graph, { before }: Pairing, owner: number): number[] {
  const found: number[] = [];
  for (const node of dominators.order) {
    if (before[node] === 0 && dominators.parent[node] === owner) found.push(node);
    if (found.length >= SAMPLE_ENTRIES) break;
  }
  return found.filter((node) => heap.nodeType[node] !== 4);
}

function locate(
  graph: Graph,
  { before }: Pairing,
  sources: Sources,
  { group, type, sample }: { group: Group; type: SuspectType; sample: readonly number[] },
): Place | null {
  const { heap, scripts, incoming } = graph;
  const creator = findCreator(heap, scripts, before, sample);
  if (type === 'Listeners' || type === 'Timers' || type === 'Promises') {
    if (creator !== null) return creator;
  }
  const owner = findOwner(heap, scripts, incoming, group.steps);
  if (owner === null) return creator;
  const text = sources.text(owner.place.file);
  for (const name of text === null ? [] : owner.names) {
    const spot = findAddLine(text!, name, owner.place);
    if (spot !== null) return { file: owner.place.file, ...spot, function: null };
  }
  const isOwnCode = creator !== null && !isPackageFile(creator.file);
  return isOwnCode && isPackageFile(owner.place.file) ? creator : owner.place;
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
