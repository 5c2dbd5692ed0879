/**
 * Reads from the `OTEL_*` environment which signals are exported with which protocol, and creates the exporters. The
 * exporters read endpoints, headers, timeouts and certificates from the environment themselves.
 */
import type { LogRecordExporter } from '@opentelemetry/sdk-logs';
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';

export type OtlpProtocol = 'http/protobuf' | 'http/json' | 'grpc';
export type Environment = Readonly<Record<string, string | undefined>>;

export interface OtlpProblem {
  readonly code: 'WSGUARD_OTLP_PROTOCOL' | 'WSGUARD_OTLP_ENDPOINT' | 'WSGUARD_OTLP_EXPORT';
  readonly reason: string;
}

export interface OtlpSettings {
  /** The protocol of each signal; `null` when the signal is not exported. */
  readonly metrics: OtlpProtocol | null;
  readonly logs: OtlpProtocol | null;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly problems: readonly OtlpProblem[];
}

type Signal = 'METRICS' | 'LOGS';

const PROTOCOLS: readonly OtlpProtocol[] = ['http/protobuf', 'http/json', 'grpc'];
/** Defaults of OTEL_METRIC_EXPORT_INTERVAL and OTEL_METRIC_EXPORT_TIMEOUT in the OpenTelemetry specification. */
const DEFAULT_INTERVAL_MS = 60_000;
const DEFAULT_TIMEOUT_MS = 30_000;

/** Without an endpoint nothing is exported: the SDK's default, localhost:4318, may belong to another program. */
export function readOtlpSettings(env: Environment): OtlpSettings {
  const problems: OtlpProblem[] = [];
  const isDisabled = env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true';
  const metrics = isDisabled ? null : readProtocol(env, 'METRICS', problems);
  const logs = isDisabled ? null : readProtocol(env, 'LOGS', problems);
  const intervalMs = positiveNumber(env.OTEL_METRIC_EXPORT_INTERVAL) ?? DEFAULT_INTERVAL_MS;
  const timeoutMs = positiveNumber(env.OTEL_METRIC_EXPORT_TIMEOUT) ?? DEFAULT_TIMEOUT_MS;
  return {
    metrics,
    logs,
    intervalMs,
    // PeriodicExportingMetricReader throws when the timeout is longer than the interval.
    timeoutMs: Math.min(timeoutMs, intervalMs),
    problems: withoutDuplicates(problems),
  };
}

function readProtocol(env: Environment, signal: Signal, problems: OtlpProblem[]): OtlpProtocol | null {
  const exporters = (env[`OTEL_${signal}_EXPORTER`] ?? '').trim().toLowerCase();
  if (exporters !== '' && !exporters.split(',').some((name) => name.trim() === 'otlp')) return null;
  const endpointName = firstSet(env, `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  if (endpointName === null) return null;
  if (!isHttpUrl(env[endpointName] ?? '')) {
    // The value is not repeated, because a URL can hold a password.
    problems.push({ code: 'WSGUARD_OTLP_ENDPOINT', reason: `${endpointName} is not an http or https URL` });
    return null;
  }
  const protocolName = firstSet(env, `OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`, 'OTEL_EXPORTER_OTLP_PROTOCOL');
  const text = protocolName === null ? 'http/protobuf' : (env[protocolName] ?? '').trim().toLowerCase();
  const protocol = PROTOCOLS.find((candidate) => candidate === text);
  if (protocol !== undefined) return protocol;
  problems.push({
    code: 'WSGUARD_OTLP_PROTOCOL',
    reason: `${protocolName}=${text} is not one of ${PROTOCOLS.join(', ')}`,
  });
  return null;
}

/** The first of the names whose variable is set and not empty. */
const firstSet = (env: Environment, ...names: readonly string[]): string | null =>
  names.find((name) => (env[name] ?? '').trim() !== '') ?? null;

function isHttpUrl(text: string): boolean {
  try {
    return /^https?:$/.test(new URL(text.trim()).protocol);
  } catch {
    return false;
  }
}

function positiveNumber(text: string | undefined): number | null {
  const value = Number(text?.trim());
  return text !== undefined && text.trim() !== '' && Number.isFinite(value) && value > 0 ? value : null;
}

/** Both signals can report the same problem of a shared variable. */
const withoutDuplicates = (problems: readonly OtlpProblem[]): OtlpProblem[] =>
  problems.filter(({ reason }, i) => problems.findIndex((other) => other.reason === reason) === i);

const PACKAGE_SUFFIXES: Readonly<Record<OtlpProtocol, string>> = {
  'http/protobuf': 'proto',
  'http/json': 'http',
  grpc: 'grpc',
};

type LoadModule = (name: string) => Record<string, new () => unknown>;

/** `null` when the package is not installed. The gRPC exporters are not a dependency of the agent. */
export function createMetricExporter(
  protocol: OtlpProtocol,
  load: LoadModule = require,
): PushMetricExporter | null {
  const name = `@opentelemetry/exporter-metrics-otlp-${PACKAGE_SUFFIXES[protocol]}`;
  return createExporter(name, 'OTLPMetricExporter', load);
}

/** `null` when the package is not installed. */
export function createLogExporter(
  protocol: OtlpProtocol,
  load: LoadModule = require,
): LogRecordExporter | null {
  const name = `@opentelemetry/exporter-logs-otlp-${PACKAGE_SUFFIXES[protocol]}`;
  return createExporter(name, 'OTLPLogExporter', load);
}

function createExporter<T>(packageName: string, className: string, load: LoadModule): T | null {
  try {
    const Exporter = load(packageName)[className];
    return Exporter === undefined ? null : (new Exporter() as T);
  } catch {
    return null;
  }
}
