import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_MASK, NODE, edgeText, follow, nodeText } from '../graph/heap.ts';
import type { Step } from './path.ts';
import { isPackageFile, isUserFile } from './scripts.ts';
import type { Place } from './scripts.ts';

/** The variable by which code knows an object, and the first function in the source that sees it. */
export interface Variable {
  readonly name: string;
  readonly place: Place;
}

const MOST_HOLDERS = 300;
const MOST_CLOSURES = 2000;

/** Of several the application's own; null when only fields and Node's own code hold the object. */
export function variableOf(graph: Graph, node: number): Variable | null {
  const { incoming } = graph;
  const end = Math.min(incoming.start[node + 1]!, incoming.start[node]! + MOST_HOLDERS);
  let best: Variable | null = null;
  for (let at = incoming.start[node]!; at < end; at++) {
    const context = incoming.from[at]!;
    if (!isContext(graph, context)) continue;
    const name = nameIn(graph, context, node);
    if (name === null || OF_FUNCTION.test(name)) continue;
    const place = functionIn(graph, context);
    if (place === null) continue;
    if (!isPackageFile(place.file)) return { name, place };
    best ??= { name, place };
  }
  return best;
}

/** The same of the node that a path leads to; a variable on the path itself is seen however many others hold the node. */
export function variableAt(graph: Graph, { edge, node }: Step, from: number): Variable | null {
  const known = variableOf(graph, node);
  if (known !== null || (graph.heap.edgeLabel[edge]! & EDGE_MASK) !== EDGE.context) return known;
  const name = edgeText(graph.heap, edge);
  const place = OF_FUNCTION.test(name) ? null : functionIn(graph, from);
  return place === null ? null : { name, place };
}
const OF_FUNCTION = /^\.?this$/;

/** The name of the variable in which a context has an object. */
export function nameIn({ heap }: Graph, context: number, target: number): string | null {
  for (let edge = heap.firstEdge[context]!; edge < heap.firstEdge[context + 1]!; edge++) {
    const isVariable = (heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.context;
    if (isVariable && heap.edgeTo[edge] === target) return edgeText(heap, edge);
  }
  return null;
}

export const isContext = ({ heap }: Graph, node: number): boolean =>
  heap.nodeType[node] === NODE.object && nodeText(heap, node) === 'system / Context';

/** The first function in the source among those that see this context's variables. */
export function functionIn({ heap, scripts, incoming }: Graph, context: number): Place | null {
  let first: Place | null = null;
  const end = Math.min(incoming.start[context + 1]!, incoming.start[context]! + MOST_CLOSURES);
  for (let at = incoming.start[context]!; at < end; at++) {
    const closure = incoming.from[at]!;
    if (heap.nodeType[closure] !== NODE.closure || follow(heap, closure, 'context') !== context) continue;
    const place = scripts.place(closure);
    if (place === null || !isUserFile(place.file)) continue;
    const isBefore =
      first === null || place.line < first.line || (place.line === first.line && place.column < first.column);
    if (isBefore) first = place;
  }
  return first;
}
