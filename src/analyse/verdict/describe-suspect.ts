/** Describes a group of grown containers as a `Suspect`: name, path, location, size, confidence, evidence. */
import type { Suspect, SuspectType } from '../../types/index.ts';
import type { Censuses } from '../compare/census.ts';
import type { Chain } from '../compare/chains.ts';
import { entriesOf } from '../compare/containers.ts';
import type { SnapshotMatch } from '../compare/growth.ts';
import { entriesPerReference, listenersOf, timerDurationMs, typeOf } from '../compare/groups.ts';
import type { GrowthGroup } from '../compare/groups.ts';
import type { IncomingEdges } from '../graph/dominators.ts';
import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, className, edgeTarget, edgeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { pathFields, pathText, stepsTo } from '../graph/retaining-path.ts';
import { isPackageFile } from '../graph/scripts.ts';
import { unwrapFunction } from '../locate/creator.ts';
import { locate } from '../locate/locate.ts';
import type { SuspectPositions } from '../locate/locate.ts';
import { toLocation } from '../locate/sources.ts';
import type { Sources } from '../locate/sources.ts';
import { findKnownLeak } from './known-leaks.ts';
import type { Packages } from './known-leaks.ts';
import { countSockets } from './object-state.ts';

/** The inputs of all verdicts about one set of snapshots. */
export interface Comparison {
  readonly graph: Graph;
  /** Compared with the first snapshot. */
  readonly first: SnapshotMatch;
  /** Compared with the middle one of three snapshots. */
  readonly middle: SnapshotMatch | null;
  /** Null with a single snapshot. */
  readonly censuses: Censuses | null;
  readonly sources: Sources;
  readonly packages: Packages;
}

/** More clients are not a leak, and connections whose peer vanished are one. A snapshot cannot tell them apart. */
const STILL_OPEN =
  'their sockets are open: either more clients are connected than in the first snapshot, or some connections are unresponsive';
const MIN_OPEN_SHARE = 0.9;
const MAX_SAMPLE = 300;

export function describeSuspect(
  comparison: Comparison,
  group: GrowthGroup,
  grownContainers: ReadonlySet<number>,
): Suspect {
  const { graph, first, sources, packages } = comparison;
  const { heap } = graph;
  const sample = sampleEntries(heap, group);
  const type = typeOf(heap, group, sample);
  const located = locate(graph, first.earlierNode, sources, { group, type, sample });
  const known = findKnownLeak(pathFields(heap, group.steps), packages);
  const { position, creator, through } = known === null ? located : inPackage(located);
  const objects = countObjects(heap, group, type);
  const bytes = countBytes(graph, first, group);
  const withSockets = type === 'Promises' || type === 'Strings' ? [] : objectsIn(heap, sample);
  const { closed, open } = countSockets(heap, withSockets);
  const containers = new Set(group.members.map(({ node }) => node));
  const areOpen = comparison.censuses !== null && open > 0 && open >= withSockets.length * MIN_OPEN_SHARE;
  return {
    rank: 0,
    name: nameOf(heap, group, type),
    type,
    path: fullPath(graph, group, type, sample),
    location: position === null ? null : toLocation(position, sources),
    objects,
    retainedBytes: bytes,
    growth: { objects, bytes },
    confidence: confidenceOf(comparison, group, { objects, closed, hasPosition: position !== null }),
    containers: group.members.length,
    entries: entriesName(heap, type, sample),
    example: type === 'Promises' ? [] : exampleFields(heap, sample),
    otherRetainers:
      group.how === 'chain' || grownContainers.size === 0
        ? []
        : findOtherRetainers(graph, first.earlierNode, { containers, grownContainers }, sample),
    notes: [
      ...notesOf(sample, { closed, objects: withSockets.length }, type),
      ...(areOpen ? [STILL_OPEN] : []),
    ],
    ...(through === null ? {} : { through: toLocation(through, sources) }),
    ...(creator === null ? {} : { maker: toLocation(creator, sources) }),
    known,
    steps: [],
    shared: [],
  };
}

/** A known leak is fixed in the package, so the package's line comes first. */
const inPackage = ({ position, creator, through }: SuspectPositions): SuspectPositions =>
  through === null || position === null || isPackageFile(position.file)
    ? { position, creator, through }
    : { position: through, creator: position, through: null };

/** The sample of a Map contains its keys too. Strings and numbers cannot refer to a socket. */
const objectsIn = (heap: Heap, sample: readonly number[]): number[] =>
  sample.filter((node) => heap.nodeType[node] === NODE.object || heap.nodeType[node] === NODE.closure);

