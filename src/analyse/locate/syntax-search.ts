/** Finds in a syntax tree the line that adds entries to a container, and the code that removes entries at a limit. */
import { offsetAt } from './sources.ts';
import type { SourcePosition } from './sources.ts';
import {
  child,
  childList,
  declaringScope,
  enclosingClass,
  functionOrClassAt,
  patternNames,
} from './syntax-tree.ts';
import type { SyntaxNode, SyntaxTree } from './syntax-tree.ts';

/** The container whose additions are searched. */
export interface ContainerQuery {
  /** A variable, a field, a private field `#name`, or `<symbol description>`. */
  readonly name: string;
  /** True for a variable, false for a field, null when unknown. */
  readonly isVariable?: boolean | null;
  /** The class that has the field, or a function that sees the variable. */
  readonly from?: SourcePosition | null;
  /** 0: the container has that name. 1: it lies inside, as in `rooms.get(id)` or `shards[n]`. And so on. */
  readonly depth?: number;
  /** The event, when the container is an emitter's list of listeners: code that names another event adds to another list. */
  readonly event?: string | null;
  /** False: the line that creates the container is no answer. */
  readonly withCreation?: boolean;
}

/** Methods that add entries. `splice` counts with at least three arguments: with fewer it only removes. */
const ADD_METHODS = new Set([
  'set',
  'add',
  'push',
  'unshift',
  'append',
  'enqueue',
  'on',
  'addListener',
  'prependListener',
  'prependOnceListener',
  'once',
  'subscribe',
  'pipe',
  'addEventListener',
]);
/** Functions that add listeners to their first argument. */
const LISTENING_FUNCTIONS = new Set(['on', 'once', 'finished', 'pipeline', 'addAbortListener']);
/** Methods that return an entry, which may itself be a container. */
const LOOKUP_METHODS = new Set(['get', 'at']);
const MAX_ALIASES = 8;

/** An expression that evaluates to the container, or to a container inside it at `depth`. */
interface Reference {
  readonly node: SyntaxNode;
  readonly depth: number;
}

/** How clearly an expression adds an entry: one with a lower number is preferred to all with higher numbers. */
const ADDITION = { call: 0, keyed: 1, replaced: 2, listening: 3, created: 4 } as const;

interface Addition extends Reference {
  readonly kind: (typeof ADDITION)[keyof typeof ADDITION];
}

/** The offset of the expression that adds; null when the tree has none. */
export function findAddition(tree: SyntaxTree, query: ContainerQuery): number | null {
  const offset = query.from == null ? -1 : offsetAt(tree.text, query.from);
  const owner = offset < 0 ? null : functionOrClassAt(tree, offset);
  const { exact, others } = referencesTo(tree, query, owner);
  const bestOf = (references: readonly Reference[]): Addition | null =>
    bestAddition(ofEvent(additionsTo(tree, references, query), query), query.depth ?? 0, offset);
  const best = bestOf(exact);
  if (best !== null && best.kind !== ADDITION.created) return best.node.start;
  const fallback = bestOf(others);
  const found = fallback !== null && (best === null || fallback.kind < best.kind) ? fallback : best;
  return found === null || (found.kind === ADDITION.created && query.withCreation === false)
    ? null
    : found.node.start;
}

/** Additions that name the event; if there are none, those that name no event. */
function ofEvent(additions: readonly Addition[], { event = null }: ContainerQuery): readonly Addition[] {
  if (event === null) return additions;
  const named = additions.filter(({ node }) => eventNames(node).includes(event));
  if (named.length > 0) return named;
  // `events.on(emitter, 'price')` listens for `error` too.
  const listening = additions.filter(({ kind }) => kind === ADDITION.listening);
  if (event === 'error' && listening.length > 0) return listening;
  return additions.filter(({ node, kind }) => kind !== ADDITION.created && eventNames(node).length === 0);
}

/** Literals among the first two arguments: `bus.on('price', …)`, `fromEvent(bus, 'price')`. */
function eventNames(call: SyntaxNode): string[] {
  if (call.type !== 'CallExpression') return [];
  return childList(call, 'arguments')
    .slice(0, 2)
    .flatMap(({ type, value }) => (type === 'Literal' && typeof value === 'string' ? [value] : []));
}

