/**
 * One table: every setting with its environment name, kind, default and meaning. From it come the type `Config`,
 * the parser of the environment, the docs page and `wsguard config`.
 */

interface Row<T> {
  readonly env: string;
  readonly kind: 'boolean' | 'integer' | 'number' | 'string' | 'url' | 'choice' | 'list';
  readonly fallback: T;
  readonly doc: string;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly secret?: true;
}

type More<T> = Omit<Row<T>, 'env' | 'kind' | 'fallback'>;

const row = <T>(env: string, kind: Row<T>['kind'], fallback: T, more: More<T> | string): Row<T> => ({
  env,
  kind,
  fallback,
  ...(typeof more === 'string' ? { doc: more } : more),
});

const choice = <C extends string>(env: string, choices: readonly C[], fallback: C, doc: string): Row<C> =>
  row<C>(env, 'choice', fallback, { doc, choices });

/** Bound to what the settings mean, not to their text: `null` is "not set". */
export const SCHEMA = {
  enabled: row<boolean>(
    'WSGUARD_ENABLED',
    'boolean',
    true,
    'The kill switch; looked at before anything else.',
  ),
  config: row<string | null>(
    'WSGUARD_CONFIG',
    'string',
    null,
    'A JSON file with the same names in camel case.',
  ),
  dir: row<string | null>(
    'WSGUARD_DIR',
    'string',
    null,
    'Where everything is written; made at the first alarm.',
  ),
  service: row<string | null>(
    'WSGUARD_SERVICE',
    'string',
    null,
    'Name of the service in alerts and metrics.',
  ),
  log: choice(
    'WSGUARD_LOG',
    ['silent', 'error', 'warn', 'info', 'debug'],
    'info',
    'How much is said on stderr.',
  ),
  intervalMs: row<number>('WSGUARD_INTERVAL_MS', 'integer', 15_000, {
    doc: 'Time between samples.',
    min: 250,
    max: 300_000,
  }),
  thread: choice(
    'WSGUARD_THREAD',
    ['auto', 'on', 'off'],
    'auto',
    'Whether the watcher runs in a thread of its own.',
  ),
  timeScale: row<number>('WSGUARD_TIME_SCALE', 'number', 1, {
    doc: 'With 60 a second counts as a minute. For tests.',
    min: 0.01,
    max: 10_000,
  }),
  ping: choice('WSGUARD_PING', ['auto', 'off'], 'auto', 'Whether silent WebSocket peers are pinged.'),
  maxConnections: row<number | null>('WSGUARD_MAX_CONNECTIONS', 'integer', null, {
    doc: 'For `connection-limit`.',
    min: 1,
  }),
  snapshot: choice(
    'WSGUARD_SNAPSHOT',
    ['auto', 'fork', 'inprocess', 'off'],
    'auto',
    'How snapshots are taken.',
  ),
  pauseBudgetMs: row<number | null>('WSGUARD_PAUSE_BUDGET_MS', 'integer', null, {
    doc: 'Longest stop a snapshot may cause.',
    min: 0,
  }),
  spill: choice('WSGUARD_SPILL', ['auto', 'off'], 'auto', 'Whether a capture may spill its memory to disk.'),
  snapshotBaseline: choice(
    'WSGUARD_SNAPSHOT_BASELINE',
    ['off', 'on'],
    'off',
    'Also one snapshot after warm-up.',
  ),
  redact: choice('WSGUARD_REDACT', ['on', 'off'], 'on', 'Whether values are masked in snapshot files.'),
  prometheusPort: row<number | null>('WSGUARD_PROMETHEUS_PORT', 'integer', null, {
    doc: 'Serves `/metrics` there.',
    min: 0,
    max: 65_535,
  }),
  prometheusHost: row<string>('WSGUARD_PROMETHEUS_HOST', 'string', '127.0.0.1', 'The address of that page.'),
  webhookUrl: row<string | null>('WSGUARD_WEBHOOK_URL', 'url', null, {
    doc: 'Alerts are POSTed there.',
    secret: true,
  }),
  uploadUrl: row<string | null>('WSGUARD_UPLOAD_URL', 'url', null, {
    doc: 'Snapshot files are PUT there.',
    secret: true,
  }),
  webhookSecret: row<string | null>('WSGUARD_WEBHOOK_SECRET', 'string', null, {
    doc: 'Signs both.',
    secret: true,
  }),
  s3Bucket: row<string | null>(
    'WSGUARD_S3_BUCKET',
    'string',
    null,
    'Reserved: upload to S3 is not built yet.',
  ),
  s3Prefix: row<string | null>('WSGUARD_S3_PREFIX', 'string', null, 'Reserved.'),
  s3Endpoint: row<string | null>('WSGUARD_S3_ENDPOINT', 'url', null, 'Reserved.'),
  s3Region: row<string | null>('WSGUARD_S3_REGION', 'string', null, 'Reserved.'),
  s3PathStyle: row<boolean>('WSGUARD_S3_PATH_STYLE', 'boolean', false, 'Reserved.'),
  mute: row<readonly string[]>('WSGUARD_MUTE', 'list', [], '`fingerprint:until`, comma separated.'),
  otelRuntime: choice(
    'WSGUARD_OTEL_RUNTIME',
    ['off', 'on'],
    'off',
    'Also emit v8js, nodejs and process metrics.',
  ),
} as const;

export type Setting = keyof typeof SCHEMA;

/** Every setting, resolved once and frozen. OTEL_* are read by the exporter, which is handed the environment. */
export type Config = { readonly [K in Setting]: (typeof SCHEMA)[K]['fallback'] };

export type SettingSource = 'default' | 'file' | 'code' | 'env';

/** A value that was not taken; the layer below was kept. */
export interface ConfigProblem {
  readonly setting: string;
  readonly source: SettingSource;
  readonly value: string;
  readonly expected: string;
}

export interface ResolvedConfig {
  readonly config: Config;
  readonly sources: { readonly [K in Setting]: SettingSource };
  readonly problems: readonly ConfigProblem[];
}
