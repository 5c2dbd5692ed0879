/**
 * Resolves the settings once. The later layer wins: default, file, code, environment. Nothing throws; a value that
 * cannot be used becomes a `ConfigProblem`, and the value of the layer below stays in force.
 */
import { isAbsolute, resolve } from 'node:path';
import { fileErrorText, readSmallRegularFile } from '../core/files.ts';
import { findService } from './find-service.ts';
import { nearestName } from './nearest-name.ts';
import {
  checkValue,
  describeExpected,
  parseText,
  type AnySetting,
  type ParsedValue,
} from './parse-setting.ts';
import { SCHEMA } from './schema.ts';
import type { Config, ConfigProblem, ResolvedConfig, Setting, SettingSource } from './schema.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface ConfigInput {
  readonly env: unknown;
  readonly code?: unknown;
  /** Reads the settings file and package.json; throws when it cannot. */
  readonly readFile?: (path: string) => string;
  /** Null when it was deleted. */
  readonly cwd: string | null;
  readonly mainFile: string | null;
  /** Flags of this process; `--diagnostic-dir` is read from them. */
  readonly execArgv: readonly string[];
}

type ReadableInput = ConfigInput & Required<Pick<ConfigInput, 'readFile'>>;

/** Relative paths other than the directory start here without a working directory. */
const ROOT = '/';

const SETTINGS = Object.keys(SCHEMA) as Setting[];
const ENV_NAMES = SETTINGS.map((setting) => SCHEMA[setting].env);
const ENV_PREFIX = 'WSGUARD_';
/** A settings file or a package.json of this size is a mistake. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Longest value that a problem repeats. */
const MAX_VALUE_CHARS = 80;
const LIST_COMMAND = '`npx wsguard config` lists them';

/** Collects values, their sources and the problems while the layers are read. */
class ConfigBuilder {
  readonly values: Record<string, unknown> = {};
  readonly sources: Record<string, SettingSource> = {};
  readonly problems: ConfigProblem[] = [];

  constructor() {
    for (const setting of SETTINGS) {
      this.values[setting] = SCHEMA[setting].default;
      this.sources[setting] = 'default';
    }
  }

  set(setting: Setting, source: SettingSource, parsed: ParsedValue, original: unknown): void {
    if (parsed.ok) {
      this.values[setting] = parsed.value;
      this.sources[setting] = source;
      return;
    }
    const spec: AnySetting = SCHEMA[setting];
    this.problems.push({
      setting: source === 'env' ? spec.env : setting,
      source,
      value: spec.secret ? '(hidden)' : shorten(original),
      expected: describeExpected(spec),
    });
  }

  reportUnknown(name: string, source: SettingSource): void {
    const nearest = source === 'env' ? nearestEnvName(name) : nearestSetting(name);
    const hint = nearest === null ? ` (${LIST_COMMAND})` : `; did you mean ${nearest}?`;
    // The value is not repeated: a misspelt secret is still a secret.
    this.problems.push({ setting: name, source, value: '(not read)', expected: `a known setting${hint}` });
  }
}

/** A file and code have the names in camel case; the name of the variable is a common mistake. */
const nearestSetting = (name: string): string | null =>
  SETTINGS.find((setting) => SCHEMA[setting].env === name) ?? nearestName(name, SETTINGS);

/** Compares without the common prefix, which would make WSGUARD_PING the nearest name of WSGUARD_FORK. */
function nearestEnvName(name: string): string | null {
  const suffixes = ENV_NAMES.map((known) => known.slice(ENV_PREFIX.length));
  const nearest = nearestName(name.slice(ENV_PREFIX.length), suffixes);
  return nearest === null ? null : `${ENV_PREFIX}${nearest}`;
}

/** `WSGUARD_INTERVAL_MS (env): abc is ignored, expected a whole number from 250 to 300000`. */
export const problemText = ({ setting, source, value, expected }: ConfigProblem): string =>
  `${setting} (${source}): ${value} is ignored, expected ${expected}`;

/** Reads a settings file or a package.json of at most 1 MiB. */
export const readConfigFile = (path: string): string => readSmallRegularFile(path, MAX_FILE_BYTES);

export function loadConfig({ readFile = readConfigFile, ...rest }: ConfigInput): ResolvedConfig {
  const input = { ...rest, readFile };
  const env = copyEnvironment(input.env);
  const builder = new ConfigBuilder();
  if (peekEnv(env, 'enabled') === false) {
    applyEnv(builder, 'enabled', env);
    return finish(builder, null);
  }
  const code = isRecord(input.code) ? input.code : {};
  if (input.code !== undefined && !isRecord(input.code)) {
    builder.problems.push({
      setting: 'start(options)',
      source: 'code',
      value: shorten(input.code),
      expected: 'an object of settings',
    });
  }
  applyRecord(builder, readSettingsFile(builder, input, peekEnv(env, 'config') ?? code.config), 'file');
  applyRecord(builder, code, 'code');
  for (const setting of SETTINGS) applyEnv(builder, setting, env);
  for (const name of Object.keys(env)) {
    if (name.startsWith(ENV_PREFIX) && !ENV_NAMES.includes(name as never)) builder.reportUnknown(name, 'env');
  }
  const serviceVersion = applyComputedDefaults(builder, input, env);
  return finish(builder, serviceVersion);
}

/** The value that the environment gives to one setting, before the layers are applied. */
function peekEnv(env: Environment, setting: Setting): unknown {
  const spec: AnySetting = SCHEMA[setting];
  const parsed = parseText(spec, env[spec.env] ?? '');
  return parsed.ok ? parsed.value : undefined;
}

