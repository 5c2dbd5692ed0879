/** Everything that leaves the process: log lines, files, webhook, upload, OTLP export and the metrics page. */
import { join } from 'node:path';
import { parseResourceAttributes } from '../config/find-service.ts';
import { escapeControls } from '../core/safe-text.ts';
import { createFileSink, writeFailure, type FileSink } from '../deliver/file-sink.ts';
import type { OutboxDirectory } from '../deliver/outbox-files.ts';
import type * as S3UploadModule from '../deliver/s3/s3-upload.ts';
import type { SinkOptions } from '../deliver/sink.ts';
import { createUpload, type Upload } from '../deliver/upload.ts';
import { createWebhook, type Webhook } from '../deliver/webhook.ts';
import { metricsFor } from '../export/metrics.ts';
import { resourceAttributes, startOtel, type Otel } from '../export/otel.ts';
import { startPrometheusServer, type PrometheusServer } from '../export/prometheus-server.ts';
import { reportHtml } from '../report/html/report-html.ts';
import { buildReport } from '../report/report.ts';
import { reportText } from '../report/report-text.ts';
import type { Alert, Analysis, Delivery, ReportPoint, Snapshot } from '../types/index.ts';
import type { WatcherContext } from './context.ts';
import { s3TargetOf } from './s3-target.ts';
import type { WatcherState } from './state.ts';

/** `close()` waits no longer than this for each receiver. */
const CLOSE_DEADLINE_MS = 2000;

export class Outputs {
  /** Settles when all configured exports have started or failed. */
  readonly ready: Promise<void>;
  readonly #context: WatcherContext;
  readonly #state: WatcherState;
  readonly #files: FileSink;
  readonly #webhook: Webhook | null;
  readonly #upload: Upload | null;
  readonly #s3: Upload | null;
  #otel: Otel | null = null;
  #metricsPage: PrometheusServer | null = null;
  #failedExports: readonly string[] = [];

