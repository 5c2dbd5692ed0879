/**
 * `findTotalLimit`: code that keeps a total of the container's entries below a limit, as a cache of images does with their
 * bytes: `images.set(id, image); bytes += image.length; while (bytes > max) { images.delete(oldest); bytes -= old.length }`.
 * Flow control and clean-up compare and lower a number too, so only the function that adds an entry has such a limit: it
 * raises the total, and it compares it or calls the code that does.
 */
import { offsetAt } from './sources.ts';
import { isRemoval, lastName, referenceAt } from './syntax-search.ts';
import type { ContainerQuery } from './syntax-search.ts';
import {
  child,
  childList,
  declaringScope,
  descendants,
  enclosingClass,
  functionOrClassAt,
} from './syntax-tree.ts';
import type { SyntaxNode, SyntaxTree } from './syntax-tree.ts';

/** Code that runs while a total is above a limit. */
interface Guard {
  /** The variable or field that has the total. */
  readonly total: SyntaxNode;
  readonly limit: SyntaxNode;
  readonly code: SyntaxNode;
}

/** The offset of the removal; null without such code. */
export function findTotalLimit(tree: SyntaxTree, query: ContainerQuery): number | null {
  const references = referencesOf(tree, query);
  const additions = references.filter(isAddition);
  const removals = references.filter((node) => isRemoval(node) || isDeleted(node));
  const removal = removals.find((node) => {
    const container = containerOf(tree, query.name, node);
    const same = additions.filter((addition) => containerOf(tree, query.name, addition) === container);
    const adding = new Set(same.map(functionOf));
    const own = functionOf(node);
    // A method that removes one entry may be called by the code that compares: `while (bytes > max) this.removeOldest()`.
    return [node, ...callsOf(tree, own)].some((limited) => {
      const comparing = functionOf(limited);
      const callers = [comparing, ...callsOf(tree, comparing).map(functionOf)].filter((each) =>
        adding.has(each),
      );
      return guardsOf(limited).some(
        (guard) =>
          !names(guard.limit, query.name) &&
          [guard.code, own].some((code) => isLowered(tree, code, guard)) &&
          callers.some((code) => changesOf(tree, code, guard.total, '+=').length > 0),
      );
    });
  });
  return removal?.start ?? null;
}

/** A queue with credit compares it with the size of its next entry: that is no limit. */
const names = (limit: SyntaxNode, name: string): boolean =>
  descendants(limit).some((each) => lastName(each) === name.replace('#', ''));

/** Accesses to the variable, or to the field by `this.` in its class. */
function referencesOf(
  tree: SyntaxTree,
  { name, isVariable = null, from = null }: ContainerQuery,
): SyntaxNode[] {
  const owner = from === null ? null : functionOrClassAt(tree, offsetAt(tree.text, from));
  const scope = owner === null ? null : (declaringScope(tree, name, owner.parent ?? owner) ?? tree.program);
  const ownerClass = owner === null || isClass(owner) ? owner : enclosingClass(owner);
  return (tree.occurrences.get(name) ?? [])
    .flatMap((occurrence) => referenceAt(occurrence)?.node ?? [])
    .filter((node) => {
      const container = containerOf(tree, name, node);
      const isOther = isVariable !== null && isVariable !== (node.type === 'Identifier');
      if (container === null || isOther) return false;
      if (owner === null) return from === null || node.type === 'Identifier';
      return container === (node.type === 'Identifier' ? scope : ownerClass);
    });
}

const isClass = ({ type }: SyntaxNode): boolean => type === 'ClassDeclaration' || type === 'ClassExpression';

/** The scope of the variable or the class of the field: other containers may have the same name. */
function containerOf(tree: SyntaxTree, name: string, node: SyntaxNode): SyntaxNode | null {
  if (node.type === 'Identifier') return declaringScope(tree, name, node) ?? tree.program;
  return child(node, 'object')?.type === 'ThisExpression' ? enclosingClass(node) : null;
}

