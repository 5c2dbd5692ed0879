/** `limitOnPath`: the limit that a class of a library or of Node gives to the container at the end of a path. */
import { className } from '../graph/heap.ts';
import type { Graph } from '../graph/graph.ts';
import type { Step } from '../graph/retaining-path.ts';
import { findOwner } from '../locate/locate.ts';
import type { Owner } from '../locate/locate.ts';
import type { Sources } from '../locate/sources.ts';
import { child, childList } from '../locate/syntax-tree.ts';
import type { SyntaxNode } from '../locate/syntax-tree.ts';

const OF_LRU = 'an LRU cache has a limit';
const LIMITED_CLASSES: ReadonlyMap<string, string> = new Map([
  ['LRUCache', OF_LRU],
  ['LRU', OF_LRU],
  ['QuickLRU', OF_LRU],
  ['FreeList', "Node's free lists have a limit"],
  ['WeakRefMap', 'Node keeps one weak reference for each diagnostics channel'],
  ['FixedQueue', 'Node empties its tick queue'],
  ['FixedCircularBuffer', 'Node empties its tick queue'],
]);
/** Minified packages have other class names: that of lru-cache 11 is `u`. */
const LRU_PACKAGE = /[\\/]node_modules[\\/](lru-cache|quick-lru|tiny-lru|lru_map)[\\/]/;
/** The object that has the limit is at most this far from its container. */
const MAX_STEPS = 3;

export const knownLimitOf = (name: string): string | null => LIMITED_CLASSES.get(name) ?? null;

/** Null when no class has a limit, and when the source shows an LRU cache that is created without one. */
export function limitOnPath(graph: Graph, sources: Sources, steps: readonly Step[]): string | null {
  for (let index = Math.max(0, steps.length - MAX_STEPS); index < steps.length; index += 1) {
    const limit = limitOfObject(graph, steps[index]!.node);
    if (limit === null) continue;
    const isUnlimited =
      limit === OF_LRU && isCreatedWithoutLimit(sources, findOwner(graph, steps.slice(0, index + 1)));
    return isUnlimited ? null : limit;
  }
  return null;
}

function limitOfObject({ heap, scripts }: Graph, node: number): string | null {
  const limit = knownLimitOf(className(heap, node));
  if (limit !== null) return limit;
  return LRU_PACKAGE.test(scripts.position(node)?.file ?? '') ? OF_LRU : null;
}

/** lru-cache keeps everything until it is read again when it has a time to live only. */
function isCreatedWithoutLimit(sources: Sources, owner: Owner | null): boolean {
  const name = owner?.names[0]?.name;
  const tree = name === undefined ? null : sources.syntaxTree(owner!.position.file);
  if (tree?.isComplete !== true) return false;
  const creations = (tree.occurrences.get(name!) ?? []).flatMap((occurrence) => {
    const value = valueGivenTo(occurrence);
    return value?.type === 'NewExpression' ? [value] : [];
  });
  return creations.length > 0 && creations.every((each) => !mayHaveLimit(each));
}

/** `caches = value`, `this.caches = value`, and as a declaration or a field. */
function valueGivenTo(occurrence: SyntaxNode): SyntaxNode | null {
  const isField =
    occurrence.parent?.type === 'MemberExpression' && occurrence.parent['property'] === occurrence;
  const target = isField ? occurrence.parent! : occurrence;
  const { parent } = target;
  if (parent?.type === 'VariableDeclarator' && parent['id'] === target) return child(parent, 'init');
  if (parent?.type === 'AssignmentExpression' && parent['left'] === target) return child(parent, 'right');
  const isKey = /^Property(Definition)?$/.test(parent?.type ?? '') && parent?.['key'] === target;
  return isKey ? child(parent, 'value') : null;
}

const LIMIT_OPTION = /^(max(?!Age|Ttl)|limit|size|capacity)|^ttlAutopurge$/i;

function mayHaveLimit(creation: SyntaxNode): boolean {
  const [options] = childList(creation, 'arguments');
  if (options === undefined) return false;
  if (options.type !== 'ObjectExpression') return true;
  return childList(options, 'properties').some((property) => {
    const key = child(property, 'key');
    const name = key?.['name'] ?? key?.['value'];
    const isReadable =
      property.type === 'Property' && property['computed'] !== true && typeof name === 'string';
    return !isReadable || (LIMIT_OPTION.test(name) && !isInfinite(child(property, 'value')));
  });
}

const isInfinite = (value: SyntaxNode | null): boolean =>
  value?.['name'] === 'Infinity' || value?.['value'] === 0;
