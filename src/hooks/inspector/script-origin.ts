/** Tells code of the application from code of packages, of Node and of this agent, by the URL of its script. */
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const AGENT_FOLDER = join(__dirname, '..', '..', sep);

/** Modules have URLs, CommonJS files have paths. */
export function scriptFile(url: string): string {
  if (!url.startsWith('file:')) return url;
  try {
    return fileURLToPath(url);
  } catch {
    return url;
  }
}

export const isApplicationFile = (file: string): boolean =>
  /[\\/]/.test(file) &&
  !file.startsWith('node:') &&
  !file.startsWith(AGENT_FOLDER) &&
  packageOfFile(file) === null;

/** The package of a file in `node_modules`; null for the application's own files and for Node's. */
export function packageOfFile(file: string): string | null {
  const parts = file.split(/[\\/]/);
  const index = parts.lastIndexOf('node_modules');
  const [scope, name] = index === -1 ? [] : parts.slice(index + 1);
  if (scope === undefined) return null;
  return scope.startsWith('@') ? `${scope}/${name ?? ''}` : scope;
}
