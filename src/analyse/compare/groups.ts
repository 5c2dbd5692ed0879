/** `GrowthGroup`: containers that grew at the same place in the source, with their path and type. */
import type { SuspectType } from '../../types/index.ts';
import type { Graph } from '../graph/graph.ts';
import {
  EDGE,
  EDGE_TYPE_BITS,
  EDGE_TYPE_MASK,
  NODE,
  className,
  edgeTarget,
  edgeText,
  nodeText,
} from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { isDataKey, lastNamedEdge, pathText, stepsTo } from '../graph/retaining-path.ts';
import type { Step } from '../graph/retaining-path.ts';
import type { Chain } from './chains.ts';
import { isTimersList } from './containers.ts';
import type { Growth, SnapshotMatch } from './growth.ts';

export interface GrowthGroup {
  readonly key: string;
  readonly how: Growth['how'];
  /** Sorted by gained entries, the largest first. */
  readonly members: Growth[];
  /** The retaining path of the first member. */
  readonly steps: readonly Step[];
  readonly path: readonly string[];
  readonly gained: number;
  readonly gainedBytes: number;
}

/** One group for all containers that the same field of the same class refers to. */
export function groupGrowth(graph: Graph, growth: readonly Growth[]): GrowthGroup[] {
  const { heap, paths } = graph;
  const groups = new Map<string, Growth[]>();
  for (const each of growth) {
    const steps = stepsTo(heap, paths, each.node);
    if (steps.length === 0) continue;
    const how = each.how === 'chain' ? 'chain' : 'entries';
    const key = `${how} ${placeKey(heap, steps)}${durationKey(heap, each)}`;
    const members = groups.get(key);
    if (members === undefined) groups.set(key, [each]);
    else members.push(each);
  }
  return [...groups].map(([key, members]) => {
    members.sort((a, b) => b.gained - a.gained);
    const [first] = members as [Growth];
    const steps =
      first.how === 'chain' ? stepsToChain(graph, first as Chain) : stepsTo(heap, paths, first.node);
    return {
      key,
      how: first.how,
      members,
      steps,
      path: pathText(graph, steps),
      gained: members.reduce((sum, { gained }) => sum + gained, 0),
      gainedBytes: members.reduce((sum, { gainedBytes }) => sum + gainedBytes, 0),
    };
  });
}

/** Timer lists of one duration form their own group when they gained this many; all others form one group. */
const MIN_TIMERS_OF_DURATION = 50;

const durationKey = (heap: Heap, { node, gained }: Growth): string =>
  isTimersList(heap, node) && gained >= MIN_TIMERS_OF_DURATION ? ` ${node}` : '';

/**
 * Identifies a place in the source: the last field on the path and the class that has it, which are the same in each
 * run. Keys of dictionaries are data and are replaced by `*`.
 */
function placeKey(heap: Heap, steps: readonly Step[]): string {
  const named = lastNamedEdge(heap, steps);
  const container = className(heap, steps.at(-1)!.node);
  if (named === null) return container;
  const above = stepsDownTo(steps, named.owner);
  const targetStep = steps.findLastIndex(({ edge }) => edgeText(heap, edge) === '<symbol kEvents>');
  const isEmitter = lastNamedEdge(heap, above)?.name === '_events';
  const listenersOwner =
    targetStep > 0
      ? fieldAndClass(heap, steps.slice(0, targetStep))
      : isEmitter
        ? `${above.length > 1 ? className(heap, above.at(-2)!.node) : ''} `
        : '';
  return `${listenersOwner}${className(heap, named.owner)} ${fieldOrKey(named.name)} ${container}`;
}

/** Node 20 gives an AbortSignal the class `EventTarget`; the field that refers to it tells one kind from the other. */
function fieldAndClass(heap: Heap, steps: readonly Step[]): string {
  const name = lastNamedEdge(heap, steps)?.name ?? '';
  return `${className(heap, steps.at(-1)!.node)} ${fieldOrKey(name)} `;
}

const stepsDownTo = (steps: readonly Step[], node: number): readonly Step[] =>
  steps.slice(0, steps.findIndex((step) => step.node === node) + 1);

