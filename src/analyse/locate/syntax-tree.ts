/** `SyntaxTree`: the syntax tree of a source file with parents, scopes and all occurrences of a name. */

/** A node as acorn and acorn-loose write it (ESTree), with its parent. */
export interface SyntaxNode {
  readonly type: string;
  /** Offsets in the text. */
  readonly start: number;
  readonly end: number;
  parent?: SyntaxNode;
  readonly [field: string]: unknown;
}

export interface SyntaxTree {
  readonly program: SyntaxNode;
  readonly text: string;
  /** False for the tree of the tolerant parser, which may have left out parts of the text. */
  readonly isComplete: boolean;
  /** Name -> identifiers, private names (`#name`) and string keys, in the order of the text. */
  readonly occurrences: ReadonlyMap<string, readonly SyntaxNode[]>;
  /** Function, block or other scope -> names that it declares. */
  readonly declarations: ReadonlyMap<SyntaxNode, ReadonlySet<string>>;
}

export function indexSyntax(program: SyntaxNode, text: string, isComplete: boolean): SyntaxTree {
  const occurrences = new Map<string, SyntaxNode[]>();
  const declarations = new Map<SyntaxNode, Set<string>>();
  const pending = [program];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    const name = nameOf(node);
    // The tolerant parser may use one node twice, for `{ clients }` as key and value.
    if (name !== null && occurrences.get(name)?.at(-1) !== node) {
      const list = occurrences.get(name);
      if (list === undefined) occurrences.set(name, [node]);
      else list.push(node);
    }
    declare(declarations, node);
    for (const below of childrenOf(node)) {
      below.parent = node;
      pending.push(below);
    }
  }
  for (const list of occurrences.values()) list.sort((a, b) => a.start - b.start);
  return { program, text, isComplete, occurrences, declarations };
}

const isNode = (value: unknown): value is SyntaxNode =>
  typeof value === 'object' && value !== null && typeof (value as SyntaxNode).type === 'string';

/** A child node by the field's name; null when the field is empty. */
export function child(node: SyntaxNode | null | undefined, field: string): SyntaxNode | null {
  const value = node?.[field];
  return isNode(value) ? value : null;
}

export function childList(node: SyntaxNode, field: string): SyntaxNode[] {
  const value = node[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** The node and all nodes below it. */
export function descendants(node: SyntaxNode): SyntaxNode[] {
  const nodes = [node];
  for (const each of nodes) nodes.push(...childrenOf(each));
  return nodes;
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (const field of Object.keys(node)) {
    const value = node[field];
    if (typeof value !== 'object' || value === null || field === 'parent') continue;
    if (Array.isArray(value)) {
      for (const element of value) if (isNode(element)) children.push(element);
    } else if (isNode(value)) children.push(value);
  }
  return children;
}

function nameOf(node: SyntaxNode): string | null {
  if (node.type === 'Identifier') return node['name'] as string;
  if (node.type === 'PrivateIdentifier') return `#${node['name'] as string}`;
  const value = node['value'];
  return node.type === 'Literal' && typeof value === 'string' ? value : null;
}

const isFunction = ({ type }: SyntaxNode): boolean =>
  type === 'FunctionDeclaration' || type === 'FunctionExpression' || type === 'ArrowFunctionExpression';

const BLOCK_SCOPES = new Set([
  'Program',
  'BlockStatement',
  'StaticBlock',
  'ForStatement',
  'ForInStatement',
  'ForOfStatement',
  'SwitchStatement',
  'CatchClause',
  'ClassExpression',
]);

const isScope = (node: SyntaxNode): boolean => isFunction(node) || BLOCK_SCOPES.has(node.type);

function enclosing(node: SyntaxNode, matches: (node: SyntaxNode) => boolean): SyntaxNode | null {
  for (let above = node.parent; above !== undefined; above = above.parent) if (matches(above)) return above;
  return null;
}

export const enclosingClass = (node: SyntaxNode): SyntaxNode | null =>
  enclosing(node, ({ type }) => type === 'ClassDeclaration' || type === 'ClassExpression');

/** Enters the names that this node declares into the scope they belong to. */
function declare(declarations: Map<SyntaxNode, Set<string>>, node: SyntaxNode): void {
  const add = (scope: SyntaxNode | null, names: Iterable<string>): void => {
    if (scope === null) return;
    const declared = declarations.get(scope) ?? new Set();
    declarations.set(scope, declared);
    for (const name of names) declared.add(name);
  };
  const id = child(node, 'id');
  if (node.type === 'VariableDeclarator') {
    const isVar = node.parent?.['kind'] === 'var';
    add(enclosing(node, isVar ? isFunctionScope : isScope), patternNames(id));
  } else if (isFunction(node)) {
    // The name of a function expression is visible only inside it.
    const scope = node.type === 'FunctionDeclaration' ? enclosing(node, isScope) : node;
    add(scope, patternNames(id));
    add(node, childList(node, 'params').flatMap(patternNames));
  } else if (node.type === 'ClassDeclaration') add(enclosing(node, isScope), patternNames(id));
  else if (node.type === 'ClassExpression') add(node, patternNames(id));
  else if (node.type === 'CatchClause') add(node, patternNames(child(node, 'param')));
  else if (/^Import\w*Specifier$/.test(node.type)) {
    add(enclosing(node, isFunctionScope), patternNames(child(node, 'local')));
  }
}

const isFunctionScope = (node: SyntaxNode): boolean => isFunction(node) || node.type === 'Program';

/** The variables in a binding pattern: `a`, `{ a, b: c }`, `[a, ...rest]`, `a = 1`. */
export function patternNames(pattern: SyntaxNode | null): string[] {
  switch (pattern?.type) {
    case 'Identifier':
      return [pattern['name'] as string];
    case 'ObjectPattern':
      return childList(pattern, 'properties').flatMap((property) =>
        patternNames(property.type === 'RestElement' ? property : child(property, 'value')),
      );
    case 'ArrayPattern':
      return childList(pattern, 'elements').flatMap(patternNames);
    case 'AssignmentPattern':
      return patternNames(child(pattern, 'left'));
    case 'RestElement':
      return patternNames(child(pattern, 'argument'));
    default:
      return [];
  }
}

/** The scope that declares the name, seen from a node; null for a global or an unknown name. */
export function declaringScope(tree: SyntaxTree, name: string, from: SyntaxNode): SyntaxNode | null {
  for (let scope: SyntaxNode | undefined = from; scope !== undefined; scope = scope.parent) {
    if (tree.declarations.get(scope)?.has(name) === true) return scope;
  }
  return null;
}

/** The innermost function or class that contains an offset; null outside of all. */
export function functionOrClassAt(tree: SyntaxTree, offset: number): SyntaxNode | null {
  let innermost: SyntaxNode | null = null;
  let node: SyntaxNode | undefined = tree.program;
  while (node !== undefined) {
    if (isFunction(node) || node.type === 'ClassDeclaration' || node.type === 'ClassExpression')
      innermost = node;
    node = childrenOf(node).find(({ start, end }) => start <= offset && offset < end);
  }
  return innermost;
}
