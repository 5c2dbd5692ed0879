/** Finds the name and version of the service: in OpenTelemetry's environment variables, else in package.json. */
import { dirname, join } from 'node:path';
import type { SettingSource } from './schema.ts';

export interface Service {
  readonly name: string | null;
  readonly source: SettingSource;
  readonly version: string | null;
}

export interface ServiceInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The script that was started; without one the search for package.json starts at `cwd`. */
  readonly mainFile: string | null;
  readonly cwd: string;
  readonly readFile: (path: string) => string;
}

/** Bounds the search; a script rarely lies this deep below its package.json. */
const MAX_DEPTH = 12;

export function findService(input: ServiceInput): Service {
  const attributes = parseResourceAttributes(input.env.OTEL_RESOURCE_ATTRIBUTES);
  const manifest = nearestPackage(input);
  const version = attributes['service.version'] ?? manifest?.version ?? null;
  const envName = input.env.OTEL_SERVICE_NAME?.trim();
  if (envName) return { name: envName, source: 'OTEL_SERVICE_NAME', version };
  const attribute = attributes['service.name'];
  if (attribute) return { name: attribute, source: 'OTEL_RESOURCE_ATTRIBUTES', version };
  if (manifest?.name != null) return { name: manifest.name, source: 'package.json', version };
  return { name: null, source: 'default', version };
}

/** Parses `a=b,c=d` with percent-encoded values. Malformed pairs are skipped, like in the OpenTelemetry SDKs. */
export function parseResourceAttributes(text: string | undefined): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const pair of (text ?? '').split(',')) {
    const equals = pair.indexOf('=');
    if (equals < 1) continue;
    try {
      attributes[pair.slice(0, equals).trim()] = decodeURIComponent(pair.slice(equals + 1).trim());
    } catch {
      // A stray percent sign makes only its own pair malformed.
    }
  }
  return attributes;
}

interface Manifest {
  readonly name: string | null;
  readonly version: string | null;
}

function nearestPackage(input: ServiceInput): Manifest | null {
  let folder = input.mainFile === null ? input.cwd : dirname(input.mainFile);
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    const manifest = readPackage(join(folder, 'package.json'), input.readFile);
    // A package.json without a name only sets the module type of a folder; the package's own one lies further up.
    if (manifest?.name != null) return manifest;
    const parent = dirname(folder);
    if (parent === folder) return null;
    folder = parent;
  }
  return null;
}

function readPackage(path: string, readFile: (path: string) => string): Manifest | null {
  try {
    const { name, version } = JSON.parse(readFile(path)) as { name?: unknown; version?: unknown };
    return {
      name: typeof name === 'string' && name !== '' ? name : null,
      version: typeof version === 'string' ? version : null,
    };
  } catch {
    return null;
  }
}