/** `*` for names that are data: `user:4711`, ids, addresses. */
const fieldOrKey = (name: string): string =>
  isDataKey(name) || (/[^\w$.#-]/.test(name) && !name.startsWith('<symbol')) ? '*' : name;

const MAX_CHAIN_LEVELS = 3;
const MAX_CLIMBED = 1 << 17;

/** The path to the owner of a chain, and on to the chain when a field or variable of the owner refers to it. */
function stepsToChain(graph: Graph, { node, sample }: Chain): readonly Step[] {
  const { heap, paths } = graph;
  const steps = stepsTo(heap, paths, node);
  let owner = node;
  for (let level = 0; level < MAX_CHAIN_LEVELS; level += 1) {
    const head = chainHead(graph, owner, sample);
    const edge = head === null ? -1 : fieldEdge(heap, owner, head);
    if (head === null || edge < 0) return steps;
    if (edgeText(heap, edge) !== 'context') return [...steps, { edge, node: head }];
    // The owner is a function: the chain is in one of the variables of its context.
    steps.push({ edge, node: head });
    owner = head;
  }
  return steps;
}

/** The child of the owner in the dominator tree that dominates at least half of the links. */
function chainHead({ dominators }: Graph, owner: number, sample: readonly number[]): number | null {
  const linksBelow = new Map<number, number>();
  const headOf = new Map<number, number>();
  for (const link of sample) {
    const climbed: number[] = [];
    let node = link;
    while (
      !headOf.has(node) &&
      dominators.parent[node] !== owner &&
      node !== 0 &&
      headOf.size < MAX_CLIMBED
    ) {
      climbed.push(node);
      headOf.set(node, 0);
      node = dominators.parent[node]!;
    }
    const head = dominators.parent[node] === owner ? node : (headOf.get(node) ?? 0);
    for (const each of climbed) headOf.set(each, head);
    if (head !== 0) linksBelow.set(head, (linksBelow.get(head) ?? 0) + 1);
  }
  const [largest] = [...linksBelow].sort((a, b) => b[1] - a[1]);
  return largest === undefined || largest[1] < sample.length / 2 ? null : largest[0];
}

function fieldEdge(heap: Heap, from: number, to: number): number {
  for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge += 1) {
    const type = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    const isField = type === EDGE.property || type === EDGE.context || edgeText(heap, edge) === 'context';
    if (isField && heap.edgeTo[edge] === to) return edge;
  }
  return -1;
}

/** The type of container that a suspect is reported as. */
export function typeOf(heap: Heap, group: GrowthGroup, entries: readonly number[]): SuspectType {
  const { node } = group.members[0]!;
  if (isTimersList(heap, node)) return 'Timers';
  if (listenersOf(heap, group) !== null) return 'Listeners';
  if (group.how === 'chain') return chainType(heap, entries);
  const table = edgeTarget(heap, node, 'table');
  if (table >= 0) return isMapTable(heap, table) ? 'Map' : 'Set';
  if (nodeText(heap, node) === 'system / Context') return 'Context';
  return nodeText(heap, node) === 'Array' || hasElements(heap, node) ? 'Array' : 'Object';
}

/** A promise is linked by reactions and closures, so promises are a small share of their own chain. */
const MIN_PROMISE_SHARE = 0.15;
const MIN_STRING_SHARE = 0.4;

function chainType(heap: Heap, entries: readonly number[]): SuspectType {
  const share = (matches: (node: number) => boolean): number =>
    entries.filter(matches).length / Math.max(1, entries.length);
  const isPromise = (node: number): boolean => /^(Promise|system \/ Promise.*)$/.test(nodeText(heap, node));
  const isConcatenated = (node: number): boolean => heap.nodeType[node] === NODE['concatenated string'];
  if (share(isPromise) > MIN_PROMISE_SHARE) return 'Promises';
  return share(isConcatenated) > MIN_STRING_SHARE ? 'Strings' : 'List';
}

/** At least this many linked new objects form a chain. The structure of a single record is not that deep. */
const MIN_LINKS = 30;
const MAX_STARTS = 20;

/** Whether the new objects form a chain, one linked to the next. New objects side by side do not. */
export function isChain(heap: Heap, earlierNode: SnapshotMatch['earlierNode'], group: GrowthGroup): boolean {
  if (group.how !== 'chain') return false;
  return group.members.some((member) => {
    const { depth, sample } = member as Chain;
    return depth >= MIN_LINKS || isLinked(heap, earlierNode, sample);
  });
}

/** No link of a doubly linked list dominates the next one, so this follows fields from link to link. */
function isLinked(heap: Heap, earlierNode: SnapshotMatch['earlierNode'], sample: readonly number[]): boolean {
  return sample.slice(0, MAX_STARTS).some((start) => {
    const visited = new Set([start]);
    for (const link of visited) {
      if (visited.size >= MIN_LINKS) return true;
      const next = nextLink(heap, earlierNode, link, visited);
      if (next >= 0) visited.add(next);
    }
    return false;
  });
}

/** A new object of the same shape that a field refers to, or -1. */
function nextLink(
  heap: Heap,
  earlierNode: SnapshotMatch['earlierNode'],
  link: number,
  visited: ReadonlySet<number>,
): number {
  const shape = edgeTarget(heap, link, 'map');
  if (shape < 0 || heap.nodeType[link] !== NODE.object) return -1;
  for (let edge = heap.firstEdge[link]!; edge < heap.firstEdge[link + 1]!; edge += 1) {
    const to = heap.edgeTo[edge]!;
    if ((heap.edgeLabel[edge]! & EDGE_TYPE_MASK) !== EDGE.property) continue;
    if (earlierNode[to] !== 0 || visited.has(to)) continue;
    if (heap.nodeType[to] === NODE.object && edgeTarget(heap, to, 'map') === shape) return to;
  }
  return -1;
}

/** A row of a Map's table is key, value, link; of a Set's key, link. Only a Map has two references side by side. */
function isMapTable(heap: Heap, table: number): boolean {
  let last = -1;
  for (let edge = heap.firstEdge[table]!; edge < heap.firstEdge[table + 1]!; edge += 1) {
    const label = heap.edgeLabel[edge]!;
    if ((label & EDGE_TYPE_MASK) !== EDGE.internal) continue;
    const index = Number(heap.names.text(label >>> EDGE_TYPE_BITS));
    if (!Number.isInteger(index)) continue;
    if (last >= 0 && (index - last) % 2 === 1) return true;
    last = index;
  }
  return false;
}

const hasElements = (heap: Heap, node: number): boolean => {
  const edge = heap.firstEdge[node]!;
  return edge < heap.firstEdge[node + 1]! && (heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.element;
};

/**
 * The emitter and event when the container is an emitter's list of listeners. The event is null for an EventTarget: it
 * keeps its listeners below a Map, and the keys of a Map are values, whose text is not kept.
 */
export function listenersOf(
  heap: Heap,
  group: GrowthGroup,
): { emitter: string; event: string | null } | null {
  const { steps } = group;
  const targetStep = steps.findLastIndex(({ edge }) => edgeText(heap, edge) === '<symbol kEvents>');
  if (group.how === 'chain' && targetStep > 0) {
    return { emitter: className(heap, steps[targetStep - 1]!.node), event: null };
  }
  const named = lastNamedEdge(heap, steps);
  if (named === null || named.type !== EDGE.property) return null;
  const above = stepsDownTo(steps, named.owner);
  if (above.length === 0 || lastNamedEdge(heap, above)?.name !== '_events') return null;
  const emitter = above.at(-2);
  return { emitter: emitter === undefined ? 'an emitter' : className(heap, emitter.node), event: named.name };
}

/** Entries for each counted reference: a Map with objects as keys and values has two references for each entry. */
export function entriesPerReference(heap: Heap, type: SuspectType, container: number): number {
  if (type !== 'Map') return 1;
  const table = edgeTarget(heap, container, 'table');
  // Rows are key, value, link, so keys, values and links each have the same index modulo 3.
  const perColumn = [0, 0, 0];
  for (let edge = heap.firstEdge[table]!; edge < heap.firstEdge[table + 1]!; edge += 1) {
    const label = heap.edgeLabel[edge]!;
    if ((label & EDGE_TYPE_MASK) !== EDGE.internal) continue;
    const index = heap.names.integer(label >>> EDGE_TYPE_BITS);
    if (index >= 0) perColumn[index % 3]! += 1;
  }
  const sum = perColumn[0]! + perColumn[1]! + perColumn[2]!;
  return sum === 0 ? 1 : Math.max(...perColumn) / sum;
}

/** The duration of a timer list: Node keeps the lists in an object whose keys are the milliseconds. */
export function timerDurationMs({ heap, incoming }: Graph, list: number): number | null {
  let durationMs: number | null = null;
  for (let i = incoming.start[list]!; i < incoming.start[list + 1]!; i += 1) {
    const from = incoming.from[i]!;
    if (nodeText(heap, from) !== 'Object') continue;
    for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge += 1) {
      const isElement = (heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.element;
      if (isElement && heap.edgeTo[edge] === list) durationMs = Number(edgeText(heap, edge));
    }
  }
  return durationMs;
}
