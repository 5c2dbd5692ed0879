import type { Graph } from '../graph/graph.ts';
import type { Chain, Grown } from './growth.ts';
import { EDGE, EDGE_MASK, edgeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import { className, lastNamed, pathText, stepsTo } from '../locate/path.ts';
import type { Step } from '../locate/path.ts';
import { isTimersList } from './timers.ts';

/** Containers that are one place in the source: the same field of the same class, however many objects have it. */
export interface Group {
  readonly key: string;
  readonly how: Grown['how'];
  readonly members: Grown[];
  /** The way to the member that gained most. */
  readonly steps: readonly Step[];
  readonly path: readonly string[];
  readonly gained: number;
  readonly gainedBytes: number;
}

export function foldLike(graph: Graph, grown: readonly Grown[]): Group[] {
  const { heap, reach } = graph;
  const groups = new Map<string, Grown[]>();
  for (const each of grown) {
    const steps = stepsTo(heap, reach, each.node);
    if (steps.length === 0) continue;
    const key = `${each.how === 'chain' ? 'chain' : 'entries'} ${placeKey(heap, steps)}${ownKey(heap, each)}`;
    const members = groups.get(key);
    if (members === undefined) groups.set(key, [each]);
    else members.push(each);
  }
  return [...groups].map(([key, members]) => {
    members.sort((a, b) => b.gained - a.gained);
    const [first] = members as [Grown];
    const steps =
      first.how === 'chain' ? stepsToChain(graph, first as Chain) : stepsTo(heap, reach, first.node);
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

/** A list of timers is a duration: many of one are a place, the odd ones of durations with jitter are so together. */
const ownKey = (heap: Heap, { node, gained }: Grown): string =>
  isTimersList(heap, node) && gained >= LEAST_OF_ONE_DURATION ? ` ${node}` : '';
const LEAST_OF_ONE_DURATION = 50;

/** As far as the field by which the holder reaches the chain, when it is one field. */
function stepsToChain(graph: Graph, { node, sample }: Chain): readonly Step[] {
  const { heap, reach } = graph;
  const steps = stepsTo(heap, reach, node);
  let holder = node;
  for (let level = 0; level < MOST_LEVELS; level++) {
    const head = headBelow(graph, holder, sample);
    const edge = head === null ? -1 : edgeBetween(heap, holder, head);
    if (head === null || edge < 0) return steps;
    if (edgeText(heap, edge) !== 'context') return [...steps, { edge, node: head }];
    // Of a function it is one of the variables that it keeps.
    steps.push({ edge, node: head });
    holder = head;
  }
  return steps;
}
const MOST_LEVELS = 3;

/** What most of the links lie below, right below the holder. */
function headBelow({ dominators }: Graph, holder: number, sample: readonly number[]): number | null {
  const heads = new Map<number, number>();
  const headOf = new Map<number, number>();
  for (const link of sample) {
    const climbed: number[] = [];
    let at = link;
    while (!headOf.has(at) && dominators.parent[at] !== holder && at !== 0 && headOf.size < MOST_CLIMBED) {
      climbed.push(at);
      headOf.set(at, 0);
      at = dominators.parent[at]!;
    }
    const head = dominators.parent[at] === holder ? at : (headOf.get(at) ?? 0);
    for (const each of climbed) headOf.set(each, head);
    if (head !== 0) heads.set(head, (heads.get(head) ?? 0) + 1);
  }
  const [most] = [...heads].sort((a, b) => b[1] - a[1]);
  return most === undefined || most[1] < sample.length / 2 ? null : most[0];
}

function edgeBetween(heap: Heap, from: number, to: number): number {
  for (let edge = heap.firstEdge[from]!; edge < heap.firstEdge[from + 1]!; edge++) {
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    const isField = kind === EDGE.property || kind === EDGE.context || edgeText(heap, edge) === 'context';
    if (isField && heap.edgeTo[edge] === to) return edge;
  }
  return -1;
}
const MOST_CLIMBED = 1 << 17;

/** A field's name and the class that has it, which stay the same from run to run; keys of dictionaries do not. */
function placeKey(heap: Heap, steps: readonly Step[]): string {
  const named = lastNamed(heap, steps);
  const container = className(heap, steps.at(-1)!.node);
  if (named === null) return container;
  const above = stepsAbove(steps, named.holder);
  const target = steps.findLastIndex(({ edge }) => edgeText(heap, edge) === '<symbol kEvents>');
  const isEvents = lastNamed(heap, above)?.name === '_events';
  const event =
    target > 0 ? fieldOf(heap, steps.slice(0, target)) : isEvents ? ownerOfEvents(heap, above) : '';
  return `${event}${className(heap, named.holder)} ${isKey(named.name) ? '*' : named.name} ${container}`;
}

/** An AbortSignal is an `EventTarget` by class in Node 20: where it is kept tells one from the other. */
function fieldOf(heap: Heap, steps: readonly Step[]): string {
  const name = lastNamed(heap, steps)?.name ?? '';
  return `${className(heap, steps.at(-1)!.node)} ${isKey(name) ? '*' : name} `;
}

const stepsAbove = (steps: readonly Step[], holder: number): readonly Step[] =>
  steps.slice(0, steps.findIndex(({ node }) => node === holder) + 1);

const ownerOfEvents = (heap: Heap, above: readonly Step[]): string =>
  `${above.length > 1 ? className(heap, above.at(-2)!.node) : ''} `;

/** `user:4711`, ids, addresses: names that data made. */
const isKey = (name: string): boolean =>
  /\d{3,}|[^\w$.#-]|^.{40,}$/.test(name) && !name.startsWith('<symbol');
