/** The page docs/configuration.md, generated from the table of settings. A test compares the two. */
import { describeExpected, type AnySetting } from '../../src/config/parse-setting.ts';
import { SCHEMA } from '../../src/config/schema.ts';
import { NOT_SET, valueText } from '../../src/config/settings-text.ts';

export function configurationPage(): string {
  const rows = Object.entries(SCHEMA).map(([name, spec]) => settingRow(name, spec));
  return `${PAGE_HEAD}
| setting | default | accepts | meaning |
|---|---|---|---|
${rows.join('\n')}
| \`OTEL_*\` | | | ${OTEL} |
${PAGE_TAIL}`;
}

function settingRow(name: string, spec: AnySetting): string {
  const unset = valueText(spec.default) === NOT_SET;
  const defaultText = spec.defaultText ?? (unset ? 'none' : `\`${valueText(spec.default)}\``);
  const expected = describeExpected(spec).replace(/\|/g, '\\|');
  return `| \`${spec.env}\`<br>\`${name}\` | ${defaultText} | ${expected} | ${spec.meaning} |`;
}

const OTEL = `Exports metrics and alerts with OpenTelemetry, once an endpoint is set: \`OTEL_EXPORTER_OTLP_ENDPOINT\`, or \`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT\` and \`OTEL_EXPORTER_OTLP_LOGS_ENDPOINT\` for one signal. The agent also follows \`OTEL_SDK_DISABLED\`, \`OTEL_METRICS_EXPORTER\` and \`OTEL_LOGS_EXPORTER\` (\`none\`), headers, timeout, compression, certificates, \`OTEL_METRIC_EXPORT_INTERVAL\`, \`OTEL_SERVICE_NAME\` and \`OTEL_RESOURCE_ATTRIBUTES\`. Protocols: \`http/protobuf\` (default), \`http/json\`, and \`grpc\` if \`@opentelemetry/exporter-metrics-otlp-grpc\` and \`@opentelemetry/exporter-logs-otlp-grpc\` are installed; without them the agent logs [WSGUARD_OTLP_PROTOCOL](errors.md#wsguard_otlp_protocol) and does not export.`;

const PAGE_HEAD = `<!-- Made by \`npm run docs\` from src/config/schema.ts. -->
# Configuration

The agent works without any setting. A setting is read from four places; the later one wins:

1. its default,
2. the JSON file named by \`WSGUARD_CONFIG\` (names in camel case),
3. \`start({ ... })\` in code (the same names),
4. the environment.

The environment wins so that an operator can change or stop a running deployment without a new build.

A wrong value never stops the application. The agent keeps the value of the place before, and logs the setting, the
value and what it expected once at start ([WSGUARD_SETTING](errors.md#wsguard_setting)). An empty variable counts as
not set. For an unknown \`WSGUARD_*\` name the log suggests a similar known one, if there is one.

    npx wsguard config    # each setting with its value and its source, secrets hidden
    npx wsguard doctor    # what works with these settings on this machine, and why not
`;

const PAGE_TAIL = `
## Thresholds

Thresholds are not settings: each was measured together with the others and with the detectors that use it. The page
of each kind in [leaks](leaks) lists its own. The last column says whether the customary figure was kept,
or why not; *measured* means that there is none.

<!-- generated:thresholds -->
<!-- /generated -->

## Secrets

\`WSGUARD_WEBHOOK_URL\`, \`WSGUARD_UPLOAD_URL\`, \`WSGUARD_WEBHOOK_SECRET\`, \`WSGUARD_S3_ENDPOINT\` and the \`AWS_*\`
credentials are never printed, neither in the log, nor by \`wsguard config\`, nor in a report.

When \`WSGUARD_WEBHOOK_SECRET\` is set, the agent signs each request to the webhook and the upload URL:
\`X-Wsguard-Signature: t=<unix seconds>,v1=<hex>\`, where \`v1\` is an HMAC-SHA256 with the secret over \`t.body\` for alerts
and over \`t.sha256\` for files. Compute it from the raw body, and refuse a \`t\` that is minutes old.

An alert may be delivered more than once. Requests with the same \`Idempotency-Key\` carry the same transition.
`;
