/**
 * The table as OpenTelemetry metric data. Handed to the reader as a producer and not through instruments: an
 * asynchronous gauge of the SDK goes on exporting a series that is no longer observed, and has no way to take a
 * histogram that is counted already.
 */
import type {
  CollectionResult,
  DataPoint,
  Histogram,
  MetricData,
  MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { Resource } from '@opentelemetry/resources';
import type { Clock, RttReading } from '../types/index.ts';
import type { ReadState } from './collected.ts';
import type { Metric } from './metric.ts';
import { readMetric } from './metrics.ts';

export interface ProducerOptions {
  readonly metrics: readonly Metric[];
  readonly readState: ReadState;
  readonly clock: Clock;
  readonly resource: Resource;
  readonly version: string;
}

type Sdk = typeof import('@opentelemetry/sdk-metrics');
type Time = [number, number];

export function createProducer(sdk: Sdk, options: ProducerOptions): MetricProducer {
  const { metrics, readState, clock, resource, version } = options;
  const startTime = timeOf(clock.wallMs());
  return {
    async collect(): Promise<CollectionResult> {
      const state = await readState();
      const span = { startTime, endTime: timeOf(clock.wallMs()) };
      const data = metrics
        .map((metric) => metricData(sdk, readMetric(metric, state), span))
        .filter((one) => one.dataPoints.length > 0);
      const scopeMetrics = [{ scope: { name: '@wsguard/agent', version }, metrics: data }];
      return { resourceMetrics: { resource, scopeMetrics }, errors: [] };
    },
  };
}

const timeOf = (wallMs: number): Time => [Math.floor(wallMs / 1000), Math.round((wallMs % 1000) * 1e6)];

type Span = Pick<DataPoint<number>, 'startTime' | 'endTime'>;

function metricData(sdk: Sdk, reading: ReturnType<typeof readMetric>, span: Span): MetricData {
  const { metric, points, histogram } = reading;
  const base = {
    // 1: ValueType.DOUBLE of the API, which is not loaded for one number.
    descriptor: { name: metric.otelName, description: metric.help, unit: metric.unit, valueType: 1 },
    aggregationTemporality: sdk.AggregationTemporality.CUMULATIVE,
  };
  const dataPoints = points.map(({ labels, value }) => ({ ...span, attributes: { ...labels }, value }));
  if (metric.type === 'gauge') return { ...base, dataPointType: sdk.DataPointType.GAUGE, dataPoints };
  if (metric.type === 'counter') {
    return { ...base, dataPointType: sdk.DataPointType.SUM, dataPoints, isMonotonic: true };
  }
  return {
    ...base,
    dataPointType: sdk.DataPointType.HISTOGRAM,
    dataPoints: histogram === null ? [] : [{ ...span, attributes: {}, value: histogramOf(histogram) }],
  };
}

/** Our counts are cumulative over the bounds, OpenTelemetry's are per bucket. */
function histogramOf({ boundsSeconds, counts, sumSeconds }: RttReading): Histogram {
  return {
    buckets: {
      boundaries: [...boundsSeconds],
      counts: counts.map((count, i) => count - (i === 0 ? 0 : (counts[i - 1] ?? 0))),
    },
    sum: sumSeconds,
    count: counts.at(-1) ?? 0,
  };
}
