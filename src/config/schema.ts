/**
 * The table of all settings: environment name, type, default and meaning of each. The type `Config`, the parser, the
 * page docs/configuration.md and `wsguard config` are derived from it.
 */

/** The definition of one setting. */
export interface SettingSpec<T> {
  readonly env: string;
  readonly type: 'boolean' | 'integer' | 'number' | 'string' | 'url' | 'choice' | 'list';
  /** The value when nothing sets it; `null` means "not set". */
  readonly default: T;
  readonly meaning: string;
  /** Markdown that the docs page shows instead of `default`, for a default that is computed at start. */
  readonly defaultText?: string;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** The unit of a number, where the name of the setting does not say it. */
  readonly unit?: string;
  /** The whole text of a string must match it; `expected` describes it. */
  readonly pattern?: RegExp;
  readonly expected?: string;
  /** The value is never printed. */
  readonly secret?: true;
}

type Details<T> = Omit<SettingSpec<T>, 'env' | 'type' | 'default'>;

const setting = <T>(
  env: string,
  type: SettingSpec<T>['type'],
  defaultValue: T,
  details: Details<T> | string,
): SettingSpec<T> => ({
  env,
  type,
  default: defaultValue,
  ...(typeof details === 'string' ? { meaning: details } : details),
});

const choice = <C extends string>(
  env: string,
  choices: readonly C[],
  defaultValue: C,
  meaning: string,
): SettingSpec<C> => setting<C>(env, 'choice', defaultValue, { meaning, choices });