/** Prefers the right depth, then the kind of addition, then the first one after the offset. */
function bestAddition(additions: readonly Addition[], depth: number, offset: number): Addition | null {
  const rank = (addition: Addition): number => {
    const isEntry = addition.kind === ADDITION.call || addition.kind === ADDITION.keyed;
    if (!isEntry) return 10 + addition.kind;
    return addition.depth === depth ? addition.kind : 2 + Math.abs(addition.depth - depth);
  };
  let best: Addition | null = null;
  for (const addition of additions) {
    if (best === null || rank(addition) < rank(best)) best = addition;
    else if (rank(addition) > rank(best)) continue;
    else if (best.node.start < offset && addition.node.start >= offset) best = addition;
  }
  return best;
}

/**
 * `exact`: the variable of that name in the scope of the owner, or the field of that name, in the class of the owner when
 * it is accessed by `this`. `others`: the same name anywhere.
 */
function referencesTo(
  tree: SyntaxTree,
  { name, isVariable = null }: ContainerQuery,
  owner: SyntaxNode | null,
): { exact: Reference[]; others: Reference[] } {
  const symbol = /^<symbol (\w{2,40})>$/.exec(name)?.[1];
  if (symbol !== undefined) return { exact: symbolReferences(tree, symbol), others: [] };
  const scope = owner?.parent === undefined ? null : declaringScope(tree, name, owner.parent);
  const ownerClass = owner === null ? null : classOf(owner);
  const exact: Reference[] = [];
  const others: Reference[] = [];
  for (const occurrence of tree.occurrences.get(name) ?? []) {
    const reference = referenceAt(occurrence);
    if (reference === null) continue;
    const { node } = reference;
    const isExact =
      node.type === 'Identifier'
        ? isVariable !== false &&
          (scope === null ? isVariable === true : declaringScope(tree, name, node) === scope)
        : isVariable !== true && !isOfOtherClass(node, ownerClass);
    (isExact ? exact : others).push(reference);
  }
  return { exact, others };
}

const classOf = (node: SyntaxNode): SyntaxNode | null =>
  node.type === 'ClassDeclaration' || node.type === 'ClassExpression' ? node : enclosingClass(node);

/** `this.name` inside another class than the owner's. */
function isOfOtherClass(node: SyntaxNode, ownerClass: SyntaxNode | null): boolean {
  if (ownerClass === null || child(node, 'object')?.type !== 'ThisExpression') return false;
  const inClass = enclosingClass(node);
  return inClass !== null && inClass !== ownerClass;
}

/** Parents in which a name is not a variable. */
const NO_VARIABLES = new Set([
  'MethodDefinition',
  'LabeledStatement',
  'BreakStatement',
  'ContinueStatement',
  'ImportSpecifier',
  'ExportSpecifier',
]);

/** The expression that an occurrence of the name belongs to; null when it is not an access to a container. */
export function referenceAt(node: SyntaxNode): Reference | null {
  const parent = node.parent;
  const member = memberWithProperty(node);
  if (member !== null) return { node: member, depth: 0 };
  const isKey = parent?.['key'] === node && parent['computed'] !== true;
  const isShorthand = parent?.['value'] === node;
  if (isKey && (!isShorthand || parent.parent?.type === 'ObjectPattern')) return fieldAt(parent);
  const isVariable = node.type === 'Identifier' && !NO_VARIABLES.has(parent?.type ?? '');
  return isVariable ? { node, depth: 0 } : null;
}

/** `hub.clients` or `hub['clients']` for the name in it. */
function memberWithProperty(node: SyntaxNode): SyntaxNode | null {
  const { parent } = node;
  if (parent?.type !== 'MemberExpression' || parent['property'] !== node) return null;
  return parent['computed'] !== true || node.type === 'Literal' ? parent : null;
}

/** The field of a class, or `const { clients: all } = hub`, where the variable `all` is the container. */
function fieldAt(property: SyntaxNode): Reference | null {
  if (property.type === 'PropertyDefinition') return { node: property, depth: 0 };
  return property.parent?.type === 'ObjectPattern' ? destructured(property) : null;
}

