/** A culprit as its author would look for it: in the file that was written, by the path from where the server runs. */
import { statSync } from 'node:fs';
import { sep } from 'node:path';
import { sourceFiles } from '../analyse/locate/source-files.ts';
import type { Culprit } from '../types/index.ts';

/** Its map is some times larger and is read within this process. */
const MAX_BUNDLE_BYTES = 8 * 1024 ** 2;

export const mapToSource = (culprit: Culprit, cwd: string): Culprit => shorten(toSource(culprit), cwd);

/** `column` says that the place is one of the code that runs; an analysis has followed the maps itself. */
function toSource({ column, ...culprit }: Culprit): Culprit {
  const { file, line, text } = culprit;
  if (column === undefined || file === null || line === null || !isReadable(file)) return culprit;
  const original = sourceFiles().original({ file, line, column, function: culprit.function });
  if (original === null) return culprit;
  const place = `${original.file}:${original.line}`;
  return {
    ...culprit,
    text: text.replace(`${file}:${line}`, () => place),
    file: original.file,
    line: original.line,
  };
}

function isReadable(file: string): boolean {
  return (statSync(file, { throwIfNoEntry: false })?.size ?? Number.POSITIVE_INFINITY) <= MAX_BUNDLE_BYTES;
}

/** Only the text: what reads `file` may run elsewhere. */
function shorten(culprit: Culprit, cwd: string): Culprit {
  if (cwd === sep) return culprit;
  return { ...culprit, text: culprit.text.replaceAll(`${cwd}${sep}`, '') };
}
