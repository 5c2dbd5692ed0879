/**
 * `findLimitLine`: code that keeps a container at a limit without an eviction that `findEvictionLine` sees. Rings overwrite
 * their oldest entry, histories keep a slice, a full cache calls a function that evicts, and a total is kept below a limit.
 */
import { positionAt } from './sources.ts';
import type { SourcePosition, Sources } from './sources.ts';
import { lastName, referenceAt, sizeComparison } from './syntax-search.ts';
import type { ContainerQuery } from './syntax-search.ts';
import { findTotalLimit } from './total-limit.ts';
import { child, childList, descendants } from './syntax-tree.ts';
import type { SyntaxNode, SyntaxTree } from './syntax-tree.ts';

const EVICTING = /evict|prune|trim|shrink|expire|compact|rotate|oldest/i;

/** Null without such code, or without a complete source. The container must have the name itself. */
export function findLimitLine(sources: Sources, file: string, query: ContainerQuery): SourcePosition | null {
  const tree = sources.syntaxTree(file);
  if (tree?.isComplete !== true) return null;
  for (const occurrence of tree.occurrences.get(query.name) ?? []) {
    const node = referenceAt(occurrence)?.node;
    if (node === undefined) continue;
    const isLimited = isRingWrite(tree, node) || isKeptSlice(node) || isGuarded(node);
    if (isLimited) return positionAt(tree.text, node.start);
  }
  const total = findTotalLimit(tree, query);
  return total === null ? null : positionAt(tree.text, total);
}

/** `slots[next % size] = item`, or with an index that goes round elsewhere: `next = (next + 1) % size`. */
function isRingWrite(tree: SyntaxTree, node: SyntaxNode): boolean {
  const member = node.parent;
  if (member?.type !== 'MemberExpression' || member['object'] !== node || member['computed'] !== true)
    return false;
  const assignment = member.parent;
  if (assignment?.type !== 'AssignmentExpression' || assignment['left'] !== member) return false;
  const index = child(member, 'property');
  return index !== null && (isModulo(index) || isRoundCounter(tree, index));
}

const isModulo = (node: SyntaxNode): boolean =>
  descendants(node).some(
    ({ type, operator }) => type === 'BinaryExpression' && (operator === '%' || operator === '&'),
  );

const isModuloOrNull = (node: SyntaxNode | null): boolean => node !== null && isModulo(node);

function isRoundCounter(tree: SyntaxTree, index: SyntaxNode): boolean {
  const counter = index.type === 'UpdateExpression' ? child(index, 'argument') : index;
  const uses = tree.occurrences.get(lastName(counter)) ?? [];
  return uses.some((use) => {
    const target = referenceAt(use)?.node;
    const parent = target?.parent;
    if (parent?.type === 'VariableDeclarator') return isModuloOrNull(child(parent, 'init'));
    if (parent?.type !== 'AssignmentExpression' || parent['left'] !== target) return false;
    const value = child(parent, 'right');
    return parent['operator'] === '%=' || isModuloOrNull(value) || isReset(parent, value);
  });
}

/** `if (next === size) next = 0` and `next = next < last ? next + 1 : 0` */
function isReset(assignment: SyntaxNode, value: SyntaxNode | null): boolean {
  const isZero = (node: SyntaxNode | null): boolean => node?.type === 'Literal' && node['value'] === 0;
  if (value?.type === 'ConditionalExpression')
    return isZero(child(value, 'consequent')) || isZero(child(value, 'alternate'));
  const statement = assignment.parent;
  const block = statement?.type === 'ExpressionStatement' ? statement.parent : statement;
  const condition = block?.type === 'BlockStatement' ? block.parent : block;
  return isZero(value) && condition?.type === 'IfStatement';
}

/** `history = [...history, entry].slice(-100)` */
function isKeptSlice(node: SyntaxNode): boolean {
  const assignment = node.parent;
  if (assignment?.type !== 'AssignmentExpression' || assignment['left'] !== node) return false;
  const value = child(assignment, 'right');
  if (value?.type !== 'CallExpression' || lastName(child(value, 'callee')) !== 'slice') return false;
  const [from] = childList(value, 'arguments');
  return from?.type === 'UnaryExpression' && from['operator'] === '-';
}

/** `if (cache.size > limit) this.evictOldest()` */
function isGuarded(node: SyntaxNode): boolean {
  const comparison = sizeComparison(node);
  const parent = comparison?.parent;
  if (parent?.['test'] !== comparison || !/^(If|While)Statement$/.test(parent?.type ?? '')) return false;
  const branch = child(parent, 'consequent') ?? child(parent, 'body');
  if (branch === null) return false;
  return descendants(branch).some(
    (each) => each.type === 'CallExpression' && EVICTING.test(lastName(child(each, 'callee'))),
  );
}