const ADD_METHODS = /^(set|add|push|unshift)$/;

/** `images.set(id, image)` or `images[id] = image` */
function isAddition(node: SyntaxNode): boolean {
  const member = node.parent;
  if (member?.type !== 'MemberExpression' || member['object'] !== node) return false;
  return member['computed'] === true
    ? member.parent?.type === 'AssignmentExpression' && member.parent['left'] === member
    : isCallee(member) && ADD_METHODS.test(lastName(child(member, 'property')));
}

const isCallee = (node: SyntaxNode): boolean =>
  node.parent?.type === 'CallExpression' && node.parent['callee'] === node;

/** `delete images[oldest]` */
const isDeleted = (node: SyntaxNode): boolean =>
  node.parent?.type === 'MemberExpression' &&
  node.parent['object'] === node &&
  node.parent.parent?.type === 'UnaryExpression' &&
  node.parent.parent['operator'] === 'delete';

const isFunction = ({ type }: SyntaxNode): boolean => /Function/.test(type);

/** The program for code outside of functions. */
function functionOf(node: SyntaxNode): SyntaxNode {
  let above = node;
  while (above.parent !== undefined) {
    above = above.parent;
    if (isFunction(above)) break;
  }
  return above;
}

/** `this.drop()` in the class of the method, or `drop()` where the function is visible. */
function callsOf(tree: SyntaxTree, own: SyntaxNode): SyntaxNode[] {
  const isMethod = /^(Method|Property)Definition$/.test(own.parent?.type ?? '');
  const declared = isMethod ? child(own.parent, 'key') : (child(own, 'id') ?? child(own.parent, 'id'));
  const name = lastName(declared);
  if (name === '' || own.parent === undefined) return [];
  const scope = isMethod ? enclosingClass(own) : declaringScope(tree, name, own.parent);
  const key = declared?.type === 'PrivateIdentifier' ? `#${name}` : name;
  return (tree.occurrences.get(key) ?? []).filter((use) => {
    if (!isMethod) return isCallee(use) && declaringScope(tree, name, use) === scope;
    const member = use.parent;
    const isOwn = member?.['property'] === use && child(member, 'object')?.type === 'ThisExpression';
    return isOwn && isCallee(member) && enclosingClass(use) === scope;
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
    if (left === null || right === null) return [];
    return [
      ...(operators.left.test(operator) && !isZero(right) ? [{ total: left, limit: right, code }] : []),
      ...(operators.right.test(operator) && !isZero(left) ? [{ total: right, limit: left, code }] : []),
    ];
  });
}

/** Work that is done until nothing is left has no limit. */
const isZero = (node: SyntaxNode): boolean => node['value'] === 0;

/** A token bucket is lowered by the number that it was compared with: that number is a price, not a limit. */
const isLowered = (tree: SyntaxTree, code: SyntaxNode, { total, limit }: Guard): boolean =>
  changesOf(tree, code, total, '-=').some(
    (change) => textOf(tree, child(change, 'right')) !== textOf(tree, limit),
  );

/** Assignments to the total, without those of functions inside the code, as handlers. */
function changesOf(
  tree: SyntaxTree,
  code: SyntaxNode,
  total: SyntaxNode,
  operator: '+=' | '-=',
): SyntaxNode[] {
  const own = isFunction(code) ? code : functionOf(code);
  const name = textOf(tree, total);
  return descendants(code).filter((each) => {
    if (each.type !== 'AssignmentExpression' || each['operator'] !== operator) return false;
    const left = child(each, 'left');
    const isTotal =
      left !== null &&
      textOf(tree, left) === name &&
      declaringScope(tree, name, left) === declaringScope(tree, name, total);
    return isTotal && functionOf(each) === own;
  });
}

const textOf = (tree: SyntaxTree, node: SyntaxNode | null): string =>
  node === null ? '' : tree.text.slice(node.start, node.end);