function countObjects(heap: Heap, group: GrowthGroup, type: SuspectType): number {
  if (group.how === 'chain') return group.members.reduce((sum, each) => sum + (each as Chain).links, 0);
  return Math.round(group.gained * entriesPerReference(heap, type, group.members[0]!.node));
}

/** The last entries of each container, as many as it gained. */
export function sampleEntries(heap: Heap, { how, members }: GrowthGroup): number[] {
  const sample: number[] = [];
  for (const member of members) {
    if (sample.length >= MAX_SAMPLE) break;
    if (how === 'chain') sample.push(...(member as Chain).sample);
    let left = how === 'chain' ? 0 : Math.min(member.gained, MAX_SAMPLE);
    for (const entry of left > 0 ? entriesOf(heap, member.node) : []) {
      sample.push(entry);
      if (--left === 0) break;
    }
  }
  return sample;
}

function countBytes({ heap, dominators }: Graph, { earlierNode }: SnapshotMatch, group: GrowthGroup): number {
  if (group.how === 'chain') return group.gainedBytes;
  const counted = new Set<number>();
  let bytes = Math.max(0, group.gainedBytes);
  for (const { node } of group.members) {
    for (const entry of entriesOf(heap, node)) {
      if (earlierNode[entry] !== 0 || counted.has(entry)) continue;
      counted.add(entry);
      bytes += dominators.retainedSize[entry]!;
    }
  }
  return bytes;
}

function nameOf(heap: Heap, group: GrowthGroup, type: SuspectType): string {
  const listeners = listenersOf(heap, group);
  if (listeners !== null) {
    const event = listeners.event === null ? 'an event' : `'${listeners.event}'`;
    return `listeners of ${event} on ${listeners.emitter}`;
  }
  if (type === 'Timers') return 'active timers';
  const path = group.path.slice(-3).join('').replace(/^\./, '');
  return type === 'Promises' ? `promises below ${path}` : path;
}

function fullPath(
  graph: Graph,
  group: GrowthGroup,
  type: SuspectType,
  sample: readonly number[],
): readonly string[] {
  const { heap } = graph;
  if (type === 'Timers') {
    const durationMs = timerDurationMs(graph, group.members[0]!.node);
    return durationMs === null ? ['timers'] : ['timers', `[${durationMs}]`];
  }
  const isMany = group.members.length > 1;
  const path = isMany ? group.path.map((part) => part.replace(/^\[\d+\]$/, '[…]')) : group.path;
  if (group.how === 'chain' && type === 'Listeners') return path.filter((part) => part !== '.next');
  if ((type !== 'Array' && type !== 'Listeners') || sample.length === 0) return path;
  let elements = 0;
  for (const _ of entriesOf(heap, group.members[0]!.node)) elements += 1;
  return [...path, `[${Math.max(0, elements - 1)}]`];
}

/** The most frequent class or function among the entries. The keys of a Map do not count if they are strings. */
function entriesName(heap: Heap, type: SuspectType, sample: readonly number[]): string {
  if (type === 'Timers') return 'Timeout';
  const counts = new Map<string, number>();
  for (const node of sample) {
    const name =
      heap.nodeType[node] === NODE.closure
        ? `function ${className(heap, unwrapFunction(heap, node))}`
        : className(heap, node);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const named = [...counts].filter(([name]) => type !== 'Map' || name !== 'string');
  const [first] = named.sort((a, b) => b[1] - a[1]);
  return (first?.[0] ?? counts.keys().next().value ?? 'numbers').replace('function function', 'function');
}

function notesOf(
  sample: readonly number[],
  { closed, objects }: { closed: number; objects: number },
  type: SuspectType,
): string[] {
  const notes: string[] = [];
  if (closed > 0) notes.push(`${closed} of ${objects} sampled entries refer to a closed socket`);
  if (type === 'Listeners' && sample.length > 1 && new Set(sample).size <= sample.length / 10) {
    notes.push('the same function was added repeatedly');
  }
  return notes;
}

const MANY_OBJECTS = 200;
const MAX_CONFIDENCE = 0.97;

/** A rule of thumb, not a probability. */
function confidenceOf(
  { first, middle }: Comparison,
  group: GrowthGroup,
  { objects, closed, hasPosition }: { objects: number; closed: number; hasPosition: boolean },
): number {
  let confidence = 0.6;
  if (objects >= MANY_OBJECTS) confidence += 0.1;
  if (closed > 0) confidence += 0.15;
  if (hasPosition) confidence += 0.1;
  if (middle !== null) confidence += 0.1;
  if (!first.isExact) confidence -= 0.05;
  if (group.how === 'new') confidence -= 0.2;
  return Math.round(Math.min(confidence, MAX_CONFIDENCE) * 100) / 100;
}

const MAX_EXAMPLE_FIELDS = 8;

/** Names and classes of the fields of one entry, or of the variables of a function; never values. */
function exampleFields(heap: Heap, sample: readonly number[]): { name: string; is: string }[] {
  const entry = sample.find(
    (node) => heap.nodeType[node] === NODE.object || heap.nodeType[node] === NODE.closure,
  );
  if (entry === undefined) return [];
  const isClosure = heap.nodeType[entry] === NODE.closure;
  const from = isClosure ? edgeTarget(heap, entry, 'context') : entry;
  if (from < 0) return [];
  const fields: { name: string; is: string }[] = [];
  for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge += 1) {
    const edgeType = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    const name = edgeText(heap, edge);
    if (edgeType !== (isClosure ? EDGE.context : EDGE.property) || name === '__proto__') continue;
    fields.push({ name, is: className(heap, heap.edgeTo[edge]!) });
    if (fields.length === MAX_EXAMPLE_FIELDS) break;
  }
  return fields;
}

