/** Settings, resolved once: default < file < code < environment. Nothing is thrown; what is wrong is reported. */
import { isAbsolute, resolve } from 'node:path';
import { readSmallRegularFile } from '../core/files.ts';
import { checkValue, expectedOf, nearestName, parseText, type AnyRow, type Parsed } from './parse.ts';
import { SCHEMA } from './schema.ts';
import type { Config, ConfigProblem, ResolvedConfig, Setting, SettingSource } from './schema.ts';
import { findService } from './service.ts';

/** The code under which a `ConfigProblem` is told. */
export const SETTING_CODE = 'WSGUARD_SETTING';

type Environment = Readonly<Record<string, string | undefined>>;

export interface ConfigInput {
  readonly env: unknown;
  readonly code?: unknown;
  /** Reads the settings file and package.json; throws when it cannot. */
  readonly readFile?: (path: string) => string;
  readonly cwd: string;
  readonly mainFile: string | null;
  /** Flags of this process, for `--diagnostic-dir`. */
  readonly execArgv: readonly string[];
}

type ReadableInput = ConfigInput & Required<Pick<ConfigInput, 'readFile'>>;

const SETTINGS = Object.keys(SCHEMA) as Setting[];
const ENV_NAMES = SETTINGS.map((setting) => SCHEMA[setting].env);
/** A settings file or a package.json of this size is a mistake. */
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_SHOWN = 80;
/** Known names of what later versions do: set, they are answered, never passed over in silence. */
const RESERVED: readonly Setting[] = ['s3Bucket', 's3Prefix', 's3Endpoint', 's3Region', 's3PathStyle'];
const INSTEAD = 'no value yet: upload to S3 is not part of this version, WSGUARD_UPLOAD_URL sends files';

class Layers {
  readonly values: Record<string, unknown> = {};
  readonly sources: Record<string, SettingSource> = {};
  readonly problems: ConfigProblem[] = [];

  constructor() {
    for (const setting of SETTINGS) {
      this.values[setting] = SCHEMA[setting].fallback;
      this.sources[setting] = 'default';
    }
  }

  take(setting: Setting, source: SettingSource, parsed: Parsed, given: unknown): void {
    const row: AnyRow = SCHEMA[setting];
    if (parsed.ok && !RESERVED.includes(setting)) {
      this.values[setting] = parsed.value;
      this.sources[setting] = source;
      return;
    }
    const name = source === 'env' ? row.env : setting;
    const value = row.secret ? '(hidden)' : shown(given);
    const expected = RESERVED.includes(setting) ? INSTEAD : expectedOf(row);
    this.problems.push({ setting: name, source, value, expected });
  }

  unknown(name: string, source: SettingSource, known: readonly string[]): void {
    const near = nearestName(name, known);
    const expected = near === null ? 'a known setting' : `a known setting; did you mean ${near}?`;
    // The value of a misspelt secret is a secret too.
    this.problems.push({ setting: name, source, value: '(not read)', expected });
  }
}

/** Reads a settings file or a package.json of at most 1 MiB. */
export const readConfigFile = (path: string): string => readSmallRegularFile(path, MAX_FILE_BYTES);

export function loadConfig({ readFile = readConfigFile, ...given }: ConfigInput): ResolvedConfig {
  const input = { ...given, readFile };
  const env = safeEnvironment(input.env);
  const layers = new Layers();
  if (peek(env, 'enabled') === false) {
    takeEnv(layers, 'enabled', env);
    return finish(layers, null);
  }
  const code = isRecord(input.code) ? input.code : {};
  if (input.code !== undefined && !isRecord(input.code)) {
    layers.problems.push({
      setting: 'start(options)',
      source: 'code',
      value: shown(input.code),
      expected: 'an object of settings',
    });
  }
  takeRecord(layers, readSettingsFile(layers, input, peek(env, 'config') ?? code.config), 'file');
  takeRecord(layers, code, 'code');
  for (const setting of SETTINGS) takeEnv(layers, setting, env);
  for (const name of Object.keys(env)) {
    if (name.startsWith('WSGUARD_') && !ENV_NAMES.includes(name as never)) {
      layers.unknown(name, 'env', ENV_NAMES);
    }
  }
  const serviceVersion = findDefaults(layers, input, env);
  return finish(layers, serviceVersion);
}

