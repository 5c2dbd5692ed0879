/**
 * Exports metrics and alerts over OTLP. The providers are not registered globally, so an application with its own SDK
 * does not get our series twice. A collector that is down costs a bounded queue and one line in the log.
 */
import type { LogRecordExporter } from '@opentelemetry/sdk-logs';
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { Alert, Clock, Identity } from '../types/index.ts';
import { alertLogRecord } from './alert-log-record.ts';
import type { ReadState } from './collect-into.ts';
import { createLogRecordQueue, type ExportResult } from './log-record-queue.ts';
import type { Metric } from './metric.ts';
import { createMetricProducer } from './metric-producer.ts';
import {
  createLogExporter,
  createMetricExporter,
  readOtlpSettings,
  type Environment,
  type OtlpProblem,
  type OtlpSettings,
} from './otlp-settings.ts';

export type ResourceAttributes = Readonly<Record<string, string | number>>;

export interface OtelOptions {
  /** `process.env` of this thread; the exporters read it too. */
  readonly env: Environment;
  readonly clock: Clock;
  readonly metrics: readonly Metric[];
  readonly readState: ReadState;
  readonly resource: ResourceAttributes;
  readonly version: string;
  /** Called for problems at start, and for the first failed export after one that succeeded. */
  readonly onProblem: (problem: OtlpProblem) => void;
  readonly onRecovered: (signal: Signal) => void;
}

export interface Otel {
  /** Names the exported signals in the start line: `metrics http/protobuf`. */
  readonly exports: readonly string[];
  emitAlert(alert: Alert): void;
  flush(): Promise<void>;
  stop(): Promise<void>;
  /** Number of log records that were dropped because the queue was full. */
  droppedLogs(): number;
}

type Signal = 'metrics' | 'logs';
type ReportResult = (signal: Signal, result: ExportResult) => void;

/** Longest time that an exit of the process waits for the collector. */
const STOP_DEADLINE_MS = 2000;
const NOTHING = Promise.resolve();

export function startOtel(options: OtelOptions): Otel {
  const settings = readOtlpSettings(options.env);
  for (const problem of settings.problems) options.onProblem(problem);
  const metricExporter = settings.metrics === null ? null : createMetricExporter(settings.metrics);
  const logExporter = settings.logs === null ? null : createLogExporter(settings.logs);
  if ((settings.metrics !== null && !metricExporter) || (settings.logs !== null && !logExporter)) {
    const reason =
      'grpc needs @opentelemetry/exporter-metrics-otlp-grpc and @opentelemetry/exporter-logs-otlp-grpc installed';
    options.onProblem({ code: 'WSGUARD_OTLP_PROTOCOL', reason });
  }
  const report = createReporter(options);
  const meter = metricExporter && startMetrics(options, settings, reportResults(metricExporter, report));
  const logger = logExporter && startLogs(options, logExporter, report);
  const settle = async (tasks: readonly Promise<void>[]): Promise<void> => {
    const deadline = new Promise<void>((resolve) => options.clock.after(STOP_DEADLINE_MS, resolve));
    await Promise.race([Promise.allSettled(tasks), deadline]);
  };
  return {
    exports: [
      ...(meter === null ? [] : [`metrics ${settings.metrics}`]),
      ...(logger === null ? [] : [`logs ${settings.logs}`]),
    ],
    emitAlert: (alert) => logger?.emit(alert),
    droppedLogs: () => logger?.dropped() ?? 0,
    flush: () => settle([meter?.forceFlush() ?? NOTHING, logger?.flush() ?? NOTHING]),
    stop: () => settle([meter?.shutdown() ?? NOTHING, logger?.stop() ?? NOTHING]),
  };
}

function startMetrics(options: OtelOptions, settings: OtlpSettings, exporter: PushMetricExporter) {
  const sdk = require('@opentelemetry/sdk-metrics') as typeof import('@opentelemetry/sdk-metrics');
  const resource = createResource(options.resource);
  const reader = new sdk.PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: settings.intervalMs,
    exportTimeoutMillis: settings.timeoutMs,
    metricProducers: [createMetricProducer(sdk, { ...options, resource })],
  });
  return new sdk.MeterProvider({ resource, readers: [reader] });
}

function startLogs(options: OtelOptions, exporter: LogRecordExporter, report: ReportResult) {
  const { LoggerProvider } = require('@opentelemetry/sdk-logs') as typeof import('@opentelemetry/sdk-logs');
  const { ROOT_CONTEXT } = require('@opentelemetry/api') as typeof import('@opentelemetry/api');
  const queue = createLogRecordQueue(exporter, options.clock, (result) => report('logs', result));
  const provider = new LoggerProvider({ resource: createResource(options.resource), processors: [queue] });
  const logger = provider.getLogger('@wsguard/agent', options.version);
  return {
    emit: (alert: Alert) => logger.emit({ ...alertLogRecord(alert), context: ROOT_CONTEXT }),
    flush: () => queue.forceFlush(),
    stop: () => provider.shutdown(),
    dropped: () => queue.dropped(),
  };
}

/** The reader always sees success, because it would report a failure to the logger of the application. */
function reportResults(exporter: PushMetricExporter, report: ReportResult): PushMetricExporter {
  return {
    export(metrics, done) {
      exporter.export(metrics, (result) => {
        report('metrics', result);
        done({ code: 0 });
      });
    },
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
}

/** Reports the first failure of a signal and its recovery, and nothing in between. */
function createReporter({ onProblem, onRecovered }: OtelOptions): ReportResult {
  const failing = new Set<Signal>();
  return (signal, { code, error }) => {
    if (code === 0) {
      if (failing.delete(signal)) onRecovered(signal);
      return;
    }
    if (failing.has(signal)) return;
    failing.add(signal);
    onProblem({ code: 'WSGUARD_OTLP_EXPORT', reason: `${signal}: ${failureReason(error)}` });
  };
}

function failureReason(error: (Error & { code?: string | number }) | undefined): string {
  if (error === undefined) return 'unknown';
  // When every address of a host refuses, Node throws an AggregateError without a message.
  const first = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  const code = error.code === undefined ? '' : ` (${error.code})`;
  return `${error.message || first?.message || error.name}${code}`;
}

function createResource(attributes: ResourceAttributes) {
  const { resourceFromAttributes } =
    require('@opentelemetry/resources') as typeof import('@opentelemetry/resources');
  return resourceFromAttributes(attributes);
}

/** The attributes of OTEL_RESOURCE_ATTRIBUTES, overwritten by those of the identity. */
export function resourceAttributes(
  identity: Identity,
  fromEnvironment: Readonly<Record<string, string>>,
): ResourceAttributes {
  return {
    ...fromEnvironment,
    'service.name': identity.service,
    ...(identity.serviceVersion === null ? {} : { 'service.version': identity.serviceVersion }),
    // An instance id from the environment is ignored: processes that share one overwrite each other's series.
    'service.instance.id': identity.instance,
    'host.name': identity.host,
    'process.pid': identity.pid,
  };
}
