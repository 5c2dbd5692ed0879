import type { SuspectType } from '../../types/index.ts';
import { EDGE, EDGE_BITS, EDGE_MASK, NODE, edgeText, follow, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import type { Group } from './fold.ts';
import type { Chain, Pairing } from './growth.ts';
import type { Graph } from '../graph/graph.ts';
import { className, edgeNumber, lastNamed } from '../locate/path.ts';
import { isTimersList } from './timers.ts';

/** What sort of container a group is. */
export function typeOf(heap: Heap, group: Group, entries: readonly number[]): SuspectType {
  const { node } = group.members[0]!;
  if (isTimersList(heap, node)) return 'Timers';
  if (group.how === 'chain') return chainType(heap, group, entries);
  if (listenersOf(heap, group) !== null) return 'Listeners';
  const table = follow(heap, node, 'table');
  if (table >= 0) return isMapTable(heap, table) ? 'Map' : 'Set';
  if (nodeText(heap, node) === 'system / Context') return 'Context';
  return nodeText(heap, node) === 'Array' || hasElements(heap, node) ? 'Array' : 'Object';
}

/** Links in a row that ordinary structures do not reach. */
const LEAST_LINKS = 30;

function chainType(heap: Heap, group: Group, entries: readonly number[]): SuspectType {
  const share = (is: (name: string, type: number) => boolean): number =>
    entries.filter((node) => is(nodeText(heap, node), heap.nodeType[node]!)).length /
    Math.max(1, entries.length);
  if (listenersOf(heap, group) !== null) return 'Listeners';
  if (share((name) => /^(Promise|system \/ Promise.*)$/.test(name)) > 0.15) return 'Promises';
  if (share((_, type) => type === NODE['concatenated string']) > 0.4) return 'Strings';
  return 'List';
}

/** Is this a real chain, links in a row? New objects side by side below an old one are not. */
export function isChain(heap: Heap, before: Pairing['before'], group: Group): boolean {
  if (group.how !== 'chain') return false;
  return group.members.some(
    (member) => (member as Chain).depth >= LEAST_LINKS || isRow(heap, before, (member as Chain).sample),
  );
}

/** Of a list with links both ways no link dominates the next one: is there a way from like to like? */
function isRow(heap: Heap, before: Pairing['before'], sample: readonly number[]): boolean {
  return sample.slice(0, MOST_STARTS).some((start) => {
    const seen = new Set([start]);
    for (const link of seen) {
      if (seen.size >= LEAST_LINKS) return true;
      const next = nextLike(heap, before, link, seen);
      if (next >= 0) seen.add(next);
    }
    return false;
  });
}
const MOST_STARTS = 20;

/** A new object of the same shape that a field leads to. */
function nextLike(heap: Heap, before: Pairing['before'], link: number, seen: ReadonlySet<number>): number {
  const shape = follow(heap, link, 'map');
  if (shape < 0 || heap.nodeType[link] !== NODE.object) return -1;
  for (let edge = heap.firstEdge[link]!; edge < heap.firstEdge[link + 1]!; edge++) {
    const to = heap.edgeTo[edge]!;
    if ((heap.edgeLabel[edge]! & EDGE_MASK) !== EDGE.property || before[to] !== 0 || seen.has(to)) continue;
    if (heap.nodeType[to] === NODE.object && follow(heap, to, 'map') === shape) return to;
  }
  return -1;
}

/** Rows of a Map's table are key, value, link; of a Set's key, link: two neighbours occur in a Map only. */
function isMapTable(heap: Heap, table: number): boolean {
  let last = -1;
  for (let edge = heap.firstEdge[table]!; edge < heap.firstEdge[table + 1]!; edge++) {
    const label = heap.edgeLabel[edge]!;
    if ((label & EDGE_MASK) !== EDGE.internal) continue;
    const index = Number(heap.names.text(label >>> EDGE_BITS));
    if (!Number.isInteger(index)) continue;
    if (last >= 0 && (index - last) % 2 === 1) return true;
    last = index;
  }
  return false;
}

const hasElements = (heap: Heap, node: number): boolean => {
  const edge = heap.firstEdge[node]!;
  return edge < heap.firstEdge[node + 1]! && (heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.element;
};

/**
 * Emitter and event, when the container is what EventEmitter keeps the listeners of one event in. An EventTarget keeps
 * them in a list below a Map, whose keys are values and have no text here.
 */
export function listenersOf(heap: Heap, group: Group): { emitter: string; event: string | null } | null {
  const { steps } = group;
  const target = steps.findLastIndex(({ edge }) => edgeText(heap, edge) === '<symbol kEvents>');
  if (group.how === 'chain' && target > 0) {
    return { emitter: className(heap, steps[target - 1]!.node), event: null };
  }
  const named = lastNamed(heap, steps);
  if (named === null || named.type !== EDGE.property) return null;
  const above = steps.slice(0, steps.findIndex(({ node }) => node === named.holder) + 1);
  const events = above.at(-1);
  if (events === undefined || lastNamed(heap, above)?.name !== '_events') return null;
  const emitter = above.at(-2);
  return { emitter: emitter === undefined ? 'an emitter' : className(heap, emitter.node), event: named.name };
}

/** Keys and values are two edges of one entry. */
export function entriesPerEdge(heap: Heap, type: SuspectType, container: number): number {
  if (type !== 'Map') return 1;
  const table = follow(heap, container, 'table');
  const perClass = [0, 0, 0];
  for (let edge = heap.firstEdge[table]!; edge < heap.firstEdge[table + 1]!; edge++) {
    const label = heap.edgeLabel[edge]!;
    const index = Number(heap.names.text(label >>> EDGE_BITS));
    if ((label & EDGE_MASK) === EDGE.internal && Number.isInteger(index)) perClass[index % 3]!++;
  }
  const sum = perClass[0]! + perClass[1]! + perClass[2]!;
  return sum === 0 ? 1 : Math.max(...perClass) / sum;
}

/** Node keeps one list for each duration, in an object whose keys are the milliseconds. */
export function durationMs({ heap, incoming }: Graph, list: number): number | null {
  let longest: number | null = null;
  for (let at = incoming.start[list]!; at < incoming.start[list + 1]!; at++) {
    const from = incoming.from[at]!;
    if (nodeText(heap, from) !== 'Object') continue;
    for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge++) {
      if (heap.edgeTo[edge] === list) longest = edgeNumber(heap, edge) ?? longest;
    }
  }
  return longest;
}
