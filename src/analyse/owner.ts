import type { Graph } from './graph.ts';
import { EDGE, EDGE_MASK, NODE, edgeText, follow } from './heap.ts';
import type { Step } from './path.ts';
import { isUserFile } from './scripts.ts';
import type { Place } from './scripts.ts';
import { functionIn, isContext, variableOf } from './variable.ts';

/** The nearest code around a container: the class whose field, or the function whose variable, it is. */
export interface Owner {
  readonly place: Place;
  /** Names between that code and the container, the nearest to the container first. */
  readonly names: readonly string[];
  /** Where the classes are written that the class is made of. */
  readonly parents: readonly Place[];
}

/** Null when the nearest class or function is Node's own: whose object it is says nothing then. */
export function findOwner(graph: Graph, steps: readonly Step[]): Owner | null {
  const { heap, scripts } = graph;
  const names: string[] = [];
  for (let at = steps.length - 1; at >= 0; at--) {
    const { edge, node } = steps[at]!;
    const variable = variableOf(graph, node);
    if (variable !== null) return { place: variable.place, names: [...names, variable.name], parents: [] };
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    if (kind === EDGE.property || kind === EDGE.context) names.push(edgeText(heap, edge));
    const holder = at > 0 ? steps[at - 1]!.node : 0;
    const type = heap.nodeType[holder];
    if (names.length === 0 || (type !== NODE.object && type !== NODE.closure)) continue;
    const place = isContext(graph, holder) ? functionIn(graph, holder) : scripts.place(holder);
    if (place === null) continue;
    if (isUserFile(place.file)) return { place, names, parents: parentsOf(graph, holder) };
    // An emitter is known by the variable that holds it.
    const known = variableOf(graph, holder);
    return known === null ? null : { place: known.place, names: [...names, known.name], parents: [] };
  }
  return null;
}

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
