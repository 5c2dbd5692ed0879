import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sourceMaps } from './source-maps.ts';
import type { Sources } from './sources.ts';

const MOST_SOURCE_BYTES = 32 << 20;

/** Source texts, packages and source maps as they lie on this machine's disk. */
export function sourceFiles(): Sources {
  const texts = new Map<string, string | null>();
  const packages = new Map<string, string | null>();
  const text = (file: string): string | null => {
    if (!texts.has(file)) texts.set(file, readText(file));
    return texts.get(file)!;
  };
  const packageOf = (file: string): string | null => {
    const folder = packageFolder(file);
    if (folder === null) return null;
    if (!packages.has(folder)) packages.set(folder, nameAndVersion(folder));
    return packages.get(folder)!;
  };
  return { text, packageOf, original: sourceMaps(text) };
}

function readText(file: string): string | null {
  try {
    const text = readFileSync(file, 'utf8');
    return text.length > MOST_SOURCE_BYTES ? null : text;
  } catch {
    return null;
  }
}

/** `/app/node_modules/@scope/name` of a file inside it. */
function packageFolder(file: string): string | null {
  return /^(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/.exec(file)?.[1] ?? null;
}

function nameAndVersion(folder: string): string {
  const byPath = folder.split(/[\\/]node_modules[\\/]/).at(-1)!;
  try {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    return typeof version === 'string' ? `${typeof name === 'string' ? name : byPath}@${version}` : byPath;
  } catch {
    return byPath;
  }
}
