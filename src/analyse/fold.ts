import type { Graph } from './graph.ts';
import type { Chain, Grown } from './growth.ts';
import { EDGE, EDGE_MASK, nodeText } from './heap.ts';
import type { Heap } from './heap.ts';
import { className, lastNamed, pathText, stepsTo } from './path.ts';
import type { Step } from './path.ts';

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
  nodeText(heap, node) === 'TimersList' && gained >= LEAST_OF_ONE_DURATION ? ` ${node}` : '';
const LEAST_OF_ONE_DURATION = 50;

/** As far as the field by which the holder reaches the chain, when it is one field. */
function stepsToChain({ heap, dominators, reach }: Graph, { node, sample }: Chain): readonly Step[] {
  const steps = stepsTo(heap, reach, node);
  const heads = new Map<number, number>();
  for (const link of sample) {
    let at = link;
    for (let climbed = 0; climbed < MOST_CLIMB && dominators.parent[at] !== node && at !== 0; climbed++) {
      at = dominators.parent[at]!;
    }
    if (dominators.parent[at] === node) heads.set(at, (heads.get(at) ?? 0) + 1);
  }
  const [head] = [...heads].sort((a, b) => b[1] - a[1]);
  if (head === undefined || head[1] < sample.length / 2) return steps;
  for (let edge = heap.firstEdge[node]!; edge < heap.firstEdge[node + 1]!; edge++) {
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    const isField = kind === EDGE.property || kind === EDGE.context;
    if (isField && heap.edgeTo[edge] === head[0]) return [...steps, { edge, node: head[0] }];
  }
  return steps;
}
const MOST_CLIMB = 2000;

/** A field's name and the class that has it, which stay the same from run to run; keys of dictionaries do not. */
function placeKey(heap: Heap, steps: readonly Step[]): string {
  const named = lastNamed(heap, steps);
  const container = className(heap, steps.at(-1)!.node);
  if (named === null) return container;
  const above = stepsAbove(steps, named.holder);
  const event = lastNamed(heap, above)?.name === '_events' ? ownerOfEvents(heap, above) : '';
  return `${event}${className(heap, named.holder)} ${isKey(named.name) ? '*' : named.name} ${container}`;
}

const stepsAbove = (steps: readonly Step[], holder: number): readonly Step[] =>
  steps.slice(0, steps.findIndex(({ node }) => node === holder) + 1);

const ownerOfEvents = (heap: Heap, above: readonly Step[]): string =>
  `${above.length > 1 ? className(heap, above.at(-2)!.node) : ''} `;

/** `user:4711`, ids, addresses: names that data made. */
const isKey = (name: string): boolean =>
  /\d{3,}|[^\w$.#-]|^.{40,}$/.test(name) && !name.startsWith('<symbol');