function destructured(property: SyntaxNode): Reference | null {
  const value = child(property, 'value');
  const target = value?.type === 'AssignmentPattern' ? child(value, 'left') : value;
  return target?.type === 'Identifier' ? { node: property, depth: 0 } : null;
}

/** `[kFree]`, by the variable that the symbol is assigned to, else by a variable whose name ends like the symbol. */
function symbolReferences(tree: SyntaxTree, symbol: string): Reference[] {
  const variables = symbolVariables(tree, symbol);
  const references: Reference[] = [];
  for (const [name, occurrences] of tree.occurrences) {
    const isSymbol =
      variables.size > 0 ? variables.has(name) : name.toLowerCase().endsWith(symbol.toLowerCase());
    for (const occurrence of isSymbol ? occurrences : []) {
      const member = memberByKey(occurrence);
      if (member !== null) references.push({ node: member, depth: 0 });
    }
  }
  return references;
}

/** Names of variables that are assigned `Symbol('…')` or `Symbol.for('…')`. */
function symbolVariables(tree: SyntaxTree, symbol: string): ReadonlySet<string> {
  const variables = new Set<string>();
  for (const literal of tree.occurrences.get(symbol) ?? []) {
    const call = literal.parent;
    const callee = child(call, 'callee');
    const isSymbol = [callee, child(callee, 'object')].some((each) => identifierName(each) === 'Symbol');
    const target = child(call?.parent, 'id') ?? child(call?.parent, 'left');
    if (literal.type === 'Literal' && isSymbol && target !== null) variables.add(lastName(target));
  }
  return variables;
}

/** `this[kFree]` or `this[symbols.kFree]` for the occurrence of `kFree`. */
function memberByKey(occurrence: SyntaxNode): SyntaxNode | null {
  const { parent } = occurrence;
  const key = parent?.type === 'MemberExpression' && parent['computed'] !== true ? parent : occurrence;
  const member = key.parent;
  const isKey = member?.['computed'] === true && (member['property'] === key || member['key'] === key);
  return isKey ? member : null;
}

/** Follows each reference outwards: lookups inside it, aliases of it, and the calls and assignments that add to it. */
function additionsTo(
  tree: SyntaxTree,
  references: readonly Reference[],
  { event = null }: ContainerQuery,
): Addition[] {
  const additions: Addition[] = [];
  const aliases = new Set<string>();
  const pending = [...references];
  for (const reference of pending) {
    for (let current: Reference | null = reference; current !== null;) {
      const step: Step = stepFrom(current, event);
      if (step.addition !== null)
        additions.push({ ...current, node: step.node ?? reference.node, kind: step.addition });
      if (step.alias !== null) pending.push(...usesOfAlias(tree, step.alias, current, aliases));
      current = step.next;
    }
  }
  return additions.sort((a, b) => a.node.start - b.node.start);
}

/** The references to a variable that the container is assigned to, unless `seen` has it. */
function usesOfAlias(tree: SyntaxTree, alias: string, from: Reference, seen: Set<string>): Reference[] {
  const scope = declaringScope(tree, alias, from.node);
  const key = `${alias} ${scope?.start} ${from.depth}`;
  if (scope === null || seen.has(key) || seen.size >= MAX_ALIASES) return [];
  seen.add(key);
  return (tree.occurrences.get(alias) ?? []).flatMap((occurrence) => {
    const use = referenceAt(occurrence);
    const isUse = use?.node === occurrence && occurrence.start > from.node.start;
    return isUse && declaringScope(tree, alias, occurrence) === scope ? [{ ...use, depth: from.depth }] : [];
  });
}

interface Step {
  /** The enclosing expression that evaluates to the same container or to one inside it. */
  readonly next: Reference | null;
  readonly addition: Addition['kind'] | null;
  /** The expression that adds, when it is not the reference itself. */
  readonly node: SyntaxNode | null;
  /** The variable that the reference is assigned to. */
  readonly alias: string | null;
}

const result = (fields: Partial<Step>): Step => ({
  next: null,
  addition: null,
  node: null,
  alias: null,
  ...fields,
});

/** Expressions with the same value as one of their operands. */
const TRANSPARENT = new Set([
  'ChainExpression',
  'ParenthesizedExpression',
  'AwaitExpression',
  'LogicalExpression',
  'ConditionalExpression',
]);

