/**
 * Our own OpenTelemetry: providers that are registered nowhere, so that an application with an SDK of its own has
 * not one series twice. A collector that is down costs a bounded queue and one line in the log.
 */
import type { LogRecordExporter } from '@opentelemetry/sdk-logs';
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { Alert, Clock } from '../types/index.ts';
import { alertLog } from './alert-log.ts';
import type { ReadState } from './collected.ts';
import type { Metric } from './metric.ts';
import { createLogQueue, type ExportResult } from './otel-logs.ts';
import { createProducer } from './otel-metrics.ts';
import { logExporter, metricExporter } from './otlp-exporters.ts';
import { planOtlp, type Environment, type OtlpProblem } from './otlp-plan.ts';

export interface OtelOptions {
  /** This thread's own `process.env`: the exporters read their part from there. */
  readonly env: Environment;
  readonly clock: Clock;
  readonly metrics: readonly Metric[];
  readonly readState: ReadState;
  readonly resource: Readonly<Record<string, string | number>>;
  readonly version: string;
  /** At start, and when an export fails after one that did not. */
  readonly onProblem: (problem: OtlpProblem) => void;
  readonly onRecovered: (signal: 'metrics' | 'logs') => void;
}

export interface Otel {
  /** For the start line: `metrics http/protobuf`. */
  readonly exports: readonly string[];
  emitAlert(alert: Alert): void;
  flush(): Promise<void>;
  stop(): Promise<void>;
  /** Records given up because the queue was full. */
  droppedLogs(): number;
}

type Signal = 'metrics' | 'logs';
type Report = (signal: Signal, result: ExportResult) => void;

/** The process waits no longer than this for a collector that does not answer. */
const STOP_MS = 2000;

export function startOtel(options: OtelOptions): Otel {
  const plan = planOtlp(options.env);
  for (const problem of plan.problems) options.onProblem(problem);
  const metricsTo = plan.metrics === null ? null : metricExporter(plan.metrics);
  const logsTo = plan.logs === null ? null : logExporter(plan.logs);
  if ((plan.metrics !== null && metricsTo === null) || (plan.logs !== null && logsTo === null)) {
    const reason =
      'grpc needs @opentelemetry/exporter-metrics-otlp-grpc and -logs-otlp-grpc beside the agent';
    options.onProblem({ code: 'WSGUARD_OTLP_PROTOCOL', reason });
  }
  const report = createReport(options);
  const meter = metricsTo === null ? null : startMetrics(options, plan, watched(metricsTo, report));
  const logger = logsTo === null ? null : startLogs(options, logsTo, report);
  const settle = async (tasks: readonly Promise<void>[]): Promise<void> => {
    const deadline = new Promise<void>((resolve) => options.clock.after(STOP_MS, resolve));
    await Promise.race([Promise.allSettled(tasks), deadline]);
  };
  const done = Promise.resolve();
  return {
    exports: [
      ...(meter === null ? [] : [`metrics ${plan.metrics}`]),
      ...(logger === null ? [] : [`logs ${plan.logs}`]),
    ],
    emitAlert: (alert) => logger?.emit(alert),
    droppedLogs: () => logger?.dropped() ?? 0,
    flush: () => settle([meter?.forceFlush() ?? done, logger?.flush() ?? done]),
    stop: () => settle([meter?.shutdown() ?? done, logger?.stop() ?? done]),
  };
}

type Plan = ReturnType<typeof planOtlp>;

function startMetrics(options: OtelOptions, plan: Plan, exporter: PushMetricExporter) {
  const sdk = require('@opentelemetry/sdk-metrics') as typeof import('@opentelemetry/sdk-metrics');
  const resource = resourceOf(options.resource);
  const reader = new sdk.PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: plan.intervalMs,
    exportTimeoutMillis: plan.timeoutMs,
    metricProducers: [createProducer(sdk, { ...options, resource })],
  });
  return new sdk.MeterProvider({ resource, readers: [reader] });
}

function startLogs(options: OtelOptions, exporter: LogRecordExporter, report: Report) {
  const { LoggerProvider } = require('@opentelemetry/sdk-logs') as typeof import('@opentelemetry/sdk-logs');
  const { ROOT_CONTEXT } = require('@opentelemetry/api') as typeof import('@opentelemetry/api');
  const queue = createLogQueue(exporter, options.clock, (result) => report('logs', result));
  const provider = new LoggerProvider({ resource: resourceOf(options.resource), processors: [queue] });
  const logger = provider.getLogger('@wsguard/agent', options.version);
  return {
    emit: (alert: Alert) => logger.emit({ ...alertLog(alert), context: ROOT_CONTEXT }),
    flush: () => queue.forceFlush(),
    stop: () => provider.shutdown(),
    dropped: () => queue.dropped(),
  };
}

/** Sees each result and tells the reader that all is well: its own complaint would go to the application's logger. */
function watched(exporter: PushMetricExporter, report: Report): PushMetricExporter {
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

/** Says the first failure and the recovery, nothing between. */
function createReport({ onProblem, onRecovered }: OtelOptions): Report {
  const failing = new Set<Signal>();
  return (signal, { code, error }) => {
    if (code === 0) {
      if (failing.delete(signal)) onRecovered(signal);
      return;
    }
    if (failing.has(signal)) return;
    failing.add(signal);
    onProblem({ code: 'WSGUARD_OTLP_EXPORT', reason: `${signal}: ${reasonOf(error)}` });
  };
}

function reasonOf(error: (Error & { code?: string | number }) | undefined): string {
  if (error === undefined) return 'unknown';
  // Of several addresses that all refuse, Node makes an AggregateError without a message.
  const first = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  const code = error.code === undefined ? '' : ` (${error.code})`;
  return `${error.message || first?.message || error.name}${code}`;
}

function resourceOf(attributes: OtelOptions['resource']) {
  const { resourceFromAttributes } =
    require('@opentelemetry/resources') as typeof import('@opentelemetry/resources');
  return resourceFromAttributes(attributes);
}
