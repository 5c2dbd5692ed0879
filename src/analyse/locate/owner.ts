import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_MASK, NODE, edgeText, follow } from '../graph/heap.ts';
import { holderAt, isLookup, weakTableOf } from './path.ts';
import type { Step } from './path.ts';
import { isUserFile } from './scripts.ts';
import type { Place } from './scripts.ts';
import { functionIn, isContext, variableAt, variableOf } from './variable.ts';
import type { Variable } from './variable.ts';

/** The nearest code around a container: the class whose field, or the function whose variable, it is. */
export interface Owner {
  readonly place: Place;
  /** Names between that code and the container, the nearest to the container first. */
  readonly names: readonly string[];
  /** How many levels deep the container lies in what the first of the names stands for: 1 in `rooms.get(…)`. */
  readonly inside: number;
  /** Where the classes are written that the class is made of. */
  readonly parents: readonly Place[];
}

/** Null when the nearest class or function is Node's own: whose object it is says nothing then. */
export function findOwner(graph: Graph, steps: readonly Step[]): Owner | null {
  const { heap, scripts } = graph;
  let names: readonly string[] = [];
  let inside = 0;
  for (let at = steps.length - 1; at >= 0; at--) {
    const { edge } = steps[at]!;
    const holder = holderAt(steps, at);
    const known = knownAt(graph, steps[at]!, holder);
    if (known !== null) return ownedBy(known, names, inside + known.inside);
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    if (kind === EDGE.property || kind === EDGE.context) names = withName(names, edgeText(heap, edge));
    else if (names.length === 0 && isLookup(heap, edge, holder)) inside++;
    const type = heap.nodeType[holder];
    if (names.length === 0 || !CAN_OWN.has(type ?? -1)) continue;
    const place = isContext(graph, holder) ? functionIn(graph, holder) : scripts.place(holder);
    if (place === null) continue;
    if (isUserFile(place.file)) return { place, names, inside, parents: parentsOf(graph, holder) };
    // An emitter is known by the variable that holds it.
    const emitter = variableOf(graph, holder);
    if (emitter !== null) return ownedBy(emitter, names, inside);
    if (!OF_NODE.has(edgeText(heap, steps[Math.max(0, at - 1)]!.edge))) return null;
  }
  return null;
}

/** By a variable, or by the variable of the WeakMap that it is a value of. */
function knownAt(graph: Graph, step: Step, holder: number): (Variable & { inside: number }) | null {
  const known = variableAt(graph, step, holder);
  if (known !== null) return { ...known, inside: 0 };
  const weak = weakTableOf(graph, step.edge)?.variable ?? null;
  return weak === null ? null : { ...weak, inside: 1 };
}

const ownedBy = ({ place, name }: Variable, names: readonly string[], inside: number): Owner => ({
  place,
  names: [...names, name],
  inside,
  parents: [],
});

const CAN_OWN: ReadonlySet<number> = new Set([NODE.object, NODE.closure]);

/** What lies below these fields is Node's own: code names the emitter, the target or the stream. */
const OF_NODE = new Set(['_events', '_readableState', '_writableState', '<symbol kEvents>']);

const withName = (names: readonly string[], name: string): readonly string[] =>
  OF_NODE.has(name) ? [] : [...names, name];

function parentsOf({ heap, scripts }: Graph, instance: number): Place[] {
  const places: Place[] = [];
  let prototype = follow(heap, instance, '__proto__');
  for (let level = 0; level < MOST_PARENTS && prototype >= 0; level++) {
    prototype = follow(heap, prototype, '__proto__');
    const constructor = follow(heap, prototype, 'constructor');
    const place = constructor < 0 ? null : scripts.userPlace(constructor);
    if (place !== null) places.push(place);
  }
  return places;
}
const MOST_PARENTS = 5;
