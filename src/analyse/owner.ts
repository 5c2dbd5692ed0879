import type { Incoming } from './edges.ts';
import { EDGE, EDGE_MASK, NODE, edgeText, follow, nodeText } from './heap.ts';
import type { Heap } from './heap.ts';
import type { Step } from './path.ts';
import { isUserFile } from './scripts.ts';
import type { Place, Scripts } from './scripts.ts';

/** The nearest code around a container: the class whose field, or the function whose variable, it is. */
export interface Owner {
  readonly place: Place;
  /** Names between that code and the container, the nearest to the container first. */
  readonly names: readonly string[];
}

const MOST_CLOSURES = 2000;

export function findOwner(
  heap: Heap,
  scripts: Scripts,
  incoming: Incoming,
  steps: readonly Step[],
): Owner | null {
  const names: string[] = [];
  for (let at = steps.length - 1; at >= 0; at--) {
    const { edge } = steps[at]!;
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    if (kind === EDGE.property || kind === EDGE.context) names.push(edgeText(heap, edge));
    const holder = at > 0 ? steps[at - 1]!.node : 0;
    const place = placeOf(heap, scripts, incoming, holder);
    if (place !== null && names.length > 0) return { place, names };
  }
  return null;
}

function placeOf(heap: Heap, scripts: Scripts, incoming: Incoming, node: number): Place | null {
  if (nodeText(heap, node) === 'system / Context') return functionIn(heap, scripts, incoming, node);
  const type = heap.nodeType[node];
  if (type !== NODE.object && type !== NODE.closure) return null;
  return scripts.userPlace(node);
}

/** The first function in the source among those that see this context's variables. */
function functionIn(heap: Heap, scripts: Scripts, incoming: Incoming, context: number): Place | null {
  let first: Place | null = null;
  const end = Math.min(incoming.start[context + 1]!, incoming.start[context]! + MOST_CLOSURES);
  for (let at = incoming.start[context]!; at < end; at++) {
    const closure = incoming.from[at]!;
    if (heap.nodeType[closure] !== NODE.closure || follow(heap, closure, 'context') !== context) continue;
    const place = scripts.place(closure);
    if (place === null || !isUserFile(place.file)) continue;
    if (
      first === null ||
      place.line < first.line ||
      (place.line === first.line && place.column < first.column)
    ) {
      first = place;
    }
  }
  return first;
}