function stepFrom({ node, depth }: Reference, event: string | null): Step {
  const parent = node.parent;
  if (node.type === 'PropertyDefinition') return result({ addition: ADDITION.created });
  if (node.type === 'Property') return result({ alias: patternNames(child(node, 'value')).at(0) ?? null });
  if (parent !== undefined && TRANSPARENT.has(parent.type)) {
    return parent['test'] === node ? result({}) : result({ next: { node: parent, depth } });
  }
  switch (parent?.type) {
    case 'MemberExpression':
      return parent['object'] === node ? memberStep(parent, depth) : result({});
    case 'VariableDeclarator':
      return declaratorStep(parent, node);
    case 'AssignmentPattern':
      return parent['left'] === node ? result({ addition: ADDITION.created }) : result({});
    case 'AssignmentExpression':
      return assignmentStep(parent, node, depth);
    case 'CallExpression':
      return argumentStep(parent, node, event);
    default:
      return result({});
  }
}

/** `container.push(…)`, `container.get(…)`, `container[key]` and `container.tail`. */
function memberStep(member: SyntaxNode, depth: number): Step {
  const call = callOf(member);
  const isComputed = member['computed'] === true;
  const method = isComputed ? null : lastName(child(member, 'property'));
  if (call !== null && method !== null) {
    const isSplice = method === 'splice' && childList(call, 'arguments').length > 2;
    if (ADD_METHODS.has(method) || isSplice) return result({ addition: ADDITION.call, node: call });
    return LOOKUP_METHODS.has(method) ? result({ next: { node: call, depth: depth + 1 } }) : result({});
  }
  const assignment = member.parent;
  const isTarget = assignment?.type === 'AssignmentExpression' && assignment['left'] === member;
  if (isComputed) {
    const next = { node: member, depth: depth + 1 };
    const isAdding = isTarget && assignment['operator'] !== '-=';
    return isAdding ? result({ next, addition: ADDITION.keyed, node: assignment }) : result({ next });
  }
  return isTarget && isGrowing(assignment)
    ? result({ addition: ADDITION.replaced, node: assignment })
    : result({});
}

function declaratorStep(declarator: SyntaxNode, node: SyntaxNode): Step {
  if (declarator['init'] === node) return result({ alias: identifierName(child(declarator, 'id')) });
  return child(declarator, 'init') === null ? result({}) : result({ addition: ADDITION.created });
}

function assignmentStep(assignment: SyntaxNode, node: SyntaxNode, depth: number): Step {
  const next = { node: assignment, depth };
  if (assignment['right'] === node) return result({ next, alias: identifierName(child(assignment, 'left')) });
  const addition = isGrowing(assignment) ? ADDITION.replaced : ADDITION.created;
  return result({ next, addition, node: assignment });
}

/** `text += line`, `list = list.concat(entry)`, `list = [...list, entry]`. */
function isGrowing(assignment: SyntaxNode): boolean {
  if (assignment['operator'] === '+=') return true;
  const right = child(assignment, 'right');
  if (assignment['operator'] !== '=' || right === null) return false;
  const callee = child(right, 'callee');
  if (callee !== null && lastName(child(callee, 'property')) === 'concat') return true;
  return [...childList(right, 'elements'), ...childList(right, 'properties')].some(
    ({ type }) => type === 'SpreadElement',
  );
}

/** `on(emitter, 'event')`, also as the iterable of a `for await`; any function that takes the emitter and its event. */
function argumentStep(call: SyntaxNode, node: SyntaxNode, event: string | null): Step {
  if (childList(call, 'arguments')[0] !== node) return result({});
  const loop = call.parent;
  const isIterated = loop?.type === 'ForOfStatement' && loop['right'] === call;
  const isListening = LISTENING_FUNCTIONS.has(identifierName(child(call, 'callee')) ?? '');
  const takesEvent = event !== null && eventNames(call).includes(event);
  return isIterated || isListening || takesEvent
    ? result({ addition: ADDITION.listening, node: call })
    : result({});
}

