import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_MASK, NODE, NONE, edgeText, nodeText } from '../graph/heap.ts';
import type { Heap } from '../graph/heap.ts';
import type { PlaceKeys } from '../verdict/known.ts';
import { parentOf } from '../graph/reach.ts';
import type { Reach } from '../graph/reach.ts';
import { isPackageFile } from './scripts.ts';
import { variableAt, variableOf } from './variable.ts';
import type { Variable } from './variable.ts';

/** One step of a retaining path: an edge and the node it leads to. */
export interface Step {
  readonly edge: number;
  readonly node: number;
}

const MOST_STEPS = 400;
/** Edges that only say how V8 stores something. */
const STORES = new Set(['elements', 'properties', 'table', 'buckets']);

/** From the root's child down to `node`. */
export function stepsTo(heap: Heap, reach: Reach, node: number): Step[] {
  const steps: Step[] = [];
  for (let at = node; at !== 0 && at !== NONE && steps.length < MOST_STEPS; at = parentOf(heap, reach, at)) {
    const edge = reach.viaEdge[at]!;
    if (edge === NONE) break;
    steps.push({ edge, node: at });
  }
  return steps.reverse();
}

/** One part of a path as code would read it, and the step that it ends with. */
export interface Part {
  readonly text: string;
  readonly at: number;
}

/** As code would read it. */
export const pathText = (graph: Graph, steps: readonly Step[]): string[] =>
  pathParts(graph, steps).map(({ text }) => text);

/**
 * Begins at the variable nearest to the container by which the application knows something on the way, else at a
 * package's, else at the class where the engine takes over: how a socket's closure reaches `bus` is an accident of the
 * moment, what follows is not.
 */
export function pathParts(graph: Graph, steps: readonly Step[]): Part[] {
  const { heap } = graph;
  const members: Part[] = [];
  let start: (Part & { depth: number }) | null = null;
  let at = steps.length - 1;
  for (; at >= 0; at--) {
    const { edge, node } = steps[at]!;
    const from = holderAt(steps, at);
    const variable = variableAt(graph, { edge, node }, from);
    const isOwn = variable !== null && !isPackageFile(variable.place.file);
    if (variable !== null && (start === null || isOwn))
      start = { text: variable.name, at, depth: members.length };
    if (isOwn) break;
    const table = weakTableOf(graph, edge);
    if (table !== null) {
      start = { text: `${table.variable?.name ?? 'WeakMap'}.get(…)`, at, depth: members.length };
      break;
    }
    const text = memberOf(heap, edge, from);
    if (text === null) break;
    members.push({ text, at });
  }
  if (start === null && at >= 0) {
    start = { text: className(heap, steps[at]!.node), at, depth: members.length };
  }
  const below = members.slice(0, start?.depth ?? members.length).reverse();
  const parts = start === null ? below : [{ text: start.text, at: start.at }, ...below];
  return foldRepeats(parts.filter(({ text }) => text !== ''));
}

/** From where a step starts; the root's own steps start at the root. */
export const holderAt = (steps: readonly Step[], at: number): number => (at > 0 ? steps[at - 1]!.node : 0);

/** How code goes over this edge; empty for what V8 puts between, null where no code could. */
function memberOf(heap: Heap, edge: number, from: number): string | null {
  const type = heap.edgeLabel[edge]! & EDGE_MASK;
  const name = edgeText(heap, edge);
  if (type === EDGE.element) return heap.nodeType[from] === NODE.object ? `[${name}]` : null;
  if (type === EDGE.property) {
    // A handle's way back to the object that wraps it.
    if (from === 0 || name === '<symbol owner_symbol>') return null;
    return memberText(name);
  }
  if (type === EDGE.context) return null;
  if (STORES.has(name)) return '';
  return isLookup(heap, edge, from) ? '.get(…)' : null;
}

/** A row of the table of a Map or Set. */
export const isLookup = (heap: Heap, edge: number, from: number): boolean =>
  (heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.internal &&
  heap.nodeType[from] === NODE.array &&
  /^\d+$/.test(edgeText(heap, edge));

/** The edge that leads to a value in a WeakMap says in which table: `… pair in WeakMap (table @4711)`. */
export function weakTableOf(graph: Graph, edge: number): { variable: Variable | null } | null {
  const { heap, incoming } = graph;
  if ((heap.edgeLabel[edge]! & EDGE_MASK) !== EDGE.internal) return null;
  const id = / pair in WeakMap \(table @(\d+)\)$/.exec(edgeText(heap, edge))?.[1];
  if (id === undefined) return null;
  const table = heap.nodeId.indexOf(Number(id));
  const map = table < 0 ? -1 : (incoming.from[incoming.start[table]!] ?? -1);
  return { variable: map < 0 ? null : variableOf(graph, map) };
}

export function memberText(name: string): string {
  const symbol = /^<symbol (.*)>$/.exec(name)?.[1];
  if (symbol !== undefined) return `[${symbol}]`;
  return /^[\w$#]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}

export function className(heap: Heap, node: number): string {
  const name = nodeText(heap, node);
  const type = heap.nodeType[node]!;
  if (type === NODE.closure) return name === '' ? 'function' : name;
  if (name === 'system / Oddball') return 'null or boolean';
  if (name === 'heap number' || name === 'smi number') return 'number';
  // `global`, and `global (global*)` since V8 13.
  if (/^global( \(global\*\))?$/.test(name)) return 'globalThis';
  return name === '' ? (TYPE_NAMES[type] ?? 'object') : name.replace(/ \/ file:.*$/s, '');
}
const TYPE_NAMES: readonly string[] = Object.keys(NODE);

/** A thousand timers in a row are one step. */
function foldRepeats(parts: readonly Part[]): Part[] {
  const folded: Part[] = [];
  for (const part of parts) {
    const last = folded.at(-1)?.text;
    const before = folded.at(-2)?.text;
    if (last === part.text && before === part.text) folded[folded.length - 1] = { text: '…', at: part.at };
    else if (last === '…' && before === part.text) folded[folded.length - 1] = { text: '…', at: part.at };
    else folded.push(part);
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

/** Fields and their classes on the way to a container, the nearest first. */
export function placeKeys(heap: Heap, steps: readonly Step[]): PlaceKeys {
  const keys: { holder: string; field: string }[] = [];
  for (let at = steps.length - 1; at > 0; at--) {
    const { edge } = steps[at]!;
    const kind = heap.edgeLabel[edge]! & EDGE_MASK;
    if (kind === EDGE.context) break;
    if (kind !== EDGE.property) continue;
    const field = edgeText(heap, edge);
    const isEvent = at > 1 && edgeText(heap, steps[at - 1]!.edge) === '_events';
    keys.push({ holder: className(heap, steps[at - 1]!.node), field });
    if (isEvent) keys.push({ holder: className(heap, steps[at - 2]!.node), field: `_events.${field}` });
  }
  return keys;
}

/** The index of an element edge; null for other edges. */
export function edgeNumber(heap: Heap, edge: number): number | null {
  return (heap.edgeLabel[edge]! & EDGE_MASK) === EDGE.element ? Number(edgeText(heap, edge)) : null;
}
