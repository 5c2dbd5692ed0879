/** Finds the source location of a suspect: the line that adds the entries, else the owner of the container. */
import type { SuspectType } from '../../types/index.ts';
import { isTimersList } from '../compare/containers.ts';
import { listenersOf } from '../compare/groups.ts';
import type { GrowthGroup } from '../compare/groups.ts';
import type { Graph } from '../graph/graph.ts';
import { EDGE, EDGE_TYPE_MASK, NODE, className, edgeTarget, edgeText } from '../graph/heap.ts';
import {
  firstFunctionOf,
  isContext,
  isTableRow,
  stepSource,
  variableAtStep,
  variableOf,
  weakMapTable,
} from '../graph/retaining-path.ts';
import type { Step, Variable } from '../graph/retaining-path.ts';
import { isPackageFile, isUserFile } from '../graph/scripts.ts';
import type { CodePosition } from '../graph/scripts.ts';
import { findAddLine } from './add-line.ts';
import { findCreator, unwrapFunction } from './creator.ts';
import type { CreatorSearch } from './creator.ts';
import { isNamedBefore } from './pattern-search.ts';
import type { SourcePosition, Sources } from './sources.ts';

export interface LocateRequest {
  readonly group: GrowthGroup;
  readonly type: SuspectType;
  /** Some of the entries. */
  readonly sample: readonly number[];
}

export interface SuspectPositions {
  /** The line that adds the entries, else the owner of the container, else code near it. */
  readonly position: CodePosition | null;
  /** The code that creates the entries, when it is another. */
  readonly creator: CodePosition | null;
  /** The code of a package or of Node between `position` and the entries. */
  readonly through: CodePosition | null;
}

/** The entries of these types are functions or lead to them, so the function's own line is the one to report. */
const FUNCTION_TYPES: readonly SuspectType[] = ['Listeners', 'Timers', 'Promises', 'List'];

export function locate(
  graph: Graph,
  earlierNode: Uint32Array | Uint8Array | null,
  sources: Sources,
  request: LocateRequest,
): SuspectPositions {
  const { group, type, sample } = request;
  const entryFunction =
    chainCreator(graph, request) ??
    (FUNCTION_TYPES.includes(type) ? findFunction(graph, earlierNode, sources, request) : null);
  if (FUNCTION_TYPES.includes(type) && entryFunction !== null) {
    const through = wrapperPosition(graph, sample[0], entryFunction);
    return { position: entryFunction, creator: null, through };
  }
  const creator = entryFunction ?? findCreator(graph, earlierNode, sample);
  const place = containerPosition(graph, sources, group, creator);
  if (place === null || isFilledByApplication(graph, place)) {
    const application =
      applicationCreator(graph, earlierNode, sample, creator) ??
      (place === null ? null : applicationCall(graph, sources, group.steps));
    if (application !== null) return { position: application, creator: null, through: place };
  }
  if (place === null)
    return { position: creator ?? nearbyPosition(graph, group), creator: null, through: null };
  const isSame = creator === null || (creator.file === place.file && creator.line === place.line);
  return { position: place, creator: isSame ? null : creator, through: null };
}

/** The application adds to containers of packages. An installed agent is a package too, and only it adds to its own. */
const isFilledByApplication = ({ scripts }: Graph, { file }: CodePosition): boolean =>
  isPackageFile(file) && !scripts.isAgentCode(file);

/** An rxjs subscription with three operators has the application's function nine references below its listener. */
const FUNCTIONS: CreatorSearch = {
  depth: 14,
  maxNodes: 1500,
  packagePenalty: 14,
  functionsOnly: true,
  maxEntries: 40,
};

/**
 * The application's function that the entries are or wrap. For listeners that lead to none (`source.pipe(response)`,
 * `for await (… of on(hub, …))`), the call that adds them.
 */
function findFunction(
  graph: Graph,
  earlierNode: Uint32Array | Uint8Array | null,
  sources: Sources,
  { group, type, sample }: LocateRequest,
): CodePosition | null {
  const call = (): CodePosition | null => {
    const owner = findOwner(graph, group.steps);
    const event = listenersOf(graph.heap, group)?.event ?? null;
    return owner === null ? null : addPosition(graph, owner, sources, event);
  };
  const isListeners = type === 'Listeners';
  const fromNode = isListeners && isNodeListener(graph, sample[0]) ? call() : null;
  if (fromNode !== null) return fromNode;
  const inside = findCreator(graph, earlierNode, sample, FUNCTIONS);
  if (!isListeners || (inside !== null && !isPackageFile(inside.file))) return inside;
  const added = call();
  return added !== null && !isPackageFile(added.file) ? added : inside;
}

const isNodeListener = ({ heap, scripts }: Graph, listener: number | undefined): boolean =>
  listener !== undefined &&
  heap.nodeType[listener] === NODE.closure &&
  scripts.userPosition(unwrapFunction(heap, listener)) === null;