/** The call of a method, also after `?.`. */
function callOf(member: SyntaxNode): SyntaxNode | null {
  const above = member.parent?.type === 'ChainExpression' ? member.parent.parent : member.parent;
  const isCallee = above?.type === 'CallExpression' && above['callee'] !== undefined;
  return isCallee && (above['callee'] === member || above['callee'] === member.parent) ? above : null;
}

const identifierName = (node: SyntaxNode | null): string | null =>
  node?.type === 'Identifier' ? (node['name'] as string) : null;

/** The name of a variable, or of the last property of a member expression. */
export function lastName(node: SyntaxNode | null): string {
  const name = (child(node, 'property') ?? node)?.['name'];
  return typeof name === 'string' ? name : '';
}

const REMOVE_METHODS = new Set(['delete', 'shift', 'pop', 'splice', 'clear']);

/**
 * The offset of a comparison of the container's size in whose branch entries are removed: `if (cache.size > 100)
 * cache.delete(oldest)`. Null without one. A comparison alone is not a limit, because it may only warn or refuse.
 */
export function findEviction(tree: SyntaxTree, name: string): number | null {
  const references = (tree.occurrences.get(name) ?? []).map(referenceAt).filter((each) => each !== null);
  const removals = references.filter(({ node }) => isRemoval(node));
  for (const { node } of references) {
    const comparison = sizeComparison(node);
    const branches = comparison === null ? [] : guardedBranches(comparison);
    const isEvicting = branches.some(({ start, end }) =>
      removals.some((removal) => start <= removal.node.start && removal.node.end <= end),
    );
    if (isEvicting) return node.start;
  }
  return null;
}

/** `container.shift()`, `container.length = 0`, `container.length -= 1`, `container = new Map()` */
export function isRemoval(node: SyntaxNode): boolean {
  const member = node.parent;
  if (member?.type === 'AssignmentExpression' && member['left'] === node)
    return member['operator'] === '=' && isEmptyCollection(child(member, 'right'));
  if (member?.type !== 'MemberExpression' || member['object'] !== node) return false;
  const name = lastName(child(member, 'property'));
  if (callOf(member) !== null) return REMOVE_METHODS.has(name);
  return (
    name === 'length' && member.parent?.type === 'AssignmentExpression' && member.parent['left'] === member
  );
}

/** `new Map()`, `[]`, `{}` */
const isEmptyCollection = (node: SyntaxNode | null): boolean =>
  node !== null &&
  /^(NewExpression|ArrayExpression|ObjectExpression)$/.test(node.type) &&
  ['arguments', 'elements', 'properties'].every((field) => childList(node, field).length === 0);

/** `container.size > limit`, `limit <= container.length`, `container.length === limit`; not `container.length > 0` */
export function sizeComparison(node: SyntaxNode): SyntaxNode | null {
  const member = node.parent;
  if (member?.type !== 'MemberExpression' || member['object'] !== node) return null;
  if (!/^(size|length)$/.test(lastName(child(member, 'property')))) return null;
  const comparison = member.parent;
  if (comparison?.type !== 'BinaryExpression') return null;
  const isLeft = comparison['left'] === member;
  const operators = isLeft ? /^(>=?|={2,3})$/ : /^(<=?|={2,3})$/;
  const operator = String(comparison['operator']);
  if (!operators.test(operator)) return null;
  const limit = child(comparison, isLeft ? 'right' : 'left')?.['value'];
  // A loop that empties a queue asks whether there is an entry. That is no limit.
  const isForAnyEntry = limit === 0 || (limit === 1 && /^[<>]=$/.test(operator));
  return isForAnyEntry ? null : comparison;
}

/** The code that runs when the comparison is true. */
function guardedBranches(comparison: SyntaxNode): SyntaxNode[] {
  const branches: (SyntaxNode | null)[] = [];
  let condition = comparison;
  let parent = condition.parent;
  for (; parent?.type === 'LogicalExpression'; parent = parent.parent) {
    if (parent['operator'] === '&&' && parent['left'] === condition) branches.push(child(parent, 'right'));
    condition = parent;
  }
  if (parent?.['test'] === condition) {
    branches.push(child(parent, 'consequent') ?? child(parent, 'body'), child(parent, 'update'));
  }
  return branches.filter((branch) => branch !== null);
}