  constructor(context: WatcherContext, state: WatcherState) {
    const { setup, clock, guard } = context;
    const { dir, webhookUrl, uploadUrl, webhookSecret: secret, redact } = setup.config;
    this.#context = context;
    this.#state = state;
    this.#files = createFileSink({ dir, isDenied: setup.noFilesReason !== null });
    const options = (sink: string): SinkOptions => ({
      clock,
      outbox: this.#outboxDirectory(),
      onRetry: (delivery) => this.#count(sink, delivery),
    });
    this.#webhook =
      webhookUrl === null ? null : createWebhook({ ...options('webhook'), url: webhookUrl, secret });
    this.#upload =
      uploadUrl === null ? null : createUpload({ ...options('upload'), url: uploadUrl, secret, redact });
    this.#s3 = guard.run('s3', () => createS3(context, options('s3')), null);
    this.ready = guard.runAsync('exports', () => this.#startExports(), undefined);
  }

  /** Names of the running exports and deliveries, for the start line. */
  destinations(): readonly string[] {
    return [
      ...(this.#metricsPage?.outcome === 'listening' ? [`prometheus ${this.#metricsPage.url}`] : []),
      ...(this.#otel?.exports ?? []).map((signal) => `otlp ${signal}`),
      ...(this.#webhook === null ? [] : ['webhook']),
      ...(this.#upload === null ? [] : ['upload']),
      ...(this.#s3 === null ? [] : [`s3 ${this.#context.setup.config.s3Bucket}`]),
    ];
  }

  /** Exports that are configured and could not start, with the code: for the start line. */
  failedExports(): readonly string[] {
    return this.#failedExports;
  }

  /** Resolves with the path of `report.json` below the directory; null when no file could be written. */
  async writeReport(
    alert: Alert,
    { points, analysis }: { points: readonly ReportPoint[]; analysis: Analysis | null },
  ): Promise<string | null> {
    const { dir } = this.#context.setup.config;
    const path = `${alert.id}/report.json`;
    const report = buildReport({ alert: { ...alert, report: path }, points, analysis, dir });
    const delivery = await this.#files.writeReport(alert.id, {
      'report.json': escapeControls(`${JSON.stringify(report, null, 2)}\n`),
      'report.txt': escapeControls(reportText(report)),
      'report.html': reportHtml(report),
    });
    this.#count('file', delivery);
    return delivery.outcome === 'delivered' ? path : null;
  }

  /** Makes the result of `writeReport` absolute. */
  reportPath(report: string): string {
    return join(this.#context.setup.config.dir, report);
  }

  /** A muted alert goes to the log and to alerts.ndjson only. */
  sendAlert(alert: Alert): void {
    this.#logAlert(alert);
    this.#countWhenDone('file', this.#files.appendAlert(alert));
    if (alert.muted === true) return;
    this.#otel?.emitAlert(alert);
    if (this.#webhook !== null) this.#countWhenDone('webhook', this.#webhook.send(alert));
  }

  uploadSnapshot(alertId: string, snapshot: Snapshot): void {
    if (snapshot.outcome !== 'written') return;
    const { file, redacted } = snapshot;
    for (const [name, sink] of Object.entries({ upload: this.#upload, s3: this.#s3 }))
      if (sink !== null) this.#countWhenDone(name, sink.send({ alertId, file, redacted }));
  }

  /** Continues with what earlier processes could not deliver. Call it when the black box of this process is open. */
  restoreDeliveries(endedFolders: readonly string[]): void {
    const sinks = { webhook: this.#webhook, upload: this.#upload, s3: this.#s3 };
    for (const [name, sink] of Object.entries(sinks))
      for (const delivery of sink?.restore(endedFolders) ?? []) this.#countWhenDone(name, delivery);
  }

  /** Flushes everything that is waiting, within a bounded time. */
  async close(): Promise<void> {
    const pending = [
      this.#otel?.stop(),
      this.#webhook?.idle(CLOSE_DEADLINE_MS),
      this.#upload?.idle(CLOSE_DEADLINE_MS),
      this.#s3?.idle(CLOSE_DEADLINE_MS),
    ];
    this.#otel = null;
    await Promise.all(pending.filter((one) => one !== undefined));
  }

  /** Stops at once and drops what is waiting. */
  stop(): void {
    if (this.#metricsPage?.outcome === 'listening') this.#metricsPage.stop();
    this.#webhook?.stop();
    this.#upload?.stop();
    this.#s3?.stop();
    void this.#otel?.stop();
  }

  async #startExports(): Promise<void> {
    const { setup, log, clock, guard } = this.#context;
    const { config, identity, env } = setup;
    const source = {
      metrics: metricsFor(config.otelRuntime),
      readState: () => this.#state.metrics(),
      resource: resourceAttributes(identity, parseResourceAttributes(env['OTEL_RESOURCE_ATTRIBUTES'])),
    };
    const startExport = (): Otel =>
      startOtel({
        ...source,
        env: process.env,
        clock,
        version: identity.agentVersion,
        onProblem: (problem) => {
          if (problem.code !== 'WSGUARD_OTLP_EXPORT') this.#noteFailure('otlp', problem);
          log.warn({ ...problem }, `OTLP export does not work: ${problem.reason}`);
        },
        onRecovered: (signal) => log.info({ signal }, 'OTLP export works again'),
      });
    this.#otel = guard.run('otlp', startExport, null);
    if (config.prometheusPort === null) return;
    const { prometheusHost: host, prometheusPort: port } = config;
    this.#metricsPage = await startPrometheusServer({ ...source, clock, host, port });
    if (this.#metricsPage.outcome !== 'failed') return;
    this.#noteFailure('prometheus', this.#metricsPage);
    log.error(
      { ...this.#metricsPage },
      `the metrics page cannot listen on ${this.#metricsPage.reason}; set WSGUARD_PROMETHEUS_PORT and WSGUARD_PROMETHEUS_HOST to a free port and an address of this machine`,
    );
  }

  #noteFailure(destination: string, { code, reason }: { code: string; reason: string }): void {
    this.#failedExports = [...this.#failedExports, `${destination} (${code}: ${reason})`];
  }

  #logAlert(alert: Alert): void {
    const { event, id, kind, severity, culprit, culpritBecause, because } = alert;
    const level = event === 'closed' ? 'info' : severity === 'critical' ? 'error' : 'warn';
    // The reader of a log has no directory to start from, and reads text.
    const report = alert.report === null ? null : this.reportPath(`${id}/report.txt`);
    const muted = alert.muted === true ? { muted: true } : {};
    this.#context.log[level](
      {
        event,
        id,
        kind,
        severity,
        culprit: culprit?.text ?? null,
        culpritBecause,
        because,
        report,
        ...muted,
      },
      logMessage(alert),
    );
  }

  /** State that outlives the process needs a directory that is set explicitly, as the black box does. */
  #outboxDirectory(): OutboxDirectory | null {
    const { setup, log } = this.#context;
    const { config, identity, isDirSet } = setup;
    const onUnwritable = (error: unknown): void =>
      log.warn(
        writeFailure(error, config.dir),
        'a pending delivery could not be written to disk; it is lost when the process ends before it is delivered',
      );
    return isDirSet ? { dir: config.dir, identity, onUnwritable } : null;
  }

  #countWhenDone(sink: string, delivery: Promise<Delivery>): void {
    void delivery.then((outcome) => this.#count(sink, outcome));
  }

  #count(sink: string, delivery: Delivery): void {
    this.#state.countDelivery(sink, delivery);
    if (delivery.outcome === 'delivered') return;
    const next = delivery.outcome === 'retry' ? '; the agent tries again' : '';
    this.#context.log.error({ sink, ...delivery }, `a delivery to ${sink} failed: ${delivery.reason}${next}`);
  }
}

/** Loaded only when a bucket is set. */
function createS3(context: WatcherContext, options: SinkOptions): Upload | null {
  const { s3Prefix, redact } = context.setup.config;
  const target = s3TargetOf(context);
  if (target === null) return null;
  const { createS3Upload } = require('../deliver/s3/s3-upload.ts') as typeof S3UploadModule;
  return createS3Upload({ ...options, target, prefix: s3Prefix ?? '', redact });
}

/** Many viewers of logs show the message alone, so it says what an update or the end of an alert brought. */
function logMessage({ event, title, culprit, because }: Alert): string {
  if (event === 'closed') return `closed (${because ?? 'no reason given'}): ${title}`;
  return culprit === null ? title : `${title}; root cause: ${culprit.text}`;
}