/** What the environment says of one setting, before its turn comes. */
function peek(env: Environment, setting: Setting): unknown {
  const row: AnyRow = SCHEMA[setting];
  const parsed = parseText(row, env[row.env] ?? '');
  return parsed.ok ? parsed.value : undefined;
}

function takeEnv(layers: Layers, setting: Setting, env: Environment): void {
  const row: AnyRow = SCHEMA[setting];
  const text = env[row.env];
  // An empty variable is one that is not set: the same as in OpenTelemetry and in most shells' habits.
  if (text !== undefined && text.trim() !== '') layers.take(setting, 'env', parseText(row, text), text);
}

function takeRecord(layers: Layers, record: Record<string, unknown>, source: 'file' | 'code'): void {
  for (const [name, value] of Object.entries(record)) {
    if (!Object.hasOwn(SCHEMA, name)) layers.unknown(name, source, SETTINGS);
    else if (value === undefined) continue;
    else takeTyped(layers, name as Setting, value, source);
  }
}

function takeTyped(layers: Layers, setting: Setting, value: unknown, source: 'file' | 'code'): void {
  const row: AnyRow = SCHEMA[setting];
  const isUnset = value === null && row.fallback === null;
  const text = typeof value === 'string' && row.kind === 'list';
  const parsed = isUnset
    ? { ok: true as const, value: null }
    : text
      ? parseText(row, value)
      : checkValue(row, value);
  layers.take(setting, source, parsed, value);
}

function readSettingsFile(layers: Layers, input: ReadableInput, path: unknown): Record<string, unknown> {
  if (typeof path !== 'string') return {};
  const fail = (expected: string): Record<string, unknown> => {
    layers.problems.push({ setting: SCHEMA.config.env, source: 'file', value: path, expected });
    return {};
  };
  let text: string;
  try {
    text = input.readFile(isAbsolute(path) ? path : resolve(input.cwd, path));
  } catch (error) {
    return fail(`a file that can be read (${reasonOf(error)})`);
  }
  // The error of JSON.parse is not passed on: it quotes the file, which may hold a secret.
  const parsed = attempt<unknown>(() => JSON.parse(text), undefined);
  return isRecord(parsed) ? parsed : fail('a file with one JSON object');
}

/** Defaults that are not constants. Returns the version of the service. */
function findDefaults(layers: Layers, input: ReadableInput, env: Environment): string | null {
  if (layers.sources.dir === 'default') {
    const flag = diagnosticDir([...input.execArgv, ...(env.NODE_OPTIONS ?? '').split(/\s+/)]);
    if (flag !== null) layers.take('dir', '--diagnostic-dir', { ok: true, value: flag }, flag);
  }
  layers.values.dir = resolve(input.cwd, String(layers.values.dir));
  const service = findService({ ...input, env });
  if (layers.sources.service === 'default' && service.name !== null) {
    layers.take('service', service.source, { ok: true, value: service.name }, service.name);
  }
  return service.version;
}

function diagnosticDir(flags: readonly string[]): string | null {
  const at = flags.findLastIndex((flag) => /^--diagnostic[-_]dir(=|$)/.test(flag));
  if (at < 0) return null;
  const inline = flags[at]?.split('=').slice(1).join('=');
  return inline || flags[at + 1] || null;
}

function finish(layers: Layers, serviceVersion: string | null): ResolvedConfig {
  return Object.freeze({
    config: Object.freeze({ ...layers.values }) as unknown as Config,
    sources: Object.freeze({ ...layers.sources }) as ResolvedConfig['sources'],
    problems: Object.freeze([...layers.problems]),
    serviceVersion,
  });
}

/** A copy: an application may empty, replace or booby-trap `process.env` at any time. */
function safeEnvironment(env: unknown): Environment {
  const copy: Record<string, string> = {};
  if (!isRecord(env)) return copy;
  for (const name of attempt(() => Object.keys(env), [])) {
    const value = attempt(() => env[name], undefined);
    if (typeof value === 'string') copy[name] = value;
  }
  return copy;
}

function attempt<T>(task: () => T, fallback: T): T {
  try {
    return task();
  } catch {
    return fallback;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const reasonOf = (error: unknown): string =>
  error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);

function shown(value: unknown): string {
  const text =
    attempt(() => (typeof value === 'string' ? value : JSON.stringify(value)), undefined) ?? typeof value;
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
