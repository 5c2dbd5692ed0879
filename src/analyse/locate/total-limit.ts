/**
 * `findTotalLimit`: code that keeps a total of the container's entries below a limit, as a cache of images does with their
 * bytes: `while (this.bytes > max) { this.images.delete(oldest); this.bytes -= image.length }`.
 */
import { isRemoval, lastName, referenceAt } from './syntax-search.ts';
import { child, childList, descendants } from './syntax-tree.ts';
import type { SyntaxNode, SyntaxTree } from './syntax-tree.ts';

/** Code that runs while a total is above a limit. */
interface Guard {
  /** The variable or field that has the total. */
  readonly total: string;
  readonly code: SyntaxNode;
}

/** The offset of the removal; null without such code. */
export function findTotalLimit(tree: SyntaxTree, name: string): number | null {
  for (const occurrence of tree.occurrences.get(name) ?? []) {
    const node = referenceAt(occurrence)?.node;
    if (node === undefined || !(isRemoval(node) || isDeleted(node))) continue;
    const own = functionOf(node);
    // A method that removes one entry may be called by the code that compares: `while (bytes > max) this.removeOldest()`.
    const isLimited = [node, ...callsOf(tree, own)].some((each) =>
      guardsOf(each).some((guard) => [guard.code, own].some((code) => isLowered(code, guard.total))),
    );
    if (isLimited) return node.start;
  }
  return null;
}

/** `delete images[oldest]` */
const isDeleted = (node: SyntaxNode): boolean =>
  node.parent?.type === 'MemberExpression' &&
  node.parent['object'] === node &&
  node.parent.parent?.type === 'UnaryExpression' &&
  node.parent.parent['operator'] === 'delete';

const isFunction = ({ type }: SyntaxNode): boolean => /Function/.test(type);

function functionOf(node: SyntaxNode): SyntaxNode | null {
  let above = node.parent;
  while (above !== undefined && !isFunction(above)) above = above.parent;
  return above ?? null;
}

function callsOf(tree: SyntaxTree, own: SyntaxNode | null): SyntaxNode[] {
  const declared = child(own, 'id') ?? child(own?.parent, 'key') ?? child(own?.parent, 'id');
  const name = lastName(declared);
  const key = declared?.type === 'PrivateIdentifier' ? `#${name}` : name;
  return (tree.occurrences.get(key) ?? []).filter((use) => {
    const callee = use.parent?.type === 'MemberExpression' ? use.parent : use;
    return callee.parent?.type === 'CallExpression' && callee.parent['callee'] === callee;
  });
}

/** The guards between the node and the function that it is in. */
function guardsOf(node: SyntaxNode): Guard[] {
  const guards: Guard[] = [];
  let inner = node;
  for (let outer = node.parent; outer !== undefined && !isFunction(outer); outer = outer.parent) {
    const isBranch = outer['consequent'] === inner || outer['body'] === inner;
    if (isBranch) guards.push(...guardsBy(child(outer, 'test'), ABOVE, inner));
    if (outer.type === 'BlockStatement') guards.push(...guardsByExits(outer, inner));
    inner = outer;
  }
  return guards;
}

/** `if (bytes <= max) break;` before the node. */
const guardsByExits = (block: SyntaxNode, statement: SyntaxNode): Guard[] =>
  childList(block, 'body')
    .filter(({ type, end }) => type === 'IfStatement' && end <= statement.start)
    .filter((exit) => EXIT.test(lastStatement(child(exit, 'consequent'))?.type ?? ''))
    .flatMap((exit) => guardsBy(child(exit, 'test'), BELOW, block));

const EXIT = /^(Break|Return)Statement$/;

const lastStatement = (node: SyntaxNode | null): SyntaxNode | null =>
  node?.type === 'BlockStatement' ? (childList(node, 'body').at(-1) ?? null) : node;

/** Operators with the total on their left, and with the total on their right. */
const ABOVE = { left: /^>=?$/, right: /^<=?$/ } as const;
const BELOW = { left: ABOVE.right, right: ABOVE.left } as const;

function guardsBy(
  test: SyntaxNode | null,
  operators: typeof ABOVE | typeof BELOW,
  code: SyntaxNode,
): Guard[] {
  return (test === null ? [] : descendants(test)).flatMap((comparison) => {
    if (comparison.type !== 'BinaryExpression') return [];
    const operator = String(comparison['operator']);
    const [left, right] = [child(comparison, 'left'), child(comparison, 'right')];
    return [
      ...(operators.left.test(operator) && !isZero(right) ? [{ total: lastName(left), code }] : []),
      ...(operators.right.test(operator) && !isZero(left) ? [{ total: lastName(right), code }] : []),
    ];
  });
}

/** Work that is done until nothing is left has no limit. */
const isZero = (node: SyntaxNode | null): boolean => node?.['value'] === 0;

const isLowered = (code: SyntaxNode | null, total: string): boolean =>
  total !== '' &&
  code !== null &&
  descendants(code).some(
    (each) =>
      each.type === 'AssignmentExpression' &&
      each['operator'] === '-=' &&
      lastName(child(each, 'left')) === total,
  );
