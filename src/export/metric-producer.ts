/**
 * Converts the table of metrics into OpenTelemetry metric data. A metric producer is used instead of instruments,
 * because an asynchronous gauge of the SDK keeps exporting a series that is no longer observed, and no instrument
 * accepts a histogram that is already counted.
 */
import type { Resource } from '@opentelemetry/resources';
import type {
  CollectionResult,
  DataPoint,
  Histogram,
  MetricData,
  MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { Clock, HistogramReading } from '../types/index.ts';
import type { ReadState } from './collect-into.ts';
import { readMetric, type Metric, type Reading } from './metric.ts';

export interface ProducerOptions {
  readonly metrics: readonly Metric[];
  readonly readState: ReadState;
  readonly clock: Clock;
  readonly resource: Resource;
  readonly version: string;
}

type Sdk = typeof import('@opentelemetry/sdk-metrics');
type HrTime = [seconds: number, nanoseconds: number];

export function createMetricProducer(sdk: Sdk, options: ProducerOptions): MetricProducer {
  const { metrics, readState, clock, resource, version } = options;
  const startTime = toHrTime(clock.wallMs());
  return {
    async collect(): Promise<CollectionResult> {
      const state = await readState();
      const times = { startTime, endTime: toHrTime(clock.wallMs()) };
      const data = metrics
        .map((metric) => metricData(sdk, readMetric(metric, state), times))
        .filter(({ dataPoints }) => dataPoints.length > 0);
      const scopeMetrics = [{ scope: { name: '@wsguard/agent', version }, metrics: data }];
      return { resourceMetrics: { resource, scopeMetrics }, errors: [] };
    },
  };
}

const toHrTime = (wallMs: number): HrTime => [Math.floor(wallMs / 1000), Math.round((wallMs % 1000) * 1e6)];

type Times = Pick<DataPoint<number>, 'startTime' | 'endTime'>;

function metricData(sdk: Sdk, { metric, points, histograms }: Reading, times: Times): MetricData {
  const base = {
    // 1 is ValueType.DOUBLE. The API package is not loaded for one number.
    descriptor: { name: metric.otelName, description: metric.help, unit: metric.unit, valueType: 1 },
    aggregationTemporality: sdk.AggregationTemporality.CUMULATIVE,
  };
  const dataPoints = points.map(({ labels, value }) => ({ ...times, attributes: { ...labels }, value }));
  if (metric.type === 'gauge') return { ...base, dataPointType: sdk.DataPointType.GAUGE, dataPoints };
  if (metric.type === 'counter') {
    return { ...base, dataPointType: sdk.DataPointType.SUM, dataPoints, isMonotonic: true };
  }
  return {
    ...base,
    dataPointType: sdk.DataPointType.HISTOGRAM,
    dataPoints: histograms.map(({ labels, histogram }) => ({
      ...times,
      attributes: { ...labels },
      value: histogramValue(histogram),
    })),
  };
}

/** `counts` is cumulative over the bounds; OpenTelemetry counts each bucket alone. */
function histogramValue({ boundsSeconds, counts, sumSeconds }: HistogramReading): Histogram {
  return {
    buckets: {
      boundaries: [...boundsSeconds],
      counts: counts.map((count, i) => count - (i === 0 ? 0 : (counts[i - 1] ?? 0))),
    },
    sum: sumSeconds,
    count: counts.at(-1) ?? 0,
  };
}
