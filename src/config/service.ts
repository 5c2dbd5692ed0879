/** Who this process says it is: OpenTelemetry's environment first, then the package it was started from. */
import { dirname, join } from 'node:path';
import type { SettingSource } from './schema.ts';

export interface ServiceName {
  readonly name: string | null;
  readonly source: SettingSource;
  readonly version: string | null;
}

export interface ServiceInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The started script, and where to look when there is none. */
  readonly mainFile: string | null;
  readonly cwd: string;
  readonly readFile: (path: string) => string;
}

/** A script lies at most so deep below its package.json. */
const MAX_DEPTH = 12;

export function findService(input: ServiceInput): ServiceName {
  const attributes = parseResourceAttributes(input.env.OTEL_RESOURCE_ATTRIBUTES);
  const packaged = nearestPackage(input);
  const version = attributes['service.version'] ?? packaged?.version ?? null;
  const named = input.env.OTEL_SERVICE_NAME?.trim();
  if (named) return { name: named, source: 'OTEL_SERVICE_NAME', version };
  const attribute = attributes['service.name'];
  if (attribute) return { name: attribute, source: 'OTEL_RESOURCE_ATTRIBUTES', version };
  if (packaged?.name != null) return { name: packaged.name, source: 'package.json', version };
  return { name: null, source: 'default', version };
}

/** `a=b,c=d`, percent-encoded values; anything malformed is left out, as the OpenTelemetry SDKs do. */
export function parseResourceAttributes(text: string | undefined): Record<string, string> {
  const found: Record<string, string> = {};
  for (const pair of (text ?? '').split(',')) {
    const at = pair.indexOf('=');
    if (at < 1) continue;
    try {
      found[pair.slice(0, at).trim()] = decodeURIComponent(pair.slice(at + 1).trim());
    } catch {
      // A stray percent sign spoils its own pair only.
    }
  }
  return found;
}

function nearestPackage(input: ServiceInput): { name: string | null; version: string | null } | null {
  let folder = input.mainFile === null ? input.cwd : dirname(input.mainFile);
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    const found = readPackage(join(folder, 'package.json'), input.readFile);
    // A package.json without a name only sets the module type of a folder; the package is further up.
    if (found?.name != null) return found;
    const parent = dirname(folder);
    if (parent === folder) return null;
    folder = parent;
  }
  return null;
}

function readPackage(path: string, readFile: (path: string) => string) {
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
