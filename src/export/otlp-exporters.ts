/** The exporters of each protocol, loaded when one is wanted. gRPC is not ours: it is used where it is installed. */
import type { LogRecordExporter } from '@opentelemetry/sdk-logs';
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { OtlpProtocol } from './otlp-plan.ts';

const SUFFIX: Readonly<Record<OtlpProtocol, string>> = {
  'http/protobuf': 'proto',
  'http/json': 'http',
  grpc: 'grpc',
};

type Load = (name: string) => Record<string, new () => unknown>;

/** Null where the package is not there. */
export function metricExporter(protocol: OtlpProtocol, load: Load = require): PushMetricExporter | null {
  return create(`@opentelemetry/exporter-metrics-otlp-${SUFFIX[protocol]}`, 'OTLPMetricExporter', load);
}

export function logExporter(protocol: OtlpProtocol, load: Load = require): LogRecordExporter | null {
  return create(`@opentelemetry/exporter-logs-otlp-${SUFFIX[protocol]}`, 'OTLPLogExporter', load);
}

function create<T>(name: string, type: string, load: Load): T | null {
  try {
    const Exporter = load(name)[type];
    return Exporter === undefined ? null : (new Exporter() as T);
  } catch {
    return null;
  }
}
