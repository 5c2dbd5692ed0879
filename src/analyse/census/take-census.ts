/** `takeContainerCensus`: the containers of one heap by place. */
import type {
  CensusType,
  ContainerCensus,
  ContainerRow,
  SourceLocation,
  SuspectType,
} from '../../types/index.ts';
import { findAcceptedSockets } from '../compare/connections.ts';
import { entriesOf } from '../compare/containers.ts';
import { listenersOf, timerDurationMs } from '../compare/groups.ts';
import type { GrowthGroup } from '../compare/groups.ts';
import { edgeTarget, findOddballs } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { pathText, stepsTo } from '../graph/retaining-path.ts';
import { isNull } from '../verdict/object-state.ts';
import { findCreator } from '../locate/creator.ts';
import type { CreatorSearch } from '../locate/creator.ts';
import { findOwner, locate } from '../locate/locate.ts';
import { toLocation } from '../locate/sources.ts';
import type { Sources } from '../locate/sources.ts';
import { buildCensusGraph } from './census-graph.ts';
import type { CensusGraph } from './census-graph.ts';
import { connectionsOf } from './closed-connections.ts';
import { countContainers, countHandles } from './count-containers.ts';
import { expectedGrowth, findRemoval } from './expected-growth.ts';
import { Places } from './places.ts';
import type { Place } from './places.ts';

/** Fewer entries at one place never justify an alert (docs/detection.md). */
const MIN_ENTRIES = 10;
/** Chosen so that a census stays below 1 MB: a row has 200 to 300 bytes. */
const MAX_ROWS = 3000;
/** Chosen: a place that gained fewer entries since the earlier census is not described. */
const MIN_GAINED = 10;
/** Chosen: describing a place reads source files, 1 to 3 ms each. */
const MAX_DESCRIBED = 150;
const MAX_SAMPLE = 24;
const MAX_MEMBERS = 8;

export interface EarlierRow {
  readonly key: string;
  readonly entries: number;
}

interface PlaceCount {
  readonly place: Place;
  readonly type: CensusType;
  entries: number;
  containers: number;
  bytes: number;
  /** The largest containers, with their entries. */
  largest: { node: number; entries: number }[];
  /** For handles and lists: the objects themselves. */
  sample: readonly number[] | null;
}

/** `earlier`: the rows of the census before. Only what grew since then is located and sampled. Null for the first census. */
export function takeContainerCensus(
  heap: Heap,
  sources: Sources,
  earlier: readonly EarlierRow[] | null,
): ContainerCensus {
  const census = buildCensusGraph(heap);
  const counts = [...countByPlace(census).entries()]
    .filter(([, { entries }]) => entries >= MIN_ENTRIES)
    .sort(([, a], [, b]) => b.entries - a.entries);
  const kept = counts.slice(0, MAX_ROWS);
  const before = new Map((earlier ?? []).map(({ key, entries }) => [key, entries]));
  const gained = ([key, { entries }]: (typeof kept)[number]): number => entries - (before.get(key) ?? 0);
  const grown = earlier === null ? [] : kept.filter((each) => gained(each) >= MIN_GAINED);
  const described = new Set(grown.sort((a, b) => gained(b) - gained(a)).slice(0, MAX_DESCRIBED));
  const accepted = findAcceptedSockets(heap);
  const closed = accepted.isClosed.reduce((sum, each) => sum + each, 0);
  const describe = describer(census, sources);
  return {
    schema: 'wsguard.census/1',
    nodes: heap.nodeCount,
    bytes: heap.selfBytes,
    connections: { open: accepted.nodes.length - closed, closed },
    minEntries: counts.length > kept.length ? kept.at(-1)![1].entries : MIN_ENTRIES,
    rows: kept.map((each) => (described.has(each) ? describe(each[0], each[1]) : plainRow(each[0], each[1]))),
  };
}

