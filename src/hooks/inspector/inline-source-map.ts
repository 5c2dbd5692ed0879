/** Maps a location through the source map that transpiled code carries in itself. */
import { SourceMap } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A longer map belongs to a bundle that is on disk too. The watcher reads it there, off this thread. */
const MAX_URL_LENGTH = 1_000_000;
const DATA_URL = /^data:application\/json(?:;charset=[^;,]+)?(;base64)?,(.*)$/s;

export interface SourceLine {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/**
 * tsx, ts-node and similar tools transpile in memory: the file on disk with the script's name is not the code that runs,
 * and no map is beside it. Null when the script has no inline map. Columns start at 1.
 */
export function mapThroughInlineMap(
  sourceMapUrl: string,
  { file, line, column }: SourceLine & { readonly column: number },
): SourceLine | null {
  const data = sourceMapUrl.length > MAX_URL_LENGTH ? null : DATA_URL.exec(sourceMapUrl);
  if (data === null) return null;
  const [, base64, body = ''] = data;
  try {
    const text = base64 === undefined ? decodeURIComponent(body) : Buffer.from(body, 'base64').toString();
    return mapByEntry(new SourceMap(JSON.parse(text)), { file, line, column });
  } catch {
    // The map is malformed. The location in the code that runs is better than none.
    return null;
  }
}

export function mapByEntry(
  map: SourceMap,
  { file, line, column }: SourceLine & { readonly column: number },
): SourceLine | null {
  const entry = map.findEntry(line - 1, column - 1);
  if (!('originalSource' in entry) || entry.originalSource === undefined) return null;
  return { file: absolutePath(entry.originalSource, file), line: entry.originalLine + 1 };
}

const absolutePath = (source: string, file: string): string =>
  source.startsWith('file:') ? fileURLToPath(source) : resolve(dirname(file), source);
