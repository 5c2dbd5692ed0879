/** Retaining paths, and how code names the objects on them: variables, fields, lookups in Maps. */
import { pathParent } from './graph.ts';
import type { Graph, ShortestPaths } from './graph.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, NONE, className, edgeTarget, edgeText, nodeText } from './heap.ts';
import type { Heap } from './heap.ts';
import { isPackageFile, isUserFile } from './scripts.ts';
import type { CodePosition } from './scripts.ts';

/** One step of a retaining path: an edge and the node it leads to. */
export interface Step {
  readonly edge: number;
  readonly node: number;
}

const MAX_STEPS = 400;
/** Names of edges to V8's backing stores, which code cannot name. */
const BACKING_STORES = new Set(['elements', 'properties', 'table', 'buckets']);

/** The shortest path, from the root's child down to `node`. */
export function stepsTo(heap: Heap, paths: ShortestPaths, node: number): Step[] {
  const steps: Step[] = [];
  let current = node;
  while (current !== 0 && current !== NONE && steps.length < MAX_STEPS) {
    const edge = paths.edgeInto[current]!;
    if (edge === NONE) break;
    steps.push({ edge, node: current });
    current = pathParent(heap, paths, current);
  }
  return steps.reverse();
}

/** The node that a step starts from; the root for the first step. */
export const stepSource = (steps: readonly Step[], index: number): number =>
  index > 0 ? steps[index - 1]!.node : 0;

/** One part of a path in the syntax of code, and the index of the step that it ends with. */
export interface PathPart {
  readonly text: string;
  readonly stepIndex: number;
}

export const pathText = (graph: Graph, steps: readonly Step[]): string[] =>
  pathParts(graph, steps).map(({ text }) => text);

/**
 * Starts at the last object on the path that a variable of the application refers to, else at a variable of a package,
 * else at the class below the last edge that code cannot follow. The path above is left out: by which socket or closure
 * the root reaches `bus` differs from one snapshot to the next.
 */
export function pathParts(graph: Graph, steps: readonly Step[]): PathPart[] {
  const { heap } = graph;
  const members: PathPart[] = [];
  let start: (PathPart & { depth: number }) | null = null;
  let index = steps.length - 1;
  for (; index >= 0; index--) {
    const { edge, node } = steps[index]!;
    const source = stepSource(steps, index);
    const variable = variableAtStep(graph, { edge, node }, source);
    const isApplication = variable !== null && !isPackageFile(variable.position.file);
    if (variable !== null && (start === null || isApplication))
      start = { text: variable.name, stepIndex: index, depth: members.length };
    if (isApplication) break;
    const table = weakMapTable(graph, edge);
    if (table !== null) {
      const text = `${table.variable?.name ?? 'WeakMap'}.get(…)`;
      start = { text, stepIndex: index, depth: members.length };
      break;
    }
    const text = accessText(heap, edge, source);
    if (text === null) break;
    members.push({ text, stepIndex: index });
  }
  if (start === null && index >= 0) {
    start = { text: className(heap, steps[index]!.node), stepIndex: index, depth: members.length };
  }
  const below = members.slice(0, start?.depth ?? members.length).reverse();
  const parts = start === null ? below : [{ text: start.text, stepIndex: start.stepIndex }, ...below];
  return collapseRepeats(parts.filter(({ text }) => text !== ''));
}

/** The access in the syntax of code; empty for V8's backing stores, null for an edge that code cannot follow. */
function accessText(heap: Heap, edge: number, from: number): string | null {
  const type = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
  const name = edgeText(heap, edge);
  if (type === EDGE.element) return heap.nodeType[from] === NODE.object ? `[${name}]` : null;
  if (type === EDGE.property) {
    // `owner_symbol` leads from a handle back to the object that wraps it.
    if (from === 0 || name === '<symbol owner_symbol>') return null;
    return propertyText(name);
  }
  if (type === EDGE.context) return null;
  if (BACKING_STORES.has(name)) return '';
  return isTableRow(heap, edge, from) ? '.get(…)' : null;
}

