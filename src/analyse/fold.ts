import type { Graph } from './graph.ts';
import type { Heap } from './heap.ts';
import type { Grown } from './growth.ts';
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
    const steps = stepsTo(reach, each.node);
    if (steps.length === 0) continue;
    const key = `${each.how === 'chain' ? 'chain' : 'entries'} ${placeKey(heap, steps)}`;
    const members = groups.get(key);
    if (members === undefined) groups.set(key, [each]);
    else members.push(each);
  }
  return [...groups].map(([key, members]) => {
    members.sort((a, b) => b.gained - a.gained);
    const [first] = members as [Grown];
    const steps = stepsTo(reach, first.node);
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
