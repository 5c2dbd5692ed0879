/** The settings table for people: the docs page, and what `wsguard config` prints. Secrets are never shown. */
import { expectedOf, type AnyRow } from './parse.ts';
import { SCHEMA } from './schema.ts';
import type { ConfigProblem, ResolvedConfig, Setting } from './schema.ts';

export interface ShownSetting {
  readonly setting: string;
  readonly env: string;
  readonly value: unknown;
  readonly source: string;
}

const SETTINGS = Object.keys(SCHEMA) as Setting[];
const HIDDEN = '(set, hidden)';

export function shownSettings({ config, sources }: ResolvedConfig): ShownSetting[] {
  return SETTINGS.map((setting) => {
    const row: AnyRow = SCHEMA[setting];
    const value = row.secret === true && config[setting] !== null ? HIDDEN : config[setting];
    return { setting, env: row.env, value, source: sources[setting] };
  });
}

export function configText(resolved: ResolvedConfig): string {
  const rows = shownSettings(resolved).map(({ env, value, source }) => [env, textOf(value), source] as const);
  const widths = [0, 1].map((i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const lines = rows.map(([env, value, source]) =>
    `${env.padEnd(widths[0] ?? 0)}  ${value.padEnd(widths[1] ?? 0)}  ${source}`.trimEnd(),
  );
  return [...lines, ...resolved.problems.map((problem) => `! ${problemText(problem)}`)].join('\n');
}

/** One sentence: the setting, what it was, what it should have been. */
export const problemText = ({ setting, source, value, expected }: ConfigProblem): string =>
  `${setting} (${source}): ${value} was not taken, expected ${expected}`;

function textOf(value: unknown): string {
  if (value === null) return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.join(',');
  return String(value as string | number | boolean);
}

/** docs/configuration.md; a test compares it with this. */
export function configurationPage(): string {
  const rows = SETTINGS.map((setting) => pageRow(setting, SCHEMA[setting]));
  return `${PAGE_HEAD}
| setting | default | takes | |
|---|---|---|---|
${rows.join('\n')}
| \`OTEL_*\` | | | ${OTEL} |
${PAGE_TAIL}`;
}

function pageRow(setting: Setting, row: AnyRow): string {
  const fallback =
    row.shownDefault ?? (textOf(row.fallback) === '-' ? 'none' : `\`${textOf(row.fallback)}\``);
  return `| \`${row.env}\`<br>\`${setting}\` | ${fallback} | ${expectedOf(row).replace(/\|/g, '\\|')} | ${row.doc} |`;
}

const OTEL = `Where the OpenTelemetry variables say so, metrics and alerts are exported too. \`OTEL_EXPORTER_OTLP_ENDPOINT\` (or the one of a signal, \`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT\`, \`OTEL_EXPORTER_OTLP_LOGS_ENDPOINT\`) set means: export there. Obeyed: \`OTEL_SDK_DISABLED\`, \`OTEL_METRICS_EXPORTER\` and \`OTEL_LOGS_EXPORTER\` (\`none\`), headers, timeout, compression, certificates, \`OTEL_METRIC_EXPORT_INTERVAL\`, \`OTEL_SERVICE_NAME\`, \`OTEL_RESOURCE_ATTRIBUTES\`. Protocols: \`http/protobuf\` (default), \`http/json\`; \`grpc\` where \`@opentelemetry/exporter-metrics-otlp-grpc\` and \`@opentelemetry/exporter-logs-otlp-grpc\` are installed, otherwise \`WSGUARD_OTLP_PROTOCOL\` is reported and nothing is tried.`;

const PAGE_HEAD = `<!-- Made by \`npm run docs\` from src/config/schema.ts. -->
# Configuration

Nothing has to be set. A setting comes from, the later winning: its default, the file named by \`WSGUARD_CONFIG\`
(JSON, names in camel case), \`start({ ... })\` in code (the same names), the environment. The environment wins so that
an operator can change or stop a running deployment without a new build; \`WSGUARD_ENABLED=false\` is looked at first.

A value that cannot be taken never stops the application: the value of the layer below is kept, and the setting, the
value and what was expected are said once at start ([WSGUARD_SETTING](errors.md#wsguard_setting)). An empty variable is
one that is not set. An unknown \`WSGUARD_*\` name is reported with the nearest known one.

\`npx wsguard config\` prints each setting with its value and its source, secrets hidden. \`npx wsguard doctor\` says what
works with them on this machine.
`;

const PAGE_TAIL = `
## Thresholds

They are not settings: what they were measured with would no longer hold. Each page in [leaks](leaks) has those of its
kind. Where the customary figure held it was kept, where it did not the measured one stands beside it.

| what | warning | critical | customary, and why not |
|---|---|---|---|
| listeners for each connection | 2 | 5 | kept; besides, half a listener left behind per closed connection |
| connections, descriptors of their limit | 80 % | 95 % | kept |
| major collections a minute | 10 | 30 | kept, for major ones only: a healthy server does hundreds of minor ones |
| memory of its limit, held 10 min | 70 % and rising | 85 % | kept, of the capacity that kills: 80 % of \`heap_size_limit\` was never reached before 7 of 7 heap deaths |
| growth of the post-GC floor | 50 MB/h | 100 MB/h | kept as severity only: two points of \`heapUsed\` over 100 MB/h alarmed on 17 of 24 healthy servers |
| event-loop delay (p99), 3 windows of 5 min | 500 ms | | kept |
| connections not answering | 10 more, 8 % of the mean, 10 % of the present | | "memory up, connections flat" missed zombies, which count as connections, and alarmed on 21 to 24 of 24 healthy servers |
| registries, rooms, listeners, retained connections | 10 more, 8 % of the mean connections | | measured |
| queues; bytes waiting to be sent | 500 more; 4 MiB more | | measured |
| Buffers; RSS beyond heap and Buffers | 4 % of memory in 30 min; 10 % and 24 MiB in 60 min | | measured |
| time to the limit | 48 h for slow growth of the floor | 4 h; 30 min is \`exhaustion\` | measured |

## Secrets

\`WSGUARD_WEBHOOK_URL\`, \`WSGUARD_UPLOAD_URL\` and \`WSGUARD_WEBHOOK_SECRET\` are never printed: not in the log, not by
\`wsguard config\`, not in a report. Requests are signed when the secret is set:
\`X-Wsguard-Signature: t=<unix seconds>,v1=<hex>\`, an HMAC-SHA256 with the secret over \`t.body\` for alerts and over
\`t.sha256\` for files. Check it with the raw body, and refuse a \`t\` that is minutes old. Alerts are delivered at least
once: the same \`Idempotency-Key\` is the same transition.
`;
