/** docs/metrics.md, made of the table; a test compares the two. */
import type { Metric } from './metric.ts';
import { METRICS } from './metrics.ts';
import { MAX_SERIES } from './series.ts';

export function metricsPage(): string {
  const ours = METRICS.filter(({ runtime }) => !runtime);
  const runtime = METRICS.filter((metric) => metric.runtime);
  return `${HEAD}
${table(ours)}

## With \`WSGUARD_OTEL_RUNTIME=on\`

Names of OpenTelemetry's semantic conventions, off by default because the SDK of the application may emit them. Heap
by space and GC durations (\`v8js.*\`) are left to that SDK: the agent does not sample them.

${table(runtime)}

${TAIL}`;
}

const table = (metrics: readonly Metric[]): string =>
  [
    '| Prometheus | OpenTelemetry, unit | type | labels | |',
    '|---|---|---|---|---|',
    ...metrics.map(row),
  ].join('\n');

const row = ({ name, otelName, unit, type, labels, help }: Metric): string =>
  `| \`${name}\` | \`${otelName}\` ${unit} | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`;

const HEAD = `<!-- Made by \`npm run docs\` from the table in src/export. -->
# Metrics

One table, three ways out: the page at \`WSGUARD_PROMETHEUS_PORT\`, the application's own prom-client registry
(\`agent.collectInto(registry)\`), and OTLP where \`OTEL_EXPORTER_OTLP_ENDPOINT\` is set. The names are the same: the
collector's Prometheus exporter makes the left column of the dotted names and units, and a test compares both pages.

**Absent beats false.** Where there is no answer there is no series: no time to a limit that nothing moves towards, no
floor before the first major collection, no retained connections before two of them. Alert on what is there, and use
\`absent()\` only for \`ws_connections_active\`.

Names that the application chooses (registries, emitters, events, queues, rooms) make at most ${MAX_SERIES} series a
metric: the largest stay, the rest is summed in \`other\` and counted in \`wsguard_agent_series_folded\`.
`;

const TAIL = `## Alerts as log records

Each transition of an alert is an OTLP log record too: event name \`wsguard.alert\`, severity WARN (13) for \`warning\`,
ERROR (17) for \`critical\`, the title as body, and attributes \`wsguard.alert.id\`, \`.fingerprint\`, \`.event\`, \`.n\`,
\`.kind\`, \`.family\`, \`.severity\`, \`.subject\`, \`.because\`, \`.evidence.<name>\`, \`.evidence.text\`, \`.culprit.*\`,
\`.time_to_limit.*\`, \`.advice\`, \`.docs\`, \`.report\`, \`.snapshots\`. They wait (256 of them) for a collector that is down.

## Resource

\`service.name\`, \`service.version\`, \`service.instance.id\` (one for each process, so that the workers of a cluster do not
overwrite each other), \`host.name\`, \`process.pid\`, and what \`OTEL_RESOURCE_ATTRIBUTES\` adds. On the Prometheus page
they are the labels of \`target_info\`.

## Rules worth having

    # zombies: asked and not answering
    wsguard_connections_unanswering > 20 and wsguard_connections_unanswering / sum without (transport) (ws_connections_active) > 0.1
    # what is opened and never closed
    sum without (transport) (ws_connections_opened_total) - sum without (transport) (ws_connections_closed_total)
    # an hour to the limit
    wsguard_time_to_limit_seconds < 3600
    # any open alert
    wsguard_alert_active > 0
`;
