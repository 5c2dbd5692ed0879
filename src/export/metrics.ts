/**
 * The table of all metrics: the Prometheus page, the application's own registry and OTLP are made from it.
 * Absent beats false: a row reads nothing where there is no answer.
 */
import type { RttReading } from '../types/index.ts';
import type { Metric, MetricState, Point } from './metric.ts';
import { COLLECTIONS, CONNECTIONS } from './rows-connections.ts';
import { AGENT, MEMORY, PROCESS, RUNTIME } from './rows-process.ts';
import { capSeries } from './series.ts';

export const METRICS: readonly Metric[] = [
  ...CONNECTIONS,
  ...MEMORY,
  ...COLLECTIONS,
  ...PROCESS,
  ...AGENT,
  ...RUNTIME,
];

/** One metric with what it reads now, bounded; `points` and `histogram` are empty where there is no answer. */
export interface Reading {
  readonly metric: Metric;
  readonly points: readonly Point[];
  readonly histogram: RttReading | null;
}

export function readMetric(metric: Metric, state: MetricState): Reading {
  return metric.type === 'histogram'
    ? { metric, points: [], histogram: metric.read(state) }
    : { metric, points: capSeries(metric.read(state)).points, histogram: null };
}

export function metricsFor(runtime: 'on' | 'off'): readonly Metric[] {
  return runtime === 'on' ? METRICS : METRICS.filter((metric) => !metric.runtime);
}
