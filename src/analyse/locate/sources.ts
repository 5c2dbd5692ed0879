import type { SourceLocation } from '../../types/index.ts';
import type { Place } from './scripts.ts';

/** What the analysis may ask of the disk; answered by `source-files.ts`, by literals in tests. */
export interface Sources {
  /** The text of the file that ran, null when it is not here (a laptop, a container that is gone). */
  text(file: string): string | null;
  /** `name@version` of the package that the file belongs to; null for the application's own. */
  packageOf(file: string): string | null;
  /** Where the author wrote it, by the source map; null when there is none. */
  original(place: Place): { file: string; line: number } | null;
}

export const NO_SOURCES: Sources = { text: () => null, packageOf: () => null, original: () => null };

export function toLocation(place: Place, sources: Sources): SourceLocation {
  const original = sources.original(place);
  return {
    file: original?.file ?? place.file,
    line: original?.line ?? place.line,
    function: place.function,
    package: sources.packageOf(place.file),
    ...(original === null && isLongLine(sources.text(place.file), place.line)
      ? { column: place.column }
      : {}),
  };
}

export const formatSpot = ({ file, line, column }: SourceLocation): string =>
  `${file}:${line}${column === undefined ? '' : `:${column}`}`;

const LONG_LINE = 300;

function isLongLine(text: string | null, line: number): boolean {
  if (text === null) return false;
  let start = 0;
  for (let at = 1; at < line && start >= 0; at++) start = text.indexOf('\n', start) + 1 || -1;
  if (start < 0) return false;
  const end = text.indexOf('\n', start);
  return (end < 0 ? text.length : end) - start > LONG_LINE;
}
