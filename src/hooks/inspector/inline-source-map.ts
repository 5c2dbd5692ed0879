import { SourceMap } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** More is a bundle's, which lies on the disk too: the watcher reads it there, off this thread. */
const MAX_MAP_LENGTH = 1_000_000;
const DATA_URL = /^data:application\/json(?:;charset=[^;,]+)?(;base64)?,(.*)$/s;

export interface Spot {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/**
 * Where it was written, when the code that runs carries its map in itself. tsx, ts-node and their like transpile in
 * memory: the file of that name on the disk is not what runs, and no map lies beside it.
 */
export function throughInlineMap(
  sourceMapUrl: string,
  { file, line, column }: Spot & { readonly column: number },
): Spot | null {
  const data = sourceMapUrl.length > MAX_MAP_LENGTH ? null : DATA_URL.exec(sourceMapUrl);
  if (data === null) return null;
  const [, base64, body = ''] = data;
  try {
    const text = base64 === undefined ? decodeURIComponent(body) : Buffer.from(body, 'base64').toString();
    const entry = new SourceMap(JSON.parse(text)).findEntry(line - 1, column - 1);
    if (!('originalSource' in entry)) return null;
    return { file: resolved(file, entry.originalSource), line: entry.originalLine + 1 };
  } catch {
    // Written by a tool that we do not know: the place in the code that runs is better than none.
    return null;
  }
}

const resolved = (file: string, source: string): string =>
  source.startsWith('file:') ? fileURLToPath(source) : resolve(dirname(file), source);