/** The entry itself, when it is a function of a package or of Node and the position is elsewhere. */
function wrapperPosition(
  { heap, scripts }: Graph,
  entry: number | undefined,
  position: CodePosition,
): CodePosition | null {
  if (entry === undefined || heap.nodeType[entry] !== NODE.closure) return null;
  const own = scripts.position(entry);
  if (own === null || own.file === position.file) return null;
  return isPackageFile(own.file) || !isUserFile(own.file) ? own : null;
}

/** From a pending request of undici to the async function that awaits it are twenty references. */
const APPLICATION: CreatorSearch = {
  depth: 30,
  maxNodes: 4000,
  packagePenalty: Infinity,
  functionsOnly: true,
  maxEntries: 20,
  skipAgent: true,
};

/** The code of the application that the entries lead to. */
function applicationCreator(
  graph: Graph,
  earlierNode: Uint32Array | Uint8Array | null,
  sample: readonly number[],
  creator: CodePosition | null,
): CodePosition | null {
  return creator !== null && !isPackageFile(creator.file)
    ? creator
    : findCreator(graph, earlierNode, sample, APPLICATION);
}

/** The first call of the application on its variable that leads to the container: `server.on('request', …)`. */
function applicationCall(graph: Graph, sources: Sources, steps: readonly Step[]): CodePosition | null {
  for (let index = steps.length - 1; index >= 0; index--) {
    const variable = variableAtStep(graph, steps[index]!, stepSource(steps, index));
    if (variable === null || isPackageFile(variable.position.file)) continue;
    const { file } = variable.position;
    const query = { name: variable.name, isVariable: true, from: variable.position };
    const add = findAddLine(sources, file, query);
    return add === null ? null : withFunction(graph, sources, file, add);
  }
  return null;
}

function containerPosition(
  graph: Graph,
  sources: Sources,
  { steps }: GrowthGroup,
  creator: CodePosition | null,
): CodePosition | null {
  const owner = findOwner(graph, steps);
  if (owner === null) return globalPosition(graph, sources, steps, creator);
  return addPosition(graph, owner, sources) ?? owner.position;
}

const MAX_FILES = 200;

/** Any file can add to a property of `globalThis`. The file that creates the entries is searched first. */
function globalPosition(
  graph: Graph,
  sources: Sources,
  steps: readonly Step[],
  creator: CodePosition | null,
): CodePosition | null {
  const index = steps.findIndex(({ node }) => className(graph.heap, node) === 'globalThis');
  const property = steps[index + 1];
  if (index < 0 || property === undefined) return null;
  if ((graph.heap.edgeLabel[property.edge]! & EDGE_TYPE_MASK) !== EDGE.property) return null;
  const files = graph.scripts.userFiles().filter((file) => !isPackageFile(file));
  const names = [{ name: edgeText(graph.heap, property.edge), isVariable: null }];
  for (const file of [...(creator === null ? [] : [creator.file]), ...files.slice(0, MAX_FILES)]) {
    const position = { file, line: 1, column: 1, function: null };
    const add = addPosition(graph, { position, names, depth: 0, parents: [], importers: [] }, sources);
    if (add !== null) return add;
  }
  return null;
}

/** The line that adds to a container, else its owner. Does not read the entries. */
export function locateOwner(graph: Graph, sources: Sources, steps: readonly Step[]): CodePosition | null {
  const owner = findOwner(graph, steps);
  return owner === null ? null : (addPosition(graph, owner, sources) ?? owner.position);
}

const MAX_OWNERS = 20;
const CHAIN: CreatorSearch = { depth: 8, maxNodes: 4000, packagePenalty: 0, functionsOnly: true };

/** The function nearest to the owner of a chain, in packages too: the links themselves refer to no function. */
function chainCreator(graph: Graph, { group }: LocateRequest): CodePosition | null {
  if (group.how !== 'chain') return null;
  const owners = group.members.slice(0, MAX_OWNERS).map(({ node }) => node);
  // A function that has the chain in a variable is its owner, not its creator.
  const isVariable = graph.heap.nodeType[owners[0]!] === NODE.closure || isContext(graph, owners[0]!);
  return findCreator(graph, null, isVariable ? [group.steps.at(-1)!.node] : owners, CHAIN);
}

/** A socket is 5 steps from the listeners that the application adds to its WebSocket. A deeper search reaches unrelated code. */
const NEARBY: CreatorSearch = {
  depth: 5,
  maxNodes: 3000,
  packagePenalty: 6,
  functionsOnly: false,
  skipAgent: true,
};

/**
 * For a container of Node's own: the code that uses its socket or stream. The application's code is preferred, because
 * one package may wrap all sockets.
 */
function nearbyPosition(graph: Graph, { steps }: GrowthGroup): CodePosition | null {
  let inPackage: CodePosition | null = null;
  for (const { node } of [...steps].reverse()) {
    // Above it are the timers of everybody.
    if (isTimersList(graph.heap, node)) break;
    const position = findCreator(graph, null, [node], NEARBY);
    if (position !== null && !isPackageFile(position.file)) return position;
    inPackage ??= position;
  }
  return inPackage;
}

