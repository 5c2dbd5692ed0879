/**
 * One table: every setting with its environment name, kind, default and meaning. From it come the type `Config`,
 * the parser of the environment, the docs page and `wsguard config`.
 */
import { choice, row } from './row.ts';

/** Bound to what the settings mean, not to their text: `null` is "not set". */
export const SCHEMA = {
  enabled: row<boolean>(
    'WSGUARD_ENABLED',
    'boolean',
    true,
    'The kill switch, looked at before anything else: with `false` no other setting is read, no file opened, no hook installed.',
  ),
  config: row<string | null>(
    'WSGUARD_CONFIG',
    'string',
    null,
    'A JSON file with the same settings in camel case (`{"intervalMs": 5000}`). A file that is missing or broken is reported and left out.',
  ),
  dir: row<string>('WSGUARD_DIR', 'string', './.wsguard', {
    doc: 'Everything the agent writes goes there. Made at the first alarm, for this user only (0700), with a `.gitignore`.',
    shownDefault: '`--diagnostic-dir`, else `./.wsguard`',
  }),
  service: row<string>('WSGUARD_SERVICE', 'string', 'unknown_service:node', {
    doc: 'The name of the service in alerts and metrics.',
    shownDefault: '`OTEL_SERVICE_NAME`, else the name in the nearest package.json',
  }),
  log: choice(
    'WSGUARD_LOG',
    ['silent', 'error', 'warn', 'info', 'debug'],
    'info',
    'How much is said on stderr, one JSON line each. At `info`: the start, and one line for each change of an alert.',
  ),
  intervalMs: row<number>('WSGUARD_INTERVAL_MS', 'integer', 15_000, {
    doc: 'Time between two samples. At 60000 alerts come about 9 minutes later.',
    min: 250,
    max: 300_000,
  }),
  thread: choice(
    'WSGUARD_THREAD',
    ['auto', 'on', 'off'],
    'auto',
    'Whether detection, metrics and delivery run in a thread of their own. `auto`: yes, where threads are allowed. `off` puts their cost (about 350 ms of CPU at start) on the thread of the application, and an OTLP export under way may delay the end of the process by its timeout.',
  ),
  timeScale: row<number>('WSGUARD_TIME_SCALE', 'number', 1, {
    doc: 'For tests and demos: with 60 a second counts as a minute in windows, warm-up, cooldowns, the ping schedule, quotas and rates per hour. Deadlines, retries, pause and CPU budgets, `OTEL_*`, timestamps and the time to the limit stay real.',
    min: 0.01,
    max: 10_000,
  }),
  ping: choice(
    'WSGUARD_PING',
    ['auto', 'off'],
    'auto',
    'Whether silent WebSocket peers are pinged. `auto` pings only where the application does not, never where a socket timeout is set, at most once per 5 minutes and connection until something is suspected. `off`: peers of an application that does not ping are `unknown`, and zombies among them are not found.',
  ),
  maxConnections: row<number | null>('WSGUARD_MAX_CONNECTIONS', 'integer', null, {
    doc: 'The number of connections that this process is meant to carry, for the alert `connection-limit`.',
    shownDefault: '`server.maxConnections`',
    min: 1,
  }),
  snapshot: choice(
    'WSGUARD_SNAPSHOT',
    ['auto', 'fork', 'inprocess', 'off'],
    'auto',
    'How heap snapshots are taken. `fork`: in a forked child only, which is not part of this version: each is refused. `inprocess`: in the process, which stops for 75 to 130 ms per MB of small objects. `off`: never.',
  ),
  pauseBudgetMs: row<number | null>('WSGUARD_PAUSE_BUDGET_MS', 'integer', null, {
    doc: 'A snapshot whose predicted stop of the server is longer is refused, and the alert says so.',
    shownDefault: '250 for fork, 2000 in process',
    min: 0,
    max: 600_000,
  }),
  spill: choice(
    'WSGUARD_SPILL',
    ['auto', 'off'],
    'auto',
    'Reserved, not part of this version. Whether, where memory is short, the working memory of a capture goes to an unlinked 0600 file in `WSGUARD_DIR` (about 12 times the live heap, while it runs). `off`: the capture is refused instead.',
  ),
  snapshotBaseline: choice(
    'WSGUARD_SNAPSHOT_BASELINE',
    ['off', 'on'],
    'off',
    'Also one snapshot after warm-up, to compare later ones with.',
  ),
  redact: choice(
    'WSGUARD_REDACT',
    ['on', 'off'],
    'on',
    'Whether the values of strings are masked in snapshot files. What is not redacted is uploaded only with `off`.',
  ),
  prometheusPort: row<number | null>('WSGUARD_PROMETHEUS_PORT', 'integer', null, {
    doc: 'Serves `/metrics` on this port; when it is taken, on the next free one of 15. The port is in the start line. 0 is any free port.',
    min: 0,
    max: 65_535,
  }),
  prometheusHost: row<string>(
    'WSGUARD_PROMETHEUS_HOST',
    'string',
    '127.0.0.1',
    'The address of that page. It has no password: bind it to an outside address only in a private network.',
  ),
  webhookUrl: row<string | null>('WSGUARD_WEBHOOK_URL', 'url', null, {
    doc: 'Each change of an alert is POSTed there as JSON. Never a file.',
    secret: true,
  }),
  uploadUrl: row<string | null>('WSGUARD_UPLOAD_URL', 'url', null, {
    doc: 'Snapshot files are PUT to `<url>/<alert id>/<file>`.',
    secret: true,
  }),
  webhookSecret: row<string | null>('WSGUARD_WEBHOOK_SECRET', 'string', null, {
    doc: 'Signs webhook and upload requests (HMAC-SHA256, `X-Wsguard-Signature`).',
    secret: true,
  }),
  s3Bucket: row<string | null>(
    'WSGUARD_S3_BUCKET',
    'string',
    null,
    'Reserved: upload to S3 is not part of this version; set, it is reported at start.',
  ),
  s3Prefix: row<string | null>('WSGUARD_S3_PREFIX', 'string', null, 'Reserved.'),
  s3Endpoint: row<string | null>('WSGUARD_S3_ENDPOINT', 'url', null, 'Reserved.'),
  s3Region: row<string | null>('WSGUARD_S3_REGION', 'string', null, 'Reserved.'),
  s3PathStyle: row<boolean>('WSGUARD_S3_PATH_STYLE', 'boolean', false, 'Reserved.'),
  mute: row<readonly string[]>(
    'WSGUARD_MUTE',
    'list',
    [],
    'Alerts that are only recorded, not delivered: `fingerprint:until`, comma separated, `until` as an ISO date.',
  ),
  otelRuntime: choice(
    'WSGUARD_OTEL_RUNTIME',
    ['off', 'on'],
    'off',
    'Also emit `nodejs.*` and `process.*` metrics. Off by default, because the SDK of the application may emit them.',
  ),
} as const;

export type Setting = keyof typeof SCHEMA;

/** Every setting, resolved once and frozen. OTEL_* are read by the exporter, which is handed the environment. */
export type Config = { readonly [K in Setting]: (typeof SCHEMA)[K]['fallback'] };

/** What `start()` takes: the settings in camel case. */
export type StartOptions = { readonly [K in Setting]?: Config[K] | undefined };

/** Where a value came from; the last three are defaults that are found out at start. */
export type SettingSource =
  | 'default'
  | 'file'
  | 'code'
  | 'env'
  | '--diagnostic-dir'
  | 'OTEL_SERVICE_NAME'
  | 'OTEL_RESOURCE_ATTRIBUTES'
  | 'package.json';

/** A value that was not taken; the layer below was kept. `value` is masked where the setting is a secret. */
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
  /** From OTEL_RESOURCE_ATTRIBUTES, else package.json. */
  readonly serviceVersion: string | null;
}