function countByPlace({ graph, chains, reachedBytes }: CensusGraph): Map<string, PlaceCount> {
  const { heap } = graph;
  const places = new Places(graph);
  const counts = new PlaceCounts(reachedBytes);
  for (const each of countContainers(heap)) {
    const durationMs = each.type === 'Timers' ? (timerDurationMs(graph, each.node) ?? 0) : null;
    const place = places.of(each.node);
    counts.add(place, durationMs === null ? each.type : `timers of ${durationMs} ms`, each);
  }
  for (const { head, length } of chains)
    counts.add(places.of(head), 'List', { node: head, type: 'List', entries: length });
  for (const [name, nodes] of countHandles(heap)) {
    const place: Place = { key: `handles ${name}`, owner: 'node' };
    const each = { node: nodes[0]!, type: 'Handles' as const, entries: nodes.length };
    counts.add(place, 'Handles', each, nodes.slice(-MAX_SAMPLE));
  }
  return counts.byKey();
}

interface Counted {
  readonly node: number;
  readonly type: CensusType;
  readonly entries: number;
}

/** Sums by place first: places are shared objects, and building a key for each container takes longer than counting it. */
class PlaceCounts {
  readonly #reachedBytes: Float64Array;
  readonly #counts = new Map<Place, Map<string, PlaceCount>>();

  constructor(reachedBytes: Float64Array) {
    this.#reachedBytes = reachedBytes;
  }

  /** `group`: the type, or the timers of one duration. */
  add(place: Place, group: string, each: Counted, sample: readonly number[] | null = null): void {
    if (place.owner === 'agent') return;
    let groups = this.#counts.get(place);
    if (groups === undefined) this.#counts.set(place, (groups = new Map()));
    let count = groups.get(group);
    if (count === undefined) {
      count = { place, type: each.type, entries: 0, containers: 0, bytes: 0, largest: [], sample };
      groups.set(group, count);
    }
    count.entries += each.entries;
    count.containers += 1;
    count.bytes += this.#reachedBytes[each.node]!;
    count.largest = insertLargest(count.largest, each);
  }

