/** Finds the source line that adds entries to a container: in the syntax tree, else by regular expressions. */
import { findAdditionByPattern, findEvictionByPattern, isSearchable } from './pattern-search.ts';
import { positionAt } from './sources.ts';
import type { SourcePosition, Sources } from './sources.ts';
import { findAddition, findEviction } from './syntax-search.ts';
import type { ContainerQuery } from './syntax-search.ts';

/** Null when the file is missing or nothing in it adds to the container. */
export function findAddLine(sources: Sources, file: string, query: ContainerQuery): SourcePosition | null {
  const text = sources.text(file);
  if (text === null || !isSearchable(query.name)) return null;
  const tree = sources.syntaxTree(file);
  const offset =
    (tree === null ? null : findAddition(tree, query)) ??
    (tree?.isComplete === true ? null : findAdditionByPattern(text, query));
  return offset === null ? null : positionAt(text, offset);
}

/**
 * Finds code that compares the size of the container and removes entries when it is too large. Such a container grows
 * to a limit, as a cache does. Null without such code.
 */
export function findEvictionLine(sources: Sources, file: string, name: string): SourcePosition | null {
  const text = sources.text(file);
  if (text === null || !isSearchable(name)) return null;
  const tree = sources.syntaxTree(file);
  const offset =
    (tree === null ? null : findEviction(tree, name)) ??
    (tree?.isComplete === true ? null : findEvictionByPattern(text, name));
  return offset === null ? null : positionAt(text, offset);
}