function addPosition(
  graph: Graph,
  owner: Owner,
  sources: Sources,
  event: string | null = null,
): CodePosition | null {
  const { position, names, depth, parents, importers } = owner;
  const search = (from: CodePosition, withCreation: boolean): CodePosition | null => {
    for (const [index, { name, isVariable }] of names.entries()) {
      const query = { name, isVariable, from, depth: index === 0 ? depth : 0, event, withCreation };
      const add = findAddLine(sources, from.file, query);
      if (add !== null) return withFunction(graph, sources, from.file, add);
    }
    return null;
  };
  // The module that exports a collection often only creates it.
  for (const from of importers.length === 0 ? [] : [position, ...importers]) {
    const add = search(from, false);
    if (add !== null) return add;
  }
  for (const from of [position, ...parents]) {
    const add = search(from, true);
    if (add !== null) return add;
  }
  return null;
}

/** Adds the name of the function that contains the line. */
function withFunction(
  { scripts }: Graph,
  sources: Sources,
  file: string,
  { line, column }: SourcePosition,
): CodePosition {
  const enclosing = scripts.functionAt(file, line, column);
  const text = sources.text(file) ?? '';
  const isEnclosing = enclosing !== null && isNamedBefore(text, enclosing, { line, column });
  return { file, line, column, function: isEnclosing ? enclosing : null };
}

/** The code that owns a container: the class that has it in a field, or the first function that sees its variable. */
export interface Owner {
  readonly position: CodePosition;
  /** The variables and fields between that code and the container, the nearest to the container first. */
  readonly names: readonly OwnedName[];
  /** Number of lookups from the first name to the container: 1 for `rooms.get(…)`. */
  readonly depth: number;
  /** Superclasses of the owner. */
  readonly parents: readonly CodePosition[];
  /** Modules that import the variable: their code adds entries and removes them too. */
  readonly importers: readonly CodePosition[];
}

interface OwnedName {
  readonly name: string;
  readonly isVariable: boolean | null;
}

const CAN_OWN: ReadonlySet<number> = new Set([NODE.object, NODE.closure]);
/** Containers below these fields belong to Node. Code names the emitter, the target or the stream instead. */
const NODE_FIELDS = new Set(['_events', '_readableState', '_writableState', '<symbol kEvents>']);

/** Null when the nearest class or function is Node's own: then nothing tells which user code owns the container. */
export function findOwner(graph: Graph, steps: readonly Step[]): Owner | null {
  const { heap, scripts } = graph;
  let names: readonly OwnedName[] = [];
  let depth = 0;
  for (let index = steps.length - 1; index >= 0; index--) {
    const { edge } = steps[index]!;
    const source = stepSource(steps, index);
    const variable = variableFor(graph, steps[index]!, source);
    if (variable !== null) return variableOwner(variable, names, depth + variable.depth);
    const edgeType = heap.edgeLabel[edge]! & EDGE_TYPE_MASK;
    if (edgeType === EDGE.property || edgeType === EDGE.context) {
      const name = edgeText(heap, edge);
      names = NODE_FIELDS.has(name) ? [] : [...names, { name, isVariable: edgeType === EDGE.context }];
    } else if (names.length === 0 && isTableRow(heap, edge, source)) depth += 1;
    const type = heap.nodeType[source];
    if (names.length === 0 || !CAN_OWN.has(type ?? -1)) continue;
    const position = isContext(graph, source) ? firstFunctionOf(graph, source) : scripts.position(source);
    if (position === null) continue;
    if (isUserFile(position.file)) {
      const parents = superclasses(graph, source);
      return { position, names, depth, parents, importers: [] };
    }
    // An object of a Node class, such as an emitter: the variable that refers to it.
    const instance = variableOf(graph, source);
    if (instance !== null) return variableOwner(instance, names, depth);
    if (!NODE_FIELDS.has(edgeText(heap, steps[Math.max(0, index - 1)]!.edge))) return null;
  }
  return null;
}

/** The variable that refers to the node of a step, or to the WeakMap that it is a value of. */
function variableFor(graph: Graph, step: Step, source: number): (Variable & { depth: number }) | null {
  const variable = variableAtStep(graph, step, source);
  if (variable !== null) return { ...variable, depth: 0 };
  const weakMap = weakMapTable(graph, step.edge)?.variable ?? null;
  return weakMap === null ? null : { ...weakMap, depth: 1 };
}

const variableOwner = (
  { position, name, importers = [] }: Variable,
  names: readonly OwnedName[],
  depth: number,
): Owner => ({
  position,
  names: [...names, { name, isVariable: true }],
  depth,
  parents: [],
  importers,
});

const MAX_SUPERCLASSES = 5;

function superclasses({ heap, scripts }: Graph, instance: number): CodePosition[] {
  const positions: CodePosition[] = [];
  let prototype = edgeTarget(heap, instance, '__proto__');
  for (let level = 0; level < MAX_SUPERCLASSES && prototype >= 0; level += 1) {
    prototype = edgeTarget(heap, prototype, '__proto__');
    const constructor = edgeTarget(heap, prototype, 'constructor');
    const position = constructor < 0 ? null : scripts.userPosition(constructor);
    if (position !== null) positions.push(position);
  }
  return positions;
}