export const SCHEMA = {
  enabled: setting<boolean>(
    'WSGUARD_ENABLED',
    'boolean',
    true,
    'Switches the agent off. It is read first: with `false` the agent reads no other setting, opens no file and installs no hook.',
  ),
  config: setting<string | null>(
    'WSGUARD_CONFIG',
    'string',
    null,
    'Path of a JSON file with the same settings in camel case (`{"intervalMs": 5000}`), at most 1 MiB. The agent reports a missing or broken file and starts without it.',
  ),
  dir: setting<string>('WSGUARD_DIR', 'string', './.wsguard', {
    meaning:
      'Directory for everything that the agent writes. The agent creates it at the first alert, or at the start when this setting is set, readable by this user only (0700), with a `.gitignore`.',
    defaultText: '`--diagnostic-dir`, else `./.wsguard`',
  }),
  networkDir: choice(
    'WSGUARD_NETWORK_DIR',
    ['off', 'on'],
    'off',
    'Writes files also when `WSGUARD_DIR` is on a network mount (NFS, SMB, FUSE) that does not hold the application. `off`: a mount that stops responding would keep the process from exiting, so the agent writes no files there. `on`: you accept that.',
  ),
  service: setting<string>('WSGUARD_SERVICE', 'string', 'unknown_service:node', {
    meaning: 'Name of the service in alerts and metrics.',
    defaultText: '`OTEL_SERVICE_NAME`, else the name in the nearest package.json',
  }),
  log: choice(
    'WSGUARD_LOG',
    ['silent', 'error', 'warn', 'info', 'debug'],
    'info',
    'Level of the log on stderr, one JSON object a line. `info` logs the start and each change of an alert.',
  ),
  intervalMs: setting<number>('WSGUARD_INTERVAL_MS', 'integer', 15_000, {
    meaning: 'Time between two samples. With 60000, alerts open about 9 minutes later than with the default.',
    min: 250,
    max: 300_000,
  }),
  thread: choice(
    'WSGUARD_THREAD',
    ['auto', 'on', 'off'],
    'auto',
    'Runs detection, metrics and delivery in a thread of their own (the watcher). `auto`: wherever threads are allowed. `off`: on the application thread, which costs it about 350 ms of CPU at start; an OTLP export in progress can then delay the exit of the process by its timeout.',
  ),
  timeScale: setting<number>('WSGUARD_TIME_SCALE', 'number', 1, {
    meaning:
      'For tests and demos. With 60, one second counts as one minute in windows, warm-up, cooldowns, ping schedule, quotas and rates per hour. Deadlines, retries, pause and CPU budgets, `OTEL_*`, timestamps and the time to the limit stay in real time.',
    min: 0.01,
    max: 10_000,
  }),
  ping: choice(
    'WSGUARD_PING',
    ['auto', 'off'],
    'auto',
    'Pings silent WebSocket peers. `auto`: only where the application does not ping, never where a socket timeout is set, and at most once per connection in 5 minutes until a leak is suspected; where the application listens for pongs, only while a leak is suspected. `off`: the agent cannot find zombies among the peers of an application that does not ping.',
  ),
  maxConnections: setting<number | null>('WSGUARD_MAX_CONNECTIONS', 'integer', null, {
    meaning:
      'Number of connections that this process is meant to serve. The alert `connection-limit` compares with it.',
    defaultText: '`server.maxConnections`',
    min: 1,
  }),
  snapshot: choice(
    'WSGUARD_SNAPSHOT',
    ['auto', 'fork', 'inprocess', 'off'],
    'auto',
    'Takes heap snapshots as evidence for an alert. `fork`: in a forked copy of the process, which stops the server for some milliseconds (Linux only). `inprocess`: in the process, which stops for 75 to 130 ms per MB of small objects. `auto`: with a fork where that works, else in the process. `off`: never. A file `snapshots-off` in `WSGUARD_DIR` switches snapshots off without a restart.',
  ),
  pauseBudgetMs: setting<number | null>('WSGUARD_PAUSE_BUDGET_MS', 'integer', null, {
    meaning:
      'Longest pause that a heap snapshot may cause. If the predicted pause is longer, the snapshot is refused and the alert says so.',
    defaultText: '250 with a fork, 2000 in the process',
    min: 0,
    max: 600_000,
  }),
  spill: choice(
    'WSGUARD_SPILL',
    ['auto', 'off'],
    'auto',
    'Where memory is too short for a forked snapshot, its working memory moves to a file in `WSGUARD_DIR`: about 10 times the live heap, readable by this user only, without a name, gone with the snapshot. It holds parts of the heap that are not masked. `off`: such a snapshot is refused.',
  ),
  snapshotBaseline: choice(
    'WSGUARD_SNAPSHOT_BASELINE',
    ['off', 'on'],
    'off',
    'Takes one more snapshot after warm-up, as a baseline for later ones.',
  ),
  audit: setting<'auto' | 'off' | number>('WSGUARD_AUDIT', 'choice', 'auto', {
    meaning:
      'Takes censuses of containers by itself: it counts the entries of every map, set, array and list in the heap, in a forked process, and compares the counts. `auto`: 20 min after the start, 40 min later, 2 h later, then daily, and every 20 min while a leak is suspected. A number: minutes between two, the first 20 min after the start. `off`: none. `agent.audit()` works with every value.',
    choices: ['auto', 'off'],
    unit: 'minutes',
    min: 5,
    max: 10_080,
  }),
  redact: choice(
    'WSGUARD_REDACT',
    ['on', 'off'],
    'on',
    'Masks the values of strings in snapshot files. Only with `off` is an unredacted file uploaded.',
  ),
  prometheusPort: setting<number | null>('WSGUARD_PROMETHEUS_PORT', 'integer', null, {
    meaning:
      'Port that serves `/metrics`. If it is taken, the agent tries the next 14 ports and logs the one it uses in the start line. 0 means any free port.',
    min: 0,
    max: 65_535,
  }),
  prometheusHost: setting<string>(
    'WSGUARD_PROMETHEUS_HOST',
    'string',
    '127.0.0.1',
    'Address that serves `/metrics`. The page has no password: use an address that is reachable from outside only in a private network.',
  ),
  webhookUrl: setting<string | null>('WSGUARD_WEBHOOK_URL', 'url', null, {
    meaning: 'URL that receives each change of an alert as a JSON POST. Files are never sent there.',
    secret: true,
  }),
  uploadUrl: setting<string | null>('WSGUARD_UPLOAD_URL', 'url', null, {
    meaning: 'URL that receives snapshot files, each as a PUT to `<url>/<alert id>/<file>`.',
    secret: true,
  }),
  s3Bucket: setting<string | null>('WSGUARD_S3_BUCKET', 'string', null, {
    meaning:
      'S3 bucket that receives snapshot files, each as `<prefix>/<alert id>/<file>`, from one of all instances with the same leak. Credentials come from the AWS variables, see [S3](deployment.md#snapshots-in-an-s3-bucket).',
    pattern: /^[A-Za-z0-9][\w.-]{1,253}[A-Za-z0-9]$/,
    expected: 'the name of a bucket, without s3:// and without a path',
  }),
  s3Prefix: setting<string | null>('WSGUARD_S3_PREFIX', 'string', null, {
    meaning: 'Start of each object key in the bucket, for example `wsguard/production`.',
  }),
  s3Endpoint: setting<string | null>('WSGUARD_S3_ENDPOINT', 'url', null, {
    meaning:
      'URL of a server that is compatible with S3. With a wrong value the agent uploads nothing to S3.',
    defaultText: 'AWS, in the region',
    secret: true,
  }),
  s3Region: setting<string>('WSGUARD_S3_REGION', 'string', 'us-east-1', {
    meaning: 'Region of the bucket.',
    defaultText: '`AWS_REGION`, else `AWS_DEFAULT_REGION`, else `us-east-1`',
    pattern: /^[a-z0-9-]{1,63}$/,
    expected: 'a region such as eu-central-1',
  }),
  s3PathStyle: choice(
    'WSGUARD_S3_PATH_STYLE',
    ['auto', 'on', 'off'],
    'auto',
    'Place of the bucket in the URL. `on`: in the path. `off`: in the host name. `auto`: in the path with `WSGUARD_S3_ENDPOINT` or when the name has a dot, else in the host name.',
  ),
  webhookSecret: setting<string | null>('WSGUARD_WEBHOOK_SECRET', 'string', null, {
    meaning:
      'Secret that signs the requests to the webhook and the upload URL (HMAC-SHA256, header `X-Wsguard-Signature`).',
    secret: true,
  }),
  mute: setting<readonly string[]>(
    'WSGUARD_MUTE',
    'list',
    [],
    'Alerts that are written to `alerts.ndjson` and not delivered: `fingerprint:until`, comma separated, `until` as an ISO date.',
  ),
  otelRuntime: choice(
    'WSGUARD_OTEL_RUNTIME',
    ['off', 'on'],
    'off',
    'Also exports `nodejs.*` and `process.*` metrics. Off by default, because the OpenTelemetry SDK of the application may export them.',
  ),
} as const;

export type Setting = keyof typeof SCHEMA;

/** Every setting, resolved once and frozen. The exporters read `OTEL_*` from the environment themselves. */
export type Config = { readonly [K in Setting]: (typeof SCHEMA)[K]['default'] };

/** Options of `start()`: the settings in camel case. */
export type StartOptions = { readonly [K in Setting]?: Config[K] | undefined };

/** The layer that set a value. The sources from `--diagnostic-dir` on are defaults that are computed at start. */
export type SettingSource =
  | 'default'
  | 'file'
  | 'code'
  | 'env'
  | '--diagnostic-dir'
  | 'OTEL_SERVICE_NAME'
  | 'OTEL_RESOURCE_ATTRIBUTES'
  | 'AWS_REGION'
  | 'AWS_DEFAULT_REGION'
  | 'package.json';

/** A value that is ignored; the value of the layer below stays in force. A secret is masked in `value`. */
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
  /** From OTEL_RESOURCE_ATTRIBUTES, else from package.json. */
  readonly serviceVersion: string | null;
}
