/** Reasons why a container may grow to a limit of its own, read from its class, its path and the source. */
import type { CensusType, ContainerRow } from '../../types/index.ts';
import type { Graph } from '../graph/graph.ts';
import { edgeText } from '../graph/heap.ts';
import type { Step } from '../graph/retaining-path.ts';
import { findEvictionLine } from '../locate/add-line.ts';
import { findLimitLine } from '../locate/find-limit.ts';
import type { Owner } from '../locate/locate.ts';
import type { Sources } from '../locate/sources.ts';
import { child } from '../locate/syntax-tree.ts';
import type { SyntaxNode, SyntaxTree } from '../locate/syntax-tree.ts';
import { limitOnPath } from '../verdict/known-limit.ts';

const MODULE_LOADER =
  /(moduleLoadList|\._cache|_pathCache|Module\.children|statCache|packageJsonCache|require\.cache|loadCache|resolveCache)\b/;

/** Fields of Node whose entries have a limit. */
const FIELD_LIMITS: ReadonlyMap<string, string> = new Map([
  ['freeSockets', 'an http agent keeps at most `maxFreeSockets` idle sockets of each host'],
]);

export interface ContainerContext {
  readonly graph: Graph;
  readonly steps: readonly Step[];
  readonly owner: Owner | null;
  readonly sources: Sources;
  readonly type: CensusType;
  readonly path: readonly string[];
}

/** The lists of the loader itself. A collection that a module exports is reached through them too. */
const isOfModuleLoader = (path: string): boolean => MODULE_LOADER.test(path) && !/\bexports\b/.test(path);

/** Null when nothing bounds the container. */
export function expectedGrowth({
  graph,
  steps,
  owner,
  sources,
  type,
  path,
}: ContainerContext): string | null {
  if (type === 'Weak') return 'its entries live as long as their keys';
  if (isOfModuleLoader(path.join(''))) return "Node's module loader keeps one entry for each module";
  for (const { edge } of steps.slice(-3)) {
    const limit = FIELD_LIMITS.get(edgeText(graph.heap, edge));
    if (limit !== undefined) return limit;
  }
  const limit = limitOnPath(graph, sources, steps);
  if (limit !== null) return limit;
  const named = owner?.names[0];
  if (owner === null || named === undefined) return null;
  for (const from of [owner.position, ...owner.importers]) {
    const position =
      findEvictionLine(sources, from.file, named.name) ??
      (owner.depth === 0 ? findLimitLine(sources, from.file, { ...named, from }) : null);
    if (position !== null) return `the code removes entries at a limit (${from.file}:${position.line})`;
  }
  return null;
}

const REMOVE_METHODS =
  /^(delete|clear|shift|pop|splice|off|removeListener|removeAllListeners|remove|evict|prune)$/;
const MAX_LEVELS = 8;

/**
 * The code in the container's file, and in the modules that import it, that removes its entries. Null when there is no complete
 * source to search.
 */
export function findRemoval(sources: Sources, owner: Owner | null): ContainerRow['removal'] {
  const name = owner?.names[0]?.name;
  if (owner === null || name === undefined) return null;
  const own = removalIn(sources, owner.position.file, name);
  const imported = owner.importers.map(({ file }) =>
    sources.syntaxTree(file)?.occurrences.has(name) === false ? 'none' : removalIn(sources, file, name),
  );
  const all = [own, ...imported];
  return (['timer', 'code', null, 'none'] as const).find((each) => all.includes(each)) ?? null;
}

function removalIn(sources: Sources, file: string, name: string): ContainerRow['removal'] {
  const tree = sources.syntaxTree(file);
  const occurrences = tree?.isComplete === true ? tree.occurrences.get(name) : undefined;
  if (tree === null || occurrences === undefined) return null;
  const removals = occurrences.filter(isRemoval);
  if (removals.length === 0) return 'none';
  return removals.some((removal) => isRunByTimer(tree, removal)) ? 'timer' : 'code';
}

function isRemoval(occurrence: SyntaxNode): boolean {
  let node = occurrence;
  for (let level = 0; level < MAX_LEVELS && node.parent !== undefined; level += 1) {
    const { parent } = node as { parent: SyntaxNode };
    if (parent.type === 'UnaryExpression' && parent['operator'] === 'delete') return true;
    if (parent.type === 'AssignmentExpression' && parent['left'] === node)
      return isReset(parent, node, occurrence);
    const property = child(parent, 'property');
    if (parent.type === 'MemberExpression' && property !== node && parent['computed'] !== true) {
      const method = nameOf(property);
      if (REMOVE_METHODS.test(method) || (method === 'length' && isAssigned(parent))) return true;
    }
    if (!['MemberExpression', 'CallExpression', 'ChainExpression'].includes(parent.type)) return false;
    node = parent;
  }
  return false;
}

/** `clients.length = 0` or `clients.length -= 1`; a length that is read removes nothing. */
const isAssigned = (target: SyntaxNode): boolean =>
  (target.parent?.type === 'AssignmentExpression' && target.parent['left'] === target) ||
  target.parent?.type === 'UpdateExpression';

/** `clients = …` outside of the code that creates the object or the module; `clients[id] = …` adds an entry. */
function isReset(assignment: SyntaxNode, target: SyntaxNode, occurrence: SyntaxNode): boolean {
  const isItself =
    target === occurrence || (target.type === 'MemberExpression' && target['property'] === occurrence);
  if (!isItself || (target['computed'] === true && target !== occurrence)) return false;
  for (let node: SyntaxNode | undefined = assignment; node !== undefined; node = node.parent) {
    if (node.type === 'MethodDefinition') return node['kind'] !== 'constructor';
    if (/Function/.test(node.type) && node.parent?.type !== 'MethodDefinition') return true;
  }
  return false;
}

const TIMER_FUNCTIONS = /^(setInterval|setTimeout|setImmediate|schedule|scheduleJob)$/;

/** The removal is inside a function that is given to a timer, directly or by its name. */
function isRunByTimer(tree: SyntaxTree, removal: SyntaxNode): boolean {
  for (let node = removal.parent; node !== undefined; node = node.parent) {
    if (!/Function|MethodDefinition|PropertyDefinition/.test(node.type)) continue;
    if (isTimerCall(node.parent)) return true;
    const name = nameOf(child(node, 'id') ?? child(node, 'key') ?? child(node.parent, 'id'));
    const uses = name === '' ? [] : (tree.occurrences.get(name) ?? []);
    if (uses.some(isGivenToTimer)) return true;
  }
  return false;
}

/** The function is an argument of a timer call: by its name, bound, or called in an arrow function. */
function isGivenToTimer(use: SyntaxNode): boolean {
  let node: SyntaxNode | undefined = use.parent;
  for (let level = 0; level < MAX_LEVELS && node !== undefined; level += 1) {
    if (isTimerCall(node)) return true;
    node = node.parent;
  }
  return false;
}

function isTimerCall(node: SyntaxNode | undefined): boolean {
  if (node?.type !== 'CallExpression') return false;
  const callee = child(node, 'callee');
  return TIMER_FUNCTIONS.test(nameOf(child(callee, 'property') ?? callee));
}

function nameOf(node: SyntaxNode | null): string {
  const name = node?.['name'];
  return typeof name === 'string' ? name : '';
}
