/** The resolved settings as text and as rows for JSON. Secrets are hidden. */
import type { AnySetting } from './parse-setting.ts';
import { problemText } from './load-config.ts';
import { SCHEMA, type ResolvedConfig, type Setting } from './schema.ts';

export interface ShownSetting {
  readonly setting: string;
  readonly env: string;
  readonly value: unknown;
  readonly source: string;
}

const SETTINGS = Object.keys(SCHEMA) as Setting[];
const HIDDEN = '(set, hidden)';
export const NOT_SET = '(not set)';

export function shownSettings({ config, sources }: ResolvedConfig): ShownSetting[] {
  return SETTINGS.map((setting) => {
    const spec: AnySetting = SCHEMA[setting];
    const value = spec.secret === true && config[setting] !== null ? HIDDEN : config[setting];
    return { setting, env: spec.env, value, source: sources[setting] };
  });
}

/** Variables of OpenTelemetry whose values are no secrets. A URL can hold a password, and headers hold tokens. */
const SHOWN_OTEL = /(_PROTOCOL|_EXPORTER|_INTERVAL|_TIMEOUT|_COMPRESSION|_DISABLED|_NAME)$/;

/** The `OTEL_*` variables that are set. The agent and the OpenTelemetry packages read them, and have their defaults. */
export const otelSettings = (env: Readonly<Record<string, string | undefined>>): ShownSetting[] =>
  Object.entries(env)
    .filter(([name, value]) => name.startsWith('OTEL_') && value !== undefined && value.trim() !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({
      setting: name,
      env: name,
      value: SHOWN_OTEL.test(name) ? value : HIDDEN,
      source: 'env',
    }));

/** One line per setting with its value and source, then one line per problem. */
export function configText(settings: readonly ShownSetting[], problems: ResolvedConfig['problems']): string {
  const rows = settings.map(
    ({ setting, env, value, source }) => [env, valueText(value, defaultOf(setting)), source] as const,
  );
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map(([env, value, source]) =>
    `${env.padEnd(widths[0] ?? 0)}  ${value.padEnd(widths[1] ?? 0)}  ${source}`.trimEnd(),
  );
  return [...lines, ...problems.map((problem) => `! ${problemText(problem)}`)].join('\n');
}

/** The text of a default that is computed at start, without Markdown; null for other settings. */
function defaultOf(setting: string): string | null {
  const spec: AnySetting | undefined = SCHEMA[setting as Setting];
  return spec?.defaultText?.replaceAll('`', '') ?? null;
}

/** The value as text; `(not set)` for `null` and an empty list, with what holds instead. */
export function valueText(value: unknown, defaultText: string | null = null): string {
  if (value === null) return defaultText === null ? NOT_SET : `(not set: ${defaultText})`;
  if (Array.isArray(value)) return value.length === 0 ? NOT_SET : value.join(',');
  return String(value as string | number | boolean);
}
