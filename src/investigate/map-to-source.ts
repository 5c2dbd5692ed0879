/** Maps a root cause to the source that its author wrote: through source maps, with paths as the author sees them. */
import { statSync } from 'node:fs';
import { sep } from 'node:path';
import type { Culprit } from '../types/index.ts';

/** A source map is several times larger than its bundle, and this process reads it into memory. */
const MAX_BUNDLE_BYTES = 8 * 1024 ** 2;

interface BundlePlace {
  readonly file: string;
  /** Line and column count from 1. */
  readonly line: number;
  readonly column: number;
  readonly function: string | null;
}
/** Finds the place in the author's source; null without a source map. */
export type FindOriginal = (place: BundlePlace) => { readonly file: string; readonly line: number } | null;

/** Removes `workingDirectory` from the text only. A program that reads `file` may run in another directory. */
export function mapToSource(culprit: Culprit, workingDirectory: string, findOriginal: FindOriginal): Culprit {
  const mapped = followSourceMap(culprit, findOriginal);
  if (workingDirectory === sep) return mapped;
  return { ...mapped, text: mapped.text.replaceAll(`${workingDirectory}${sep}`, '') };
}

/** Only a place with a column was read from running code. The analysis process has followed source maps itself. */
function followSourceMap({ column, ...culprit }: Culprit, findOriginal: FindOriginal): Culprit {
  const { file, line, text } = culprit;
  if (column === undefined || file === null || line === null || !isSmallEnough(file)) return culprit;
  const original = findOriginal({ file, line, column, function: culprit.function });
  if (original === null) return culprit;
  const place = `${original.file}:${original.line}`;
  return {
    ...culprit,
    text: text.replace(`${file}:${line}`, () => place),
    file: original.file,
    line: original.line,
    // A bundle has the code of packages in the application's file.
    package: packageOf(original.file) ?? culprit.package,
  };
}

const packageOf = (file: string): string | null =>
  /^.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/.exec(file)?.[1]?.replace('\\', '/') ?? null;

function isSmallEnough(file: string): boolean {
  return (
    (statSync(file, { bigint: true, throwIfNoEntry: false })?.size ?? Number.POSITIVE_INFINITY) <=
    MAX_BUNDLE_BYTES
  );
}
