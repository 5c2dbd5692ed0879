/** Everything that leaves the process: log, files, webhook, upload, OTLP, the metrics page. */
import { join } from 'node:path';
import type { WatcherSetup } from '../channel.ts';
import { parseResourceAttributes } from '../config/find-service.ts';
import { createFileSink } from '../deliver/file-sink.ts';
import { createUpload } from '../deliver/upload.ts';
import { createWebhook } from '../deliver/webhook.ts';
import type { MetricState } from '../export/metric.ts';
import { metricsFor } from '../export/metrics.ts';
import { resourceAttributes, startOtel, type Otel } from '../export/otel.ts';
import { startPrometheusServer, type PrometheusServer } from '../export/prometheus-server.ts';
import type { Guard } from '../core/guard.ts';
import { reportHtml } from '../report/html/report-html.ts';
import { buildReport } from '../report/report.ts';
import { reportText } from '../report/report-text.ts';
import type { Alert, Analysis, Clock, Delivery, Log, ReportPoint, Snapshot } from '../types/index.ts';

interface Deps {
  readonly setup: WatcherSetup;
  readonly clock: Clock;
  readonly log: Log;
  readonly guard: Guard;
  readonly metrics: () => MetricState;
  readonly countDelivery: (sink: string, delivery: Delivery) => void;
}

/** A receiver that does not answer keeps an end of the agent no longer than this. */
const CLOSE_MS = 2000;

interface Story {
  readonly points: readonly ReportPoint[];
  readonly analysis: Analysis | null;
}

export class Outputs {
  /** Settles when everything that is configured runs or has been refused. */
  readonly ready: Promise<void>;
  readonly #deps: Deps;
  readonly #dir: string;
  readonly #files: ReturnType<typeof createFileSink>;
  readonly #webhook: ReturnType<typeof createWebhook> | null;
  readonly #upload: ReturnType<typeof createUpload> | null;
  #otel: Otel | null = null;
  #page: PrometheusServer | null = null;

  constructor(deps: Deps) {
    const { config } = deps.setup;
    const { clock, guard } = deps;
    this.#deps = deps;
    this.#dir = config.dir;
    this.#files = createFileSink({ dir: config.dir, isDenied: !deps.setup.mayWrite });
    const target = (sink: string, url: string) => ({
      url,
      secret: config.webhookSecret,
      clock,
      onRetry: (delivery: Delivery) => this.#note(sink, delivery),
    });
    const { webhookUrl, uploadUrl, redact } = config;
    this.#webhook = webhookUrl === null ? null : createWebhook(target('webhook', webhookUrl));
    this.#upload = uploadUrl === null ? null : createUpload({ ...target('upload', uploadUrl), redact });
    this.ready = guard.runAsync('exports', () => this.#startExports(), undefined);
  }

  /** For the start line. */
  exported(): readonly string[] {
    return [
      ...(this.#page?.outcome === 'listening' ? [`prometheus ${this.#page.url}`] : []),
      ...(this.#otel?.exports ?? []).map((signal) => `otlp ${signal}`),
      ...(this.#webhook === null ? [] : ['webhook']),
      ...(this.#upload === null ? [] : ['upload']),
    ];
  }

  /** Writes it; the path of its JSON below the directory, null where nothing can be written. */
  async report(alert: Alert, { points, analysis }: Story): Promise<string | null> {
    const path = `${alert.id}/report.json`;
    const report = buildReport({ alert: { ...alert, report: path }, points, analysis, dir: this.#dir });
    const written = await this.#files.writeReport(alert.id, {
      'report.json': `${JSON.stringify(report, null, 2)}\n`,
      'report.txt': reportText(report),
      'report.html': reportHtml(report),
    });
    this.#note('file', written);
    return written.outcome === 'delivered' ? path : null;
  }

  /** An absolute path of what `report` gave. */
  pathOf(report: string): string {
    return join(this.#dir, report);
  }

  alert(alert: Alert): void {
    say(this.#deps.log, alert);
    this.#settle('file', this.#files.appendAlert(alert));
    // Muted ones are recorded only.
    if (alert.muted === true) return;
    this.#otel?.emitAlert(alert);
    if (this.#webhook !== null) this.#settle('webhook', this.#webhook.send(alert));
  }

  file(alertId: string, snapshot: Snapshot): void {
    if (this.#upload === null || snapshot.outcome !== 'written') return;
    const { file, redacted } = snapshot;
    this.#settle('upload', this.#upload.send({ alertId, file, redacted }));
  }

  /** Hands over what waits, within a bounded time. */
  async close(): Promise<void> {
    const waiting = [this.#otel?.stop(), this.#webhook?.idle(CLOSE_MS), this.#upload?.idle(CLOSE_MS)];
    this.#otel = null;
    await Promise.all(waiting.filter((one) => one !== undefined));
  }

  /** At once, without waiting. */
  abandon(): void {
    if (this.#page?.outcome === 'listening') this.#page.stop();
    this.#webhook?.stop();
    this.#upload?.stop();
    void this.#otel?.stop();
  }

  async #startExports(): Promise<void> {
    const { setup, log, clock, metrics, guard } = this.#deps;
    const { config, identity, env } = setup;
    const table = metricsFor(config.otelRuntime);
    const resource = resourceAttributes(identity, parseResourceAttributes(env['OTEL_RESOURCE_ATTRIBUTES']));
    const common = { metrics: table, readState: metrics, resource };
    this.#otel = guard.run(
      'otlp',
      () =>
        startOtel({
          ...common,
          env: process.env,
          clock,
          version: identity.agentVersion,
          onProblem: (problem) => log.warn({ ...problem }, 'OTLP export'),
          onRecovered: (signal) => log.info({ signal }, 'OTLP export works again'),
        }),
      null,
    );
    if (config.prometheusPort === null) return;
    const { prometheusHost: host, prometheusPort: port } = config;
    const page = await startPrometheusServer({ ...common, host, port });
    if (page.outcome === 'failed') log.error({ ...page }, 'the metrics page could not be opened');
    this.#page = page;
  }

  #settle(sink: string, delivery: Promise<Delivery>): void {
    void delivery.then((outcome) => this.#note(sink, outcome));
  }

  #note(sink: string, delivery: Delivery): void {
    this.#deps.countDelivery(sink, delivery);
    if (delivery.outcome !== 'delivered') this.#deps.log.error({ sink, ...delivery }, 'not delivered');
  }
}

/** One line per transition. */
function say(log: Log, alert: Alert): void {
  const { event, id, kind, severity, title, culprit, culpritBecause, because, report } = alert;
  const fields = {
    event,
    id,
    kind,
    severity,
    culprit: culprit?.text ?? null,
    culpritBecause,
    because,
    report,
  };
  const level = event === 'closed' ? 'info' : severity === 'critical' ? 'error' : 'warn';
  log[level](fields, title);
}