function applyEnv(builder: ConfigBuilder, setting: Setting, env: Environment): void {
  const spec: AnySetting = SCHEMA[setting];
  const text = env[spec.env];
  // OpenTelemetry treats an empty variable as unset; so do we.
  if (text !== undefined && text.trim() !== '') builder.set(setting, 'env', parseText(spec, text), text);
}

function applyRecord(builder: ConfigBuilder, record: Record<string, unknown>, source: 'file' | 'code'): void {
  for (const [name, value] of Object.entries(record)) {
    if (!Object.hasOwn(SCHEMA, name)) builder.reportUnknown(name, source);
    else if (value === undefined) continue;
    else builder.set(name as Setting, source, parseTyped(SCHEMA[name as Setting], value), value);
  }
}

function parseTyped(spec: AnySetting, value: unknown): ParsedValue {
  if (value === null && spec.default === null) return { ok: true, value: null };
  return typeof value === 'string' && spec.type === 'list' ? parseText(spec, value) : checkValue(spec, value);
}

function readSettingsFile(
  builder: ConfigBuilder,
  input: ReadableInput,
  path: unknown,
): Record<string, unknown> {
  if (typeof path !== 'string') return {};
  const fail = (expected: string): Record<string, unknown> => {
    builder.problems.push({ setting: SCHEMA.config.env, source: 'file', value: path, expected });
    return {};
  };
  let text: string;
  try {
    text = input.readFile(isAbsolute(path) ? path : resolve(input.cwd ?? ROOT, path));
  } catch (error) {
    return fail(`a readable file (${reasonOf(error)})`);
  }
  try {
    const parsed: unknown = JSON.parse(text);
    return isRecord(parsed) ? parsed : fail('a file with one JSON object');
  } catch (error) {
    return fail(`a file with one JSON object (${syntaxErrorPlace(text, error)})`);
  }
}

/** The message of JSON.parse quotes the file, which may hold a secret, so only the position is passed on. */
function syntaxErrorPlace(text: string, error: unknown): string {
  const position = /\bposition (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
  if (position === undefined) return 'its JSON ends too early or is not valid';
  const before = text.slice(0, Number(position)).split('\n');
  return `its JSON is not valid in line ${before.length}, column ${(before.at(-1) ?? '').length + 1}`;
}

/** Sets the defaults that are computed at start. Returns the version of the service. */
function applyComputedDefaults(
  builder: ConfigBuilder,
  input: ReadableInput,
  env: Environment,
): string | null {
  if (builder.sources.dir === 'default') {
    const flag = diagnosticDir([...input.execArgv, ...(env.NODE_OPTIONS ?? '').split(/\s+/)]);
    if (flag !== null) builder.set('dir', '--diagnostic-dir', { ok: true, value: flag }, flag);
  }
  builder.values.dir = absoluteDir(String(builder.values.dir), input.cwd);
  completeS3(builder, env);
  const service = findService({ ...input, cwd: input.cwd ?? ROOT, env });
  if (builder.sources.service === 'default' && service.name !== null) {
    builder.set('service', service.source, { ok: true, value: service.name }, service.name);
  }
  return service.version;
}

/** Empty for a relative path in a working directory that was deleted: the agent must not write anywhere else. */
const absoluteDir = (dir: string, cwd: string | null): string =>
  cwd === null && !isAbsolute(dir) ? '' : resolve(cwd ?? ROOT, dir);

/** The AWS command line and the SDKs of other languages read AWS_DEFAULT_REGION too. */
function completeS3(builder: ConfigBuilder, env: Environment): void {
  // Without the endpoint, the files would go to AWS instead of the user's server.
  const endpointNames: readonly string[] = ['s3Endpoint', SCHEMA.s3Endpoint.env];
  if (builder.problems.some(({ setting }) => endpointNames.includes(setting))) builder.values.s3Bucket = null;
  if (builder.values.s3Bucket === null || builder.sources.s3Region !== 'default') return;
  for (const source of ['AWS_DEFAULT_REGION', 'AWS_REGION'] as const) {
    const text = env[source];
    if (text) builder.set('s3Region', source, parseText(SCHEMA.s3Region, text), text);
  }
}

/** The last `--diagnostic-dir` wins, as in Node. Node accepts `--diagnostic_dir` too. */
function diagnosticDir(flags: readonly string[]): string | null {
  const index = flags.findLastIndex((flag) => /^--diagnostic[-_]dir(=|$)/.test(flag));
  if (index < 0) return null;
  const inline = flags[index]?.split('=').slice(1).join('=');
  return inline || flags[index + 1] || null;
}

function finish(builder: ConfigBuilder, serviceVersion: string | null): ResolvedConfig {
  return Object.freeze({
    config: Object.freeze({ ...builder.values }) as unknown as Config,
    sources: Object.freeze({ ...builder.sources }) as ResolvedConfig['sources'],
    problems: Object.freeze([...builder.problems]),
    serviceVersion,
  });
}

/** The application may empty or replace `process.env`, or give it getters that throw. */
function copyEnvironment(env: unknown): Environment {
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

const reasonOf = (error: unknown): string => (error instanceof Error ? fileErrorText(error) : String(error));

function shorten(value: unknown): string {
  const text =
    attempt(() => (typeof value === 'string' ? value : JSON.stringify(value)), undefined) ?? typeof value;
  return text.length > MAX_VALUE_CHARS ? `${text.slice(0, MAX_VALUE_CHARS)}…` : text;
}
