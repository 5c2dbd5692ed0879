/** The page docs/metrics.md, generated from the table of metrics. A test compares the two. */
import { MAX_SERIES, type Metric } from '../../src/export/metric.ts';
import { METRICS } from '../../src/export/metrics.ts';

export function metricsPage(): string {
  const ours = METRICS.filter(({ runtime }) => !runtime);
  const runtime = METRICS.filter((metric) => metric.runtime);
  return `${PAGE_HEAD}
${metricTable(ours)}

## With \`WSGUARD_OTEL_RUNTIME=on\`

These metrics have the names of OpenTelemetry's semantic conventions. They are off by default, because the
OpenTelemetry SDK of the application may export them. The agent does not export heap by space and GC durations
(\`v8js.*\`), because it does not sample them.

${metricTable(runtime)}

${PAGE_TAIL}`;
}

const metricTable = (metrics: readonly Metric[]): string =>
  [
    '| Prometheus name | OpenTelemetry name, unit | type | labels | meaning |',
    '|---|---|---|---|---|',
    ...metrics.map(metricRow),
  ].join('\n');

const metricRow = ({ name, otelName, unit, type, labels, help }: Metric): string =>
  `| \`${name}\` | \`${otelName}\` ${unit} | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`;

const PAGE_HEAD = `<!-- Made by \`npm run docs\` from the table in src/export/metrics.ts. -->
# Metrics

The agent exports the same metrics in three ways:

- a Prometheus page: \`WSGUARD_PROMETHEUS_PORT=9464\`, then \`curl http://127.0.0.1:9464/metrics\`;
- the application's own prom-client registry: \`agent.collectInto(registry)\`;
- OTLP, when \`OTEL_EXPORTER_OTLP_ENDPOINT\` is set. The Prometheus exporter of the OpenTelemetry collector turns the
  dotted names and units into the names of the first column; a test compares both pages.

**A missing series means "no answer", never 0.** There is no time to the limit while nothing grows, no post-GC heap
before the first major GC, and no retained connections before the second one. So write alert rules on values, and use
\`absent()\` only for \`ws_connections_active\`.

The application chooses the names of registries, emitters, events, queues and rooms. Each of these metrics therefore has
at most ${MAX_SERIES} series: the largest ones stay, the others are summed in the series \`other\` and counted in
\`wsguard_agent_series_folded\`.
`;

const PAGE_TAIL = `## Alerts as log records

With OTLP, each change of an alert is also exported as a log record:

| field | value |
|---|---|
| event name | \`wsguard.alert\` |
| severity | WARN (13) for \`warning\`, ERROR (17) for \`critical\` |
| body | the title of the alert |
| attributes | \`wsguard.alert.id\`, \`.fingerprint\`, \`.event\`, \`.n\`, \`.kind\`, \`.family\`, \`.severity\`, \`.subject\`, \`.because\`, \`.evidence.<name>\`, \`.evidence.text\`, \`.culprit.*\`, \`.time_to_limit.*\`, \`.advice\`, \`.docs\`, \`.report\`, \`.snapshots\` |

While the collector is down, the agent keeps the last 256 log records.

## Resource

\`service.name\`, \`service.version\`, \`service.instance.id\`, \`host.name\`, \`process.pid\`, and the attributes of
\`OTEL_RESOURCE_ATTRIBUTES\`. \`service.instance.id\` differs for each process, so that the workers of a cluster do not
overwrite each other's series. On the Prometheus page these are the labels of \`target_info\`.

## Useful alert rules

    # zombies: connections that do not reply to pings
    wsguard_connections_unanswering > 20 and wsguard_connections_unanswering / sum without (transport) (ws_connections_active) > 0.1
    # connections that were opened and never closed
    sum without (transport) (ws_connections_opened_total) - sum without (transport) (ws_connections_closed_total)
    # one hour to the memory limit
    wsguard_time_to_limit_seconds < 3600
    # any open alert
    wsguard_alert_active > 0
`;
