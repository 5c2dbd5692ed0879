/** The same program renamed, reordered, bundled or minified. The result of the analysis must not depend on the form. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { originalPositionFor, TraceMap } from '@jridgewell/trace-mapping';
import { buildSync } from 'esbuild';

export const FORMS = [
  'as it is',
  'renamed and reordered',
  'bundled',
  'minified',
  'minified with a map',
] as const;
export type Form = (typeof FORMS)[number];

export interface Disguised {
  readonly program: string;
  /** The line in `source` of a location in the code that ran. */
  readonly lineOf: (location: { file: string; line: number; column?: number }) => number | null;
  /** The text before bundling. Its comments mark the lines of the leaks. */
  readonly source: string;
  /** Maps a path to the names in the code that ran; null when minifying removed them. */
  readonly rename: ((path: string) => string) | null;
}

export function disguise(program: string, form: Form, folder: string): Disguised {
  const source = readFileSync(program, 'utf8');
  const isPlain = (location: { file: string; line: number }): number => location.line;
  if (form === 'as it is') return { program, source, lineOf: isPlain, rename: (path) => path };
  const outfile = join(folder, 'app.js');
  if (form === 'renamed and reordered') {
    const rename = renaming(source);
    const text = rename(reordered(source));
    writeFileSync(outfile, text);
    return { program: outfile, source: text, lineOf: isPlain, rename };
  }
  buildSync({
    entryPoints: [program],
    outfile,
    bundle: true,
    platform: 'node',
    minify: form !== 'bundled',
    sourcemap: form === 'minified with a map' ? true : 'external',
  });
  const map = `${outfile}.map`;
  const hidden = join(folder, 'not-for-the-analysis.json');
  if (form !== 'minified with a map' && existsSync(map)) renameSync(map, hidden);
  const lineOf: Disguised['lineOf'] =
    form === 'minified with a map'
      ? isPlain
      : ({ line, column = 80 }) =>
          originalPositionFor(new TraceMap(readFileSync(hidden, 'utf8')), { line, column: column - 1 }).line;
  return { program: outfile, source, lineOf, rename: form === 'bundled' ? (path) => path : null };
}

/** Renames every variable of the module. */
function renaming(source: string): (text: string) => string {
  const names = [...source.matchAll(/^(?:const|let|class) ([A-Za-z]\w*)/gm)].map(([, name]) => name!);
  const others = new Map(names.map((name, at) => [name, `${name.slice(0, 1)}Renamed${at}`]));
  const pattern = new RegExp(`(?<![\\w$'-]|culprit )(?:${names.join('|')})(?![\\w$'])`, 'g');
  return (text) => text.replace(pattern, (name) => others.get(name)!);
}

/** Reverses the order of the patterns in their object, and moves the code down by a few lines. */
function reordered(source: string): string {
  return source
    .replace(
      /^(const (?:patterns|shapes) = \{\n)(.*?)(^\};$)/ms,
      (_, head: string, body: string, foot: string) => {
        const members = body.split(/^(?=  \w)/m);
        return `${head}${members.reverse().join('')}${foot}`;
      },
    )
    .replace("'use strict';\n", "'use strict';\n// Moved.\n\n\n");
}