/** `.name`, `["some key"]` or `[symbol]`; `[…]` for a key that is data. */
export function propertyText(name: string): string {
  const symbol = /^<symbol (.*)>$/.exec(name)?.[1];
  if (symbol !== undefined) return `[${symbol}]`;
  if (isDataKey(name)) return '[…]';
  return /^[\w$#]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}

/** Numbers, UUIDs, addresses, random ids of 16 characters and more; what redaction leaves of them is `masked`, x and 0. */
const DATA_KEYS = [
  /\d{3,}|@|^.{40,}$|^masked$/,
  /^(?=(?:\D*\d+){3})(?=.*[a-z])(?=.*[A-Z])[\w-]{16,}$/,
  /^(?=.*-)[x0X-]{8,}$/,
  /^[\da-f-]{16,}$/,
];

/** Whether a property is a key of an object that is used as a map, and not a field or an event that code names. */
export const isDataKey = (name: string): boolean =>
  !name.startsWith('<symbol') && DATA_KEYS.some((pattern) => pattern.test(name));

/** Whether an edge leads from the hash table of a Map or Set to a key or value. */
export const isTableRow = (heap: Heap, edge: number, from: number): boolean =>
  (heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.internal &&
  heap.nodeType[from] === NODE.array &&
  /^\d+$/.test(edgeText(heap, edge));

/** V8 names the edge to a value of a WeakMap `… pair in WeakMap (table @4711)`, with the id of the table. */
export function weakMapTable(graph: Graph, edge: number): { variable: Variable | null } | null {
  const { heap, incoming } = graph;
  if ((heap.edgeLabel[edge]! & EDGE_TYPE_MASK) !== EDGE.internal) return null;
  const id = / pair in WeakMap \(table @(\d+)\)$/.exec(edgeText(heap, edge))?.[1];
  if (id === undefined) return null;
  const table = heap.nodeId.indexOf(Number(id));
  const map = table < 0 ? -1 : (incoming.from[incoming.start[table]!] ?? -1);
  return { variable: map < 0 ? null : variableOf(graph, map) };
}

/** Replaces the third and later repetitions by `…`: a linked list of a thousand timers is one part. */
function collapseRepeats(parts: readonly PathPart[]): PathPart[] {
  const collapsed: PathPart[] = [];
  for (const part of parts) {
    const last = collapsed.at(-1)?.text;
    const before = collapsed.at(-2)?.text;
    const isRepeat = before === part.text && (last === part.text || last === '…');
    if (isRepeat) collapsed[collapsed.length - 1] = { text: '…', stepIndex: part.stepIndex };
    else collapsed.push(part);
  }
  return collapsed;
}

/** The last property or variable on the path, and the object that has it. */
export function lastNamedEdge(
  heap: Heap,
  steps: readonly Step[],
): { name: string; owner: number; type: number } | null {
  for (let index = steps.length - 1; index >= 0; index--) {
    const { edge } = steps[index]!;
    const type = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    if (type === EDGE.property || type === EDGE.context) {
      return { name: edgeText(heap, edge), owner: stepSource(steps, index), type };
    }
  }
  return null;
}

/** Classes and their fields on the path to a container, the nearest first: `Adapter` + `rooms`. */
export type PathFields = readonly { readonly className: string; readonly field: string }[];

export function pathFields(heap: Heap, steps: readonly Step[]): PathFields {
  const fields: { className: string; field: string }[] = [];
  for (let index = steps.length - 1; index > 0; index--) {
    const { edge } = steps[index]!;
    const type = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    if (type === EDGE.context) break;
    if (type !== EDGE.property) continue;
    const field = edgeText(heap, edge);
    const isEvent = index > 1 && edgeText(heap, steps[index - 1]!.edge) === '_events';
    fields.push({ className: className(heap, steps[index - 1]!.node), field });
    if (isEvent) {
      fields.push({ className: className(heap, steps[index - 2]!.node), field: `_events.${field}` });
    }
  }
  return fields;
}

/** The variable that refers to an object, and the first function in the source that can see it. */
export interface Variable {
  readonly name: string;
  readonly position: CodePosition;
  /** For an export of an ES module: the modules that import it. */
  readonly importers?: readonly CodePosition[];
}

const MAX_RETAINERS = 300;
const MAX_CLOSURES = 2000;
/** V8 stores the receiver of an arrow function's scope as `this` or `.this`. */
const RECEIVER = /^\.?this$/;

/** Prefers a variable of the application over one of a package; null when no user code has the object in a variable. */
export function variableOf(graph: Graph, node: number): Variable | null {
  const { incoming } = graph;
  const exported = exportOf(graph, node);
  if (exported !== null && !isPackageFile(exported.position.file)) return exported;
  const end = Math.min(incoming.start[node + 1]!, incoming.start[node]! + MAX_RETAINERS);
  let inPackage: Variable | null = exported;
  for (let i = incoming.start[node]!; i < end; i += 1) {
    const context = incoming.from[i]!;
    if (!isContext(graph, context)) continue;
    const name = variableNameIn(graph, context, node);
    if (name === null || RECEIVER.test(name)) continue;
    const position = firstFunctionOf(graph, context);
    if (position === null) continue;
    if (!isPackageFile(position.file)) return { name, position };
    inPackage ??= { name, position };
  }
  return inPackage;
}

function exportOf({ exports }: Graph, node: number): Variable | null {
  const exported = exports.get(node);
  if (exported === undefined) return null;
  const { name, position, importers } = exported;
  return { name, position, importers };
}

/** The same for the node of a step. It also reads the step's own edge, which the limit of `variableOf` may miss. */
export function variableAtStep(graph: Graph, { edge, node }: Step, from: number): Variable | null {
  const variable = variableOf(graph, node);
  if (variable !== null || (graph.heap.edgeLabel[edge]! & EDGE_TYPE_MASK) !== EDGE.context) return variable;
  const name = edgeText(graph.heap, edge);
  const position = RECEIVER.test(name) ? null : firstFunctionOf(graph, from);
  return position === null ? null : { name, position };
}

/** The name of the variable by which a context refers to an object. */
export function variableNameIn({ heap }: Graph, context: number, target: number): string | null {
  for (let edge = heap.firstEdge[context]!; edge < heap.firstEdge[context + 1]!; edge += 1) {
    const isVariable = (heap.edgeLabel[edge]! & EDGE_TYPE_MASK) === EDGE.context;
    if (isVariable && heap.edgeTo[edge] === target) return edgeText(heap, edge);
  }
  return null;
}

export const isContext = ({ heap }: Graph, node: number): boolean =>
  heap.nodeType[node] === NODE.object && nodeText(heap, node) === 'system / Context';

/** Whether a context is the outermost scope of a module: its outer context is the engine's. */
export function isModuleScope({ heap }: { readonly heap: Heap }, context: number): boolean {
  const outer = edgeTarget(heap, context, 'previous');
  return outer >= 0 && nodeText(heap, outer) === 'system / NativeContext';
}

/** The first function in the source among those that can see the variables of this context. */
export function firstFunctionOf({ heap, scripts, incoming }: Graph, context: number): CodePosition | null {
  let first: CodePosition | null = null;
  const end = Math.min(incoming.start[context + 1]!, incoming.start[context]! + MAX_CLOSURES);
  for (let i = incoming.start[context]!; i < end; i += 1) {
    const closure = incoming.from[i]!;
    if (heap.nodeType[closure] !== NODE.closure || edgeTarget(heap, closure, 'context') !== context) continue;
    const position = scripts.position(closure);
    if (position === null || !isUserFile(position.file)) continue;
    const isBefore =
      first === null ||
      position.line < first.line ||
      (position.line === first.line && position.column < first.column);
    if (isBefore) first = position;
  }
  return first;
}
