import type { Suspect, SuspectType } from '../../types/index.ts';
import { unwrap } from '../locate/creators.ts';
import type { Censuses } from '../compare/census.ts';
import { exampleOf, otherRetainers, socketsIn } from './details.ts';
import type { Group } from '../compare/fold.ts';
import type { Graph } from '../graph/graph.ts';
import { entriesOf } from '../compare/growth.ts';
import type { Chain, Pairing } from '../compare/growth.ts';
import { NODE } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { durationMs, entriesPerEdge, listenersOf, typeOf } from '../compare/kinds.ts';
import { knownLeak } from './known.ts';
import type { Packages } from './known.ts';
import { locate } from '../locate/locate.ts';
import { className, placeKeys } from '../locate/path.ts';
import { toLocation } from '../locate/sources.ts';
import type { Sources } from '../locate/sources.ts';

/** All that speaks about one comparison. */
export interface Comparison {
  readonly graph: Graph;
  /** Against the first snapshot, and against the one in the middle when there are three. */
  readonly first: Pairing;
  readonly middle: Pairing | null;
  /** How many there are and were of each class; null with a single snapshot. */
  readonly censuses: Censuses | null;
  readonly sources: Sources;
  readonly packages: Packages;
}

/** So many clients more are no leak, and so many that vanished without a word are one: only the server knows. */
const STILL_OPEN =
  'their sockets are open: that many more clients than in the first snapshot, or some that do not answer any more';
const ALL_OPEN_SHARE = 0.9;
const MOST_SAMPLE = 300;
const SURE_OBJECTS = 200;
const MOST_CONFIDENCE = 0.97;

export function describe(comparison: Comparison, group: Group, grown: ReadonlySet<number>): Suspect {
  const { graph, first, sources, packages } = comparison;
  const { heap } = graph;
  const sample = sampleOf(heap, group);
  const type = typeOf(heap, group, sample);
  const { place, maker } = locate(graph, first.before, sources, { group, type, sample });
  const objects = objectsOf(heap, group, type);
  const bytes = bytesOf(graph, first, group);
  const { closed, open } =
    type === 'Promises' || type === 'Strings' ? { closed: 0, open: 0 } : socketsIn(heap, sample);
  const own = new Set(group.members.map(({ node }) => node));
  return {
    rank: 0,
    name: nameOf(heap, group, type),
    type,
    path: wholePath(graph, group, type, sample),
    location: place === null ? null : toLocation(place, sources),
    objects,
    retainedBytes: bytes,
    growth: { objects, bytes },
    confidence: confidence(comparison, group, { objects, closed, hasPlace: place !== null }),
    containers: group.members.length,
    entries: entriesName(heap, type, sample),
    example: type === 'Promises' ? [] : exampleOf(heap, sample),
    otherRetainers:
      group.how === 'chain' || grown.size === 0
        ? []
        : otherRetainers(graph, first.before, { own, grown }, sample),
    notes: [
      ...notesOf(sample.length, closed, new Set(sample).size, type),
      ...(comparison.censuses === null || open < sample.length * ALL_OPEN_SHARE ? [] : [STILL_OPEN]),
    ],
    ...(maker === null ? {} : { maker: toLocation(maker, sources) }),
    known: knownLeak(placeKeys(heap, group.steps), packages),
    steps: [],
    shared: [],
  };
}

function objectsOf(heap: Heap, group: Group, type: SuspectType): number {
  if (group.how === 'chain') return group.members.reduce((sum, each) => sum + (each as Chain).links, 0);
  return Math.round(group.gained * entriesPerEdge(heap, type, group.members[0]!.node));
}

/** The newest entries of each container, as many as it gained. */
export function sampleOf(heap: Heap, { how, members }: Group): number[] {
  const sample: number[] = [];
  for (const member of members) {
    if (sample.length >= MOST_SAMPLE) break;
    if (how === 'chain') sample.push(...(member as Chain).sample);
    let left = how === 'chain' ? 0 : Math.min(member.gained, MOST_SAMPLE);
    for (const entry of left > 0 ? entriesOf(heap, member.node) : []) {
      sample.push(entry);
      if (--left === 0) break;
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
  if (listeners !== null) {
    const event = listeners.event === null ? 'an event' : `'${listeners.event}'`;
    return `listeners of ${event} on ${listeners.emitter}`;
  }
  if (type === 'Timers') return 'timers that are still running';
  const path = group.path.slice(-3).join('').replace(/^\./, '');
  return type === 'Promises' ? `promises below ${path}` : path;
}

function wholePath(
  graph: Graph,
  group: Group,
  type: SuspectType,
  sample: readonly number[],
): readonly string[] {
  const { heap } = graph;
  if (type === 'Timers') {
    const ms = durationMs(graph, group.members[0]!.node);
    return ms === null ? ['timers'] : ['timers', `[${ms}]`];
  }
  const isMany = group.members.length > 1;
  const path = isMany ? group.path.map((part) => part.replace(/^\[\d+\]$/, '[…]')) : group.path;
  if (group.how === 'chain' && type === 'Listeners') return path.filter((part) => part !== '.next');
  if ((type !== 'Array' && type !== 'Listeners') || sample.length === 0) return path;
  let elements = 0;
  for (const _ of entriesOf(heap, group.members[0]!.node)) elements++;
  return [...path, `[${Math.max(0, elements - 1)}]`];
}

function entriesName(heap: Heap, type: SuspectType, sample: readonly number[]): string {
  if (type === 'Timers') return 'Timeout';
  const counts = new Map<string, number>();
  for (const node of sample) {
    const name =
      heap.nodeType[node] === NODE.closure
        ? `function ${className(heap, unwrap(heap, node))}`
        : className(heap, node);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const named = [...counts].filter(([name]) => type !== 'Map' || name !== 'string');
  const [most] = named.sort((a, b) => b[1] - a[1]);
  return (most?.[0] ?? counts.keys().next().value ?? 'numbers').replace('function function', 'function');
}

function notesOf(sampled: number, closed: number, distinct: number, type: SuspectType): string[] {
  const notes: string[] = [];
  if (closed > 0) notes.push(`${closed} of ${sampled} sampled entries hold a socket that is closed`);
  if (type === 'Listeners' && sampled > 1 && distinct <= sampled / 10) {
    notes.push('the same function was added again and again');
  }
  return notes;
}

function confidence(
  { first, middle }: Comparison,
  group: Group,
  { objects, closed, hasPlace }: { objects: number; closed: number; hasPlace: boolean },
): number {
  let sure = 0.6;
  if (objects >= SURE_OBJECTS) sure += 0.1;
  if (closed > 0) sure += 0.15;
  if (hasPlace) sure += 0.1;
  if (middle !== null) sure += 0.1;
  if (!first.isExact) sure -= 0.05;
  if (group.how === 'fresh') sure -= 0.2;
  return Math.round(Math.min(sure, MOST_CONFIDENCE) * 100) / 100;
}
