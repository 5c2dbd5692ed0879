/** `Sources`: the access of the analysis to source files, and positions in them. */
import type { CodePosition } from '../graph/scripts.ts';
import type { SourceLocation } from '../../types/index.ts';
import type { SyntaxTree } from './syntax-tree.ts';

/** Implemented for the disk by `source-files.ts`; tests use literals. */
export interface Sources {
  /** The text of the file that ran; null when it does not exist on this machine. */
  text(file: string): string | null;
  /** Its syntax tree; null when the file is missing, too large or cannot be parsed. */
  syntaxTree(file: string): SyntaxTree | null;
  /** `name@version` of the package that the file belongs to; null for the application's own files. */
  packageOf(file: string): string | null;
  /** The position in the author's source by the source map; null without one. */
  original(position: CodePosition): { file: string; line: number } | null;
}

export const NO_SOURCES: Sources = {
  text: () => null,
  syntaxTree: () => null,
  packageOf: () => null,
  original: () => null,
};

/** The location to report: in the author's source when there is a source map. */
export function toLocation(position: CodePosition, sources: Sources): SourceLocation {
  const original = sources.original(position);
  return {
    file: original?.file ?? position.file,
    line: original?.line ?? position.line,
    function: position.function,
    package: sources.packageOf(position.file),
    ...(original === null && isLongLine(sources.text(position.file), position.line)
      ? { column: position.column }
      : {}),
  };
}

/** Lines and columns from 1. */
export interface SourcePosition {
  readonly line: number;
  readonly column: number;
}

export function positionAt(text: string, offset: number): SourcePosition {
  const before = text.lastIndexOf('\n', offset - 1);
  let line = 1;
  for (let end = text.indexOf('\n'); end >= 0 && end < offset; end = text.indexOf('\n', end + 1)) line += 1;
  return { line, column: offset - before };
}

/** The offset of a position; -1 when the text has fewer lines. */
export function offsetAt(text: string, { line, column }: SourcePosition): number {
  const start = startOfLine(text, line);
  return start < 0 ? -1 : start + column - 1;
}

/** Lines written by people are shorter. In a longer line only the column tells where to look. */
const MIN_LONG_LINE = 300;

function isLongLine(text: string | null, line: number): boolean {
  const start = text === null ? -1 : startOfLine(text, line);
  if (text === null || start < 0) return false;
  const end = text.indexOf('\n', start);
  return (end < 0 ? text.length : end) - start > MIN_LONG_LINE;
}

function startOfLine(text: string, line: number): number {
  let start = 0;
  for (let each = 1; each < line && start >= 0; each += 1) start = text.indexOf('\n', start) + 1 || -1;
  return start;
}
