import type { Graph } from './graph.ts';
import { EDGE, EDGE_MASK, NODE, edgeText } from './heap.ts';
import type { Step } from './path.ts';
import type { Place } from './scripts.ts';
import { functionIn, isContext } from './variable.ts';

/** The nearest code around a container: the class whose field, or the function whose variable, it is. */
export interface Owner {
  readonly place: Place;
  /** Names between that code and the container, the nearest to the container first. */
  readonly names: readonly string[];
}

export function findOwner(graph: Graph, steps: readonly Step[]): Owner | null {
  const { heap } = graph;
  const names: string[] = [];
  for (let at = steps.length - 1; at >= 0; at--) {
    const { edge } = steps[at]!;
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    if (kind === EDGE.property || kind === EDGE.context) names.push(edgeText(heap, edge));
    const holder = at > 0 ? steps[at - 1]!.node : 0;
    const place = placeOf(graph, holder);
    if (place !== null && names.length > 0) return { place, names };
  }
  return null;
}

function placeOf(graph: Graph, node: number): Place | null {
  if (isContext(graph, node)) return functionIn(graph, node);
  const type = graph.heap.nodeType[node];
  return type === NODE.object || type === NODE.closure ? graph.scripts.userPlace(node) : null;
}
