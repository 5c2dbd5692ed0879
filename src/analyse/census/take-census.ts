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
import { NODE, className, edgeTarget } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { pathText, stepsTo } from '../graph/retaining-path.ts';
import { isPackageFile, type CodePosition } from '../graph/scripts.ts';
import { isNull } from '../verdict/object-state.ts';
import { exportedNamesIn } from '../locate/exported-names.ts';
import { findCreator } from '../locate/creator.ts';
import type { CreatorSearch } from '../locate/creator.ts';
import { findOwner, locate, type LocateRequest } from '../locate/locate.ts';
import { findOpeningCall } from '../locate/opening-call.ts';
import { toLocation } from '../locate/sources.ts';
import type { Sources } from '../locate/sources.ts';
import { buildCensusGraph, isPromiseChain, isReaction } from './census-graph.ts';
import type { CensusGraph } from './census-graph.ts';
import { sampleLinks } from './chain-links.ts';
import { EntryConnections, type ConnectionsOfEntries } from './closed-connections.ts';
import { countContainers } from './count-containers.ts';
import { countHandles } from './count-handles.ts';
import { expectedGrowth, findRemoval } from './expected-growth.ts';
import { applicationOnPaths } from './path-code.ts';
import { Places } from './places.ts';
import type { Place } from './places.ts';
import { retainedConnectionsRow } from './retained-row.ts';
import { vmContextBytes } from './vm-contexts.ts';

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
  const census = buildCensusGraph(heap, exportedNamesIn(sources));
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
  const describe = describer(census, sources, new EntryConnections(census.graph, accepted));
  return {
    schema: 'wsguard.census/1',
    nodes: heap.nodeCount,
    bytes: heap.selfBytes,
    connections: { open: accepted.nodes.length - closed, closed },
    minEntries: counts.length > kept.length ? kept.at(-1)![1].entries : MIN_ENTRIES,
    rows: [
      ...kept.map((each) => (described.has(each) ? describe(each[0], each[1]) : plainRow(each[0], each[1]))),
      ...(closed < MIN_ENTRIES
        ? []
        : [retainedConnectionsRow(census.graph, accepted, earlier === null ? null : sources)]),
    ],
  };
}

/** A variable of the agent may be on the shortest path to a list that has timers of the application. */
const TIMERS: Place = { key: 'timers', owner: 'node' };