const MAX_OTHER_RETAINERS = 3;
const MAX_ENTRIES = 60;
const MAX_INCOMING = 50;
const MAX_CLIMBED = 150;
/** A container that retains a smaller share of the sampled entries does so by chance. */
const MIN_ENTRY_SHARE = 0.3;

interface Containers {
  /** The suspect's own containers. */
  readonly containers: ReadonlySet<number>;
  readonly grownContainers: ReadonlySet<number>;
}

/** Paths of other grown containers that retain the same entries, or what the entries refer to. */
function findOtherRetainers(
  graph: Graph,
  earlierNode: SnapshotMatch['earlierNode'],
  containers: Containers,
  sample: readonly number[],
): string[] {
  const counts = new Map<string, number>();
  const entries = [...new Set(sample)].filter((node) => earlierNode[node] === 0).slice(0, MAX_ENTRIES);
  for (const entry of entries) {
    const paths = new Set<string>();
    for (const node of grownRetainers(graph, earlierNode, containers, entry)) {
      const path = pathText(graph, stepsTo(graph.heap, graph.paths, node))
        .join('')
        .replace(/\[\d+\]/g, '[…]');
      if (path !== '' && !path.includes('system / ')) paths.add(path);
    }
    for (const path of paths) counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count >= entries.length * MIN_ENTRY_SHARE)
    .sort((a, b) => b[1] - a[1])
    .slice(0, MAX_OTHER_RETAINERS)
    .map(([path]) => path);
}

/** Climbs from an entry, and from what it refers to, through new objects to grown containers. */
function grownRetainers(
  { heap, incoming }: Graph,
  earlierNode: SnapshotMatch['earlierNode'],
  { containers, grownContainers }: Containers,
  entry: number,
): number[] {
  const retainers: number[] = [];
  const visited = new Set([entry, ...newTargets(heap, earlierNode, entry)]);
  for (const node of visited) {
    const end = Math.min(incoming.start[node + 1]!, incoming.start[node]! + MAX_INCOMING);
    for (let i = incoming.start[node]!; i < end && visited.size < MAX_CLIMBED; i += 1) {
      const from = incoming.from[i]!;
      const retainer = heap.nodeType[from] === NODE.array ? storeOwner(incoming, from) : from;
      if (containers.has(retainer) || visited.has(from) || heap.nodeType[from] === NODE.synthetic) continue;
      if (grownContainers.has(retainer)) retainers.push(retainer);
      else if (earlierNode[from] === 0) visited.add(from);
    }
  }
  return retainers;
}

const MAX_TARGETS = 8;

function newTargets(heap: Heap, earlierNode: SnapshotMatch['earlierNode'], entry: number): number[] {
  const targets: number[] = [];
  for (let edge = heap.firstEdge[entry]!; edge < heap.firstEdge[entry + 1]!; edge += 1) {
    const to = heap.edgeTo[edge]!;
    if (targets.length === MAX_TARGETS) break;
    if (earlierNode[to] === 0 && heap.nodeType[to] === NODE.object) targets.push(to);
  }
  return targets;
}

/** The object that has this table or element store. */
const storeOwner = ({ start, from }: IncomingEdges, store: number): number =>
  start[store]! < start[store + 1]! ? from[start[store]!]! : 0;
