/** `Sources` for the files on this machine: texts, syntax trees, package names and source maps. */
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TraceMap } from '@jridgewell/trace-mapping';
import { cached } from '../../core/cached.ts';
import { readSmallRegularFile } from '../../core/files.ts';
import { isPackageFile } from '../graph/scripts.ts';
import type { CodePosition } from '../graph/scripts.ts';
import type { Sources } from './sources.ts';
import { indexSyntax } from './syntax-tree.ts';
import type { SyntaxNode, SyntaxTree } from './syntax-tree.ts';

const MAX_SOURCE_BYTES = 32 << 20;
const MAX_MAP_BYTES = 256 << 20;
const MAX_MANIFEST_BYTES = 1 << 20;
/**
 * Larger files are searched by regular expressions. Measured on Node 20: for 0.7 MB of minified code, acorn and the index
 * take 1.5 s of CPU time and 80 MB of memory in a new process on a busy machine.
 */
const MAX_PARSED_BYTES = 1 << 20;

export function sourceFiles(): Sources {
  const text = cached(readText);
  const packageIn = cached(nameAndVersion);
  const map = cached((file: string) => readSourceMap(file, text(file)));
  return {
    text,
    syntaxTree: latest((file) => parseSource(text(file))),
    packageOf(file) {
      const folder = packageFolder(file);
      return folder === null ? null : packageIn(folder);
    },
    original(position) {
      // The installed file of a package is the one that a person can open.
      const traceMap = isPackageFile(position.file) ? null : map(position.file);
      return traceMap === null ? null : trace(traceMap, position);
    },
  };
}

/** Keeps only the last value: a syntax tree takes a multiple of the memory of its text. */
function latest<T>(read: (key: string) => T): (key: string) => T {
  let last: { readonly key: string; readonly value: T } | null = null;
  return (key) => {
    if (last?.key !== key) last = { key, value: read(key) };
    return last.value;
  };
}

function readText(file: string): string | null {
  try {
    return readSmallRegularFile(file, MAX_SOURCE_BYTES);
  } catch {
    return null;
  }
}

/** Accepts scripts and modules alike. */
const PARSE_OPTIONS = {
  ecmaVersion: 'latest',
  sourceType: 'script',
  allowReturnOutsideFunction: true,
  allowImportExportEverywhere: true,
  allowAwaitOutsideFunction: true,
  allowSuperOutsideMethod: true,
  allowHashBang: true,
} as const;

/** Never throws. TypeScript and other text that acorn refuses gets the tolerant tree of acorn-loose. */
export function parseSource(text: string | null): SyntaxTree | null {
  if (text === null || text.length > MAX_PARSED_BYTES) return null;
  // Loaded here, because most processes that load this file never parse a source.
  for (const isComplete of [true, false]) {
    try {
      const { parse } = isComplete
        ? (require('acorn') as typeof import('acorn'))
        : (require('acorn-loose') as typeof import('acorn-loose'));
      return indexSyntax(parse(text, PARSE_OPTIONS) as unknown as SyntaxNode, text, isComplete);
    } catch {
      // The tolerant parser comes next. It fails only for code that is nested so deeply that the stack overflows.
    }
  }
  return null;
}

/** `/app/node_modules/@scope/name` for a file inside it. */
function packageFolder(file: string): string | null {
  return /^(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/.exec(file)?.[1] ?? null;
}

function nameAndVersion(folder: string): string {
  const nameByPath = folder.split(/[\\/]node_modules[\\/]/).at(-1)!;
  try {
    const manifest = JSON.parse(
      readSmallRegularFile(join(folder, 'package.json'), MAX_MANIFEST_BYTES),
    ) as Record<string, unknown>;
    const { name, version } = manifest;
    if (typeof version !== 'string') return nameByPath;
    return `${typeof name === 'string' ? name : nameByPath}@${version}`;
  } catch {
    return nameByPath;
  }
}

function trace(map: TraceMap, { file, line, column }: CodePosition): { file: string; line: number } | null {
  const { originalPositionFor } = traceMapping();
  const original = originalPositionFor(map, { line, column: column - 1 });
  if (original.source === null) return null;
  return { file: sourcePath(file, original.source), line: original.line };
}

/** Loaded with the first source map: most applications have none. */
const traceMapping = (): typeof import('@jridgewell/trace-mapping') => require('@jridgewell/trace-mapping');

const URL_COMMENT = /\/\/[#@]\s*sourceMappingURL=(\S+)\s*$/gm;
const DATA_URL = /^data:application\/json(?:;charset=[^;,]+)?(;base64)?,(.*)$/s;

function readSourceMap(file: string, text: string | null): TraceMap | null {
  const url = text === null ? undefined : [...text.matchAll(URL_COMMENT)].at(-1)?.[1];
  const json = url === undefined ? readMapFile(`${file}.map`) : readMapUrl(file, url);
  if (json === null) return null;
  try {
    const { AnyMap } = traceMapping();
    return new AnyMap(json);
  } catch {
    return null;
  }
}

function readMapUrl(file: string, url: string): string | null {
  const data = DATA_URL.exec(url);
  if (data !== null) {
    const [, base64, body] = data as unknown as [string, string | undefined, string];
    return base64 === undefined ? decodeURIComponent(body) : Buffer.from(body, 'base64').toString('utf8');
  }
  // Other schemes would need a request over the network.
  if (/^[a-z]+:/i.test(url) && !url.startsWith('file:')) return null;
  try {
    return readMapFile(url.startsWith('file:') ? fileURLToPath(url) : resolve(dirname(file), decodeURI(url)));
  } catch {
    return null;
  }
}

function readMapFile(file: string): string | null {
  try {
    return readSmallRegularFile(file, MAX_MAP_BYTES);
  } catch {
    return null;
  }
}

/** Sources are relative to the file that ran. Bundlers put a scheme such as `webpack://app/` in front. */
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