function countByPlace({ graph, chains, candidates, reachedBytes }: CensusGraph): Map<string, PlaceCount> {
  const { heap } = graph;
  const places = new Places(graph);
  const counts = new PlaceCounts(reachedBytes);
  countContainers(heap, candidates, (each) => {
    if (each.type === 'Timers')
      counts.add(TIMERS, `timers of ${timerDurationMs(graph, each.node) ?? 0} ms`, each);
    else counts.add(places.of(each.node), each.type, each);
  });
  for (const chain of chains) {
    const type = isPromiseChain(heap, chain) ? 'Promises' : 'List';
    counts.add(places.of(chain.head), type, { node: chain.head, type, entries: chain.length });
  }
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
  readonly #reachedBytes: CensusGraph['reachedBytes'];
  readonly #counts = new Map<Place, Map<string, PlaceCount>>();

  constructor(reachedBytes: CensusGraph['reachedBytes']) {
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
    count.bytes += this.#reachedBytes(each.node);
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
  entryConnections: EntryConnections,
): (key: string, count: PlaceCount) => ContainerRow {
  const { heap } = graph;
  return (key, count) => {
    const { node } = count.largest[0]!;
    const steps = stepsTo(heap, graph.paths, node);
    // Code can name a promise, but not the reactions that V8 keeps in it.
    while (count.type === 'Promises' && isReaction(heap, steps.at(-1)?.node)) steps.pop();
    const path = pathText(graph, steps);
    const group = groupOf(key, count, { steps, path });
    const listeners = LISTENER_LISTS.has(count.type)
      ? listenersOf(heap, count.type === 'List' ? { ...group, how: 'chain' } : group)
      : null;
    const type: CensusType = listeners === null ? count.type : 'Listeners';
    const chain = sampleLinks(graph, { ...count.largest[0]!, type: count.type }, MAX_SAMPLE);
    const sample = chain?.links ?? count.sample ?? sampleOf(heap, count);
    const connections = entryConnections.of(sample, chain);
    const location = isLocated(count, type, connections)
      ? locationOf(graph, sources, {
          request: { group, type: type as SuspectType, sample },
          onPath: connections.closed > 0 ? () => applicationOnPaths(graph, entryConnections, sample) : null,
        })
      : null;
    const owner = findOwner(graph, steps);
    return {
      ...plainRow(key, count),
      type,
      name: listeners === null ? nameOf(count, path, key) : listenersName(listeners),
      path,
      bytes: Math.round(count.bytes) + vmContextBytes(heap, sample, count.entries),
      ...connections,
      location,
      expected: expectedGrowth({ graph, steps, owner, sources, type, path }),
      removedAfterMs: type === 'Timers' ? oneShotDelayMs(graph, node, sample) : null,
      // A function waits until the promise settles: no code takes it away.
      removal: type === 'Promises' ? 'none' : findRemoval(sources, owner),
    };
  };
}

const groupOf = (
  key: string,
  { entries: gained, largest }: PlaceCount,
  { steps, path }: Pick<GrowthGroup, 'steps' | 'path'>,
): GrowthGroup => ({
  key,
  how: 'entries',
  members: largest.map(({ node, entries }) => ({ node, how: 'entries', gained: entries, gainedBytes: 0 })),
  steps,
  path,
  gained,
  gainedBytes: 0,
});

/** An EventTarget keeps its listeners in a linked list. */
const LISTENER_LISTS: ReadonlySet<CensusType> = new Set(['Array', 'Object', 'List']);
/** Types of Node itself whose location is the code of the entries. */
const OF_NODE: ReadonlySet<CensusType> = new Set(['Timers', 'Handles', 'Listeners']);

/** Growth of a container of Node itself counts only when its entries lead to closed connections (docs/detection.md). */
const isLocated = (
  { place }: PlaceCount,
  type: CensusType,
  { sampled, closed }: ConnectionsOfEntries,
): boolean =>
  type !== 'Weak' && (place.owner !== 'node' || OF_NODE.has(type) || (closed > 0 && closed * 2 >= sampled));

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

/**
 * A place of user code: its file, and the variable or the class with the fields below it. The place of an exported variable has
 * its index, and the path its name.
 */
const NAMED_PLACE = /^.*?\.[cm]?[jt]sx? (?!export \d)(.+)$/;
/** Chosen: longer names are not read; the path has the whole. */
const MAX_NAME_LENGTH = 60;

const listenersName = ({ event, emitter }: NonNullable<ReturnType<typeof listenersOf>>): string =>
  `listeners of ${event === null ? 'an event' : `'${event}'`} on ${emitter}`;

function nameOf({ type, place }: PlaceCount, path: readonly string[], key: string): string {
  if (type === 'Timers') return key;
  if (type === 'Handles') return `open ${place.key}`;
  const ofPlace = NAMED_PLACE.exec(place.key)?.[1]?.replaceAll('/reactions_or_result', '');
  const isShort = ofPlace !== undefined && ofPlace.length <= MAX_NAME_LENGTH;
  const ofPath = path.slice(-3).join('').replace(/^\./, '');
  // The class alone says nothing: `Set`. The place of a variable of Node ends with its name.
  const ofNode = path.length === 1 && place.owner === 'node' ? /[^\s./]+$/.exec(place.key)?.[0] : undefined;
  const name = isShort ? ofPlace : (ofNode ?? ofPath);
  if (type !== 'Promises') return name;
  return `promises that wait for ${/^(Promise|Generator)$/.test(name) ? 'an unnamed promise' : name}`;
}

/** Spread over the largest containers, because neighbours have the same age. */
function sampleOf(heap: Heap, { largest }: PlaceCount): number[] {
  const perContainer = Math.max(2, Math.floor(MAX_SAMPLE / largest.length));
  return largest.flatMap(({ node, entries }) => {
    const step = Math.max(1, Math.floor(entries / perContainer));
    const sample: number[] = [];
    let index = 0;
    // The entries are not copied: a leaking Map can have millions.
    for (const entry of entriesOf(heap, node)) {
      if (heap.nodeType[entry] !== NODE.object && heap.nodeType[entry] !== NODE.closure) continue;
      if (index % step === 0 && sample.length < perContainer) sample.push(entry);
      index += 1;
    }
    return sample;
  });
}

/**
 * From a handle through Node's streams and HTTP clients to the function that waits for it: a suspended reader of a `fetch` is
 * 23 references away. The application's code counts wherever it is, because code of a package is always nearer.
 */
const HANDLE_USER: CreatorSearch = {
  depth: 32,
  maxNodes: 6000,
  packagePenalty: 32,
  functionsOnly: true,
  skipAgent: true,
  maxReferences: 100,
};

function handleUserOf(
  graph: CensusGraph['graph'],
  sources: Sources,
  { group, sample }: { readonly group: GrowthGroup; readonly sample: readonly number[] },
): CodePosition | null {
  const user = findCreator(graph, null, sample, HANDLE_USER);
  return user === null ? null : findOpeningCall(sources, user, className(graph.heap, group.members[0]!.node));
}

interface LocationInputs {
  readonly request: LocateRequest;
  /** Code between the entries and their closed connections. */
  readonly onPath: (() => CodePosition | null) | null;
}

function locationOf(
  graph: CensusGraph['graph'],
  sources: Sources,
  { request, onPath }: LocationInputs,
): SourceLocation | null {
  const handleUser = request.type === 'Handles' ? handleUserOf(graph, sources, request) : null;
  const { position, creator } = locate(graph, null, sources, request);
  const nearest = handleUser ?? position ?? creator;
  const isOfApplication = nearest !== null && !isPackageFile(nearest.file);
  const best = isOfApplication ? nearest : (onPath?.() ?? nearest);
  const isForeign = best === null || graph.scripts.isAgentFile(best.file);
  return isForeign ? null : toLocation(best, sources);
}
