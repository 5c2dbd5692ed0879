import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TraceMap } from '@jridgewell/trace-mapping';
import { isPackageFile } from './scripts.ts';
import type { Place } from './scripts.ts';
import type { Sources } from './sources.ts';

const MOST_MAP_BYTES = 256 << 20;
const URL_COMMENT = /\/\/[#@]\s*sourceMappingURL=(\S+)\s*$/gm;
const DATA_URL = /^data:application\/json(?:;charset=[^;,]+)?(;base64)?,(.*)$/s;

/**
 * Leads from the code that ran to the code that was written, by the source map that the file names. Of a package the
 * installed file is what a person can open, so that stays.
 */
export function sourceMaps(textOf: (file: string) => string | null): Sources['original'] {
  const maps = new Map<string, TraceMap | null>();
  return (place) => {
    if (isPackageFile(place.file)) return null;
    if (!maps.has(place.file)) maps.set(place.file, mapOf(place.file, textOf(place.file)));
    const map = maps.get(place.file)!;
    return map === null ? null : trace(map, place);
  };
}

function trace(map: TraceMap, { file, line, column }: Place): ReturnType<Sources['original']> {
  const { originalPositionFor } = tracing();
  const found = originalPositionFor(map, { line, column: column - 1 });
  if (found.source === null) return null;
  return { file: sourcePath(file, found.source), line: found.line };
}

/** A package, so it is asked for when the first map is met: most applications have none. */
const tracing = (): typeof import('@jridgewell/trace-mapping') => require('@jridgewell/trace-mapping');

function mapOf(file: string, text: string | null): TraceMap | null {
  const url = text === null ? undefined : [...text.matchAll(URL_COMMENT)].at(-1)?.[1];
  const json = url === undefined ? readSmall(`${file}.map`) : readMap(file, url);
  if (json === null) return null;
  try {
    const { AnyMap } = tracing();
    return new AnyMap(json);
  } catch {
    return null;
  }
}

function readMap(file: string, url: string): string | null {
  const data = DATA_URL.exec(url);
  if (data !== null) {
    const [, base64, body] = data as unknown as [string, string | undefined, string];
    return base64 === undefined ? decodeURIComponent(body) : Buffer.from(body, 'base64').toString('utf8');
  }
  // Anything but a path would mean a request to somewhere.
  if (/^[a-z]+:/i.test(url) && !url.startsWith('file:')) return null;
  try {
    return readSmall(url.startsWith('file:') ? fileURLToPath(url) : resolve(dirname(file), decodeURI(url)));
  } catch {
    return null;
  }
}

function readSmall(file: string): string | null {
  try {
    return statSync(file).size > MOST_MAP_BYTES ? null : readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Relative to the file that ran; bundlers put a scheme in front. */
function sourcePath(file: string, source: string): string {
  if (source.startsWith('file://')) {
    try {
      return fileURLToPath(source);
    } catch {
      return source;
    }
  }
  const path = source.replace(/^webpack:\/\/[^/]*\/(\.\/)?/, './');
  return /^[a-z]{2,}:/i.test(path) ? path : resolve(dirname(file), path);
}