  byKey(): Map<string, PlaceCount> {
    const byKey = new Map<string, PlaceCount>();
    for (const [place, groups] of this.#counts)
      for (const [group, count] of groups) {
        const key = keyOf(place, group, count.type);
        const same = byKey.get(key);
        byKey.set(key, same === undefined ? count : merge(same, count));
      }
    return byKey;
  }
}

const keyOf = ({ key }: Place, group: string, type: CensusType): string =>
  type === 'Timers' ? group : type === 'Handles' ? key : `${key} ${group}`;

function merge(a: PlaceCount, b: PlaceCount): PlaceCount {
  return {
    ...a,
    entries: a.entries + b.entries,
    containers: a.containers + b.containers,
    bytes: a.bytes + b.bytes,
    largest: b.largest.reduce(insertLargest, a.largest),
  };
}

function insertLargest(
  largest: PlaceCount['largest'],
  { node, entries }: { node: number; entries: number },
): PlaceCount['largest'] {
  if (largest.length === MAX_MEMBERS && entries <= largest.at(-1)!.entries) return largest;
  return [...largest, { node, entries }].sort((a, b) => b.entries - a.entries).slice(0, MAX_MEMBERS);
}

const plainRow = (
  key: string,
  { place, type, containers, entries, largest, bytes }: PlaceCount,
): ContainerRow => ({
  key,
  type,
  owner: place.owner === 'agent' ? 'node' : place.owner,
  name: '',
  path: [],
  containers,
  entries,
  largest: largest[0]?.entries ?? 0,
  bytes: Math.round(bytes),
  sampled: 0,
  closed: 0,
  open: 0,
  location: null,
  expected: null,
  removedAfterMs: null,
  removal: null,
});

function describer(
  { graph }: CensusGraph,
  sources: Sources,
): (key: string, count: PlaceCount) => ContainerRow {
  const { heap } = graph;
  const context = { heap, oddballs: findOddballs(heap) };
  return (key, count) => {
    const { node } = count.largest[0]!;
    const steps = stepsTo(heap, graph.paths, node);
    const path = pathText(graph, steps);
    const members = count.largest.map(({ node: each, entries }) => ({
      node: each,
      how: 'entries' as const,
      gained: entries,
      gainedBytes: 0,
    }));
    const group: GrowthGroup = {
      key,
      how: 'entries',
      members,
      steps,
      path,
      gained: count.entries,
      gainedBytes: 0,
    };
    const listeners = count.type === 'Array' || count.type === 'Object' ? listenersOf(heap, group) : null;
    const type: CensusType = listeners === null ? count.type : 'Listeners';
    const sample = count.sample ?? sampleOf(heap, count);
    const location =
      count.type === 'Weak' ? null : locationOf(graph, sources, { group, type: type as SuspectType, sample });
    const owner = findOwner(graph, steps);
    return {
      ...plainRow(key, count),
      type,
      name:
        listeners === null
          ? nameOf(type, key, path)
          : `listeners of ${listeners.event === null ? 'an event' : `'${listeners.event}'`} on ${listeners.emitter}`,
      path,
      ...connectionsOf(context, sample),
      location,
      expected: expectedGrowth({ graph, steps, owner, sources, type, path }),
      removedAfterMs: type === 'Timers' ? oneShotDelayMs(graph, node, sample) : null,
      removal: findRemoval(sources, owner),
    };
  };
}

/** Nearly all timers of the list run once. */
const MIN_ONE_SHOT_SHARE = 0.9;

function oneShotDelayMs(graph: CensusGraph['graph'], list: number, timers: readonly number[]): number | null {
  const { heap } = graph;
  const oneShot = timers.filter((timer) => {
    const repeat = edgeTarget(heap, timer, '_repeat');
    return repeat >= 0 && isNull(heap, repeat);
  });
  return oneShot.length < timers.length * MIN_ONE_SHOT_SHARE ? null : timerDurationMs(graph, list);
}

const nameOf = (type: CensusType, key: string, path: readonly string[]): string =>
  type === 'Timers' ? key : type === 'Handles' ? `open ${key}` : path.slice(-3).join('').replace(/^\./, '');

/** Spread over the largest containers, because neighbours have the same age. */
function sampleOf(heap: Heap, { largest, type }: PlaceCount): number[] {
  if (type === 'List') return chainSample(heap, largest[0]!.node);
  const perContainer = Math.max(2, Math.floor(MAX_SAMPLE / largest.length));
  return largest.flatMap(({ node }) => {
    const entries = [...entriesOf(heap, node)].filter(
      (entry) => heap.nodeType[entry] === 3 || heap.nodeType[entry] === 5,
    );
    const step = Math.max(1, entries.length / perContainer);
    return Array.from(
      { length: Math.min(entries.length, perContainer) },
      (_, index) => entries[Math.floor(index * step)]!,
    );
  });
}

function chainSample(heap: Heap, head: number): number[] {
  const links = [head];
  for (const link of links) {
    if (links.length === MAX_SAMPLE) break;
    for (let edge = heap.firstEdge[link]!; edge < heap.firstEdge[link + 1]!; edge += 1) {
      const to = heap.edgeTo[edge]!;
      if (
        heap.nodeName[to] !== heap.nodeName[head] ||
        heap.nodeType[to] !== heap.nodeType[head] ||
        links.includes(to)
      )
        continue;
      links.push(to);
      break;
    }
  }
  return links;
}

/** From a handle through Node's streams and HTTP client to the function that waits for it. */
const HANDLE_USER: CreatorSearch = {
  depth: 16,
  maxNodes: 6000,
  packagePenalty: 8,
  functionsOnly: true,
  skipAgent: true,
};

function locationOf(
  graph: CensusGraph['graph'],
  sources: Sources,
  request: { group: GrowthGroup; type: SuspectType; sample: readonly number[] },
): SourceLocation | null {
  const handleUser =
    request.type === 'Handles' ? findCreator(graph, null, request.sample, HANDLE_USER) : null;
  const { position, creator } = locate(graph, null, sources, request);
  const best = handleUser ?? position ?? creator;
  const isForeign = best === null || graph.scripts.isAgentFile(best.file);
  return isForeign ? null : toLocation(best, sources);
}
