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

const PAGE_TAIL = `## How connections ended

\`ws_connection_duration_seconds\` counts each connection when it closes. Its buckets go from a second to seven days, in
real time also with \`WSGUARD_TIME_SCALE\`. The first row that fits gives the \`status\`:

| \`status\` | when |
|---|---|
| \`app_shutdown\` | The server closed the WebSocket with 1001 or 1012, or had stopped listening (\`server.close()\`). |
| \`normal_closure\` | WebSocket: the code is 1000, 1001, 1005 (no code) or from 3000 to 4999. Other transports: the response ended, or a side ended the stream. |
| \`timeout\` | The server ended the connection while the peer had not replied to a ping or a close frame for a second or more, or was unresponsive; or the kernel reported ETIMEDOUT. |
| \`abnormal\` | Everything else: 1006, codes that report errors, resets, sockets that the application destroyed. |

- The time starts when the agent saw the connection. Event streams on a socket that was kept alive, and WebSockets whose
  handshake took longer than a second, are seen by the next sweep, with the next sample; one that closes before it
  counts as 0 s. For connections that are older than the agent it starts with the agent.
- An event stream that ends on a socket that stays open is counted by the next sweep.
- A WebSocket that the server closes in the second in which it opened can miss its \`app_shutdown\` for code 1001.
- Long-polling sessions have no series: engine.io does not keep why a session ended.

## Alerts as log records

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
