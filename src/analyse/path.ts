import { EDGE, EDGE_BITS, EDGE_MASK, NODE, NONE, edgeText, nodeText } from './heap.ts';
import type { Heap } from './heap.ts';
import type { Reach } from './reach.ts';

/** One step of a retaining path: an edge and the node it leads to. */
export interface Step {
  readonly edge: number;
  readonly node: number;
}

const MOST_STEPS = 400;
/** Edges that only say how V8 stores something. */
const STORES = new Set(['elements', 'properties', 'table', 'buckets']);

/** From the root's child down to `node`. */
export function stepsTo({ viaEdge, parent }: Reach, node: number): Step[] {
  const steps: Step[] = [];
  for (let at = node; at !== 0 && viaEdge[at] !== NONE && steps.length < MOST_STEPS; at = parent[at]!) {
    steps.push({ edge: viaEdge[at]!, node: at });
  }
  return steps.reverse();
}

/**
 * As code would read it. Begins at the last variable on the way, else at the class of what the engine holds: how a
 * socket's closure reaches `bus` is an accident of the moment, what follows is not.
 */
export function pathText(heap: Heap, steps: readonly Step[]): string[] {
  let parts: string[] = [];
  let from = 0;
  for (const { edge, node } of steps) {
    parts = append(heap, parts, { edge, node, from });
    from = node;
  }
  return foldRepeats(parts);
}

function append(heap: Heap, parts: string[], { edge, node, from }: Step & { from: number }): string[] {
  const type = heap.edgeLabel[edge]! & EDGE_MASK;
  const name = edgeText(heap, edge);
  if (type === EDGE.context) return [isThis(name) ? className(heap, node) : name];
  if (type === EDGE.element) {
    return heap.nodeType[from] === NODE.object ? [...parts, `[${name}]`] : [className(heap, node)];
  }
  if (type === EDGE.property) {
    if (from === 0 || parts.length === 0 || isGlobal(heap, from)) return [name];
    return [...parts, memberText(name)];
  }
  if (STORES.has(name)) return parts;
  if (type === EDGE.internal && heap.nodeType[from] === NODE.array && /^\d+$/.test(name)) {
    return [...parts, '.get(…)'];
  }
  return [className(heap, node)];
}

/** Inside arrow functions V8 calls the captured `this` so. */
const isThis = (name: string): boolean => name === 'this' || name === '.this';
const isGlobal = (heap: Heap, node: number): boolean =>
  /^(global|<global_object>|globalThis)/.test(nodeText(heap, node));

function memberText(name: string): string {
  const symbol = /^<symbol (.*)>$/.exec(name)?.[1];
  if (symbol !== undefined) return `[${symbol}]`;
  return /^[\w$#]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}

export function className(heap: Heap, node: number): string {
  const name = nodeText(heap, node);
  const type = heap.nodeType[node]!;
  if (type === NODE.closure) return name === '' ? 'function' : name;
  return name === '' ? (TYPE_NAMES[type] ?? 'object') : name.replace(/ \/ file:.*$/s, '');
}
const TYPE_NAMES: readonly string[] = Object.keys(NODE);

/** A thousand timers in a row are one step. */
function foldRepeats(parts: readonly string[]): string[] {
  const folded: string[] = [];
  for (const part of parts) {
    const last = folded.at(-1);
    if (last === part && folded.at(-2) === part) folded[folded.length - 1] = '…';
    else if (!(last === '…' && folded.at(-2) === part)) folded.push(part);
  }
  return folded;
}

/** The last edge on the path that has a name in the source, and the object that has it. */
export function lastNamed(
  heap: Heap,
  steps: readonly Step[],
): { name: string; holder: number; type: number } | null {
  for (let at = steps.length - 1; at >= 0; at--) {
    const { edge } = steps[at]!;
    const type = heap.edgeLabel[edge]! & EDGE_MASK;
    if (type === EDGE.property || type === EDGE.context) {
      return { name: edgeText(heap, edge), holder: at > 0 ? steps[at - 1]!.node : 0, type };
    }
  }
  return null;
}

export const edgeIndex = (heap: Heap, edge: number): number => heap.edgeLabel[edge]! >>> EDGE_BITS;
