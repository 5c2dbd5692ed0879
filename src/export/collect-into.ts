/**
 * Registers the metrics in a prom-client registry. prom-client itself is not loaded: a registry of any version calls
 * only `get()` of a metric, so plain objects are enough, and the application thread loads no package.
 */
import type { Dispose } from '../types/index.ts';
import { readMetric, type HistogramPoint, type Labels, type Metric, type MetricState } from './metric.ts';

/** The methods of prom-client's Registry that are used here. */
export interface RegistryLike {
  registerMetric(metric: never): void;
  getSingleMetric(name: string): unknown;
  removeSingleMetric(name: string): void;
}

export type ReadState = () => MetricState | Promise<MetricState>;

interface CollectedValue {
  readonly value: number;
  readonly labels: Labels;
  readonly metricName?: string;
}
interface CollectedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: Metric['type'];
  readonly aggregator: string;
  readonly values: readonly CollectedValue[];
}
interface RegisteredMetric {
  /** Writable, because an OpenMetrics registry removes `_total` from the names of counters. */
  name: string;
  readonly help: string;
  readonly type: Metric['type'];
  readonly aggregator: string;
  readonly labelNames: readonly string[];
  get(): CollectedMetric | Promise<CollectedMetric>;
  reset(): void;
}

export interface Registration {
  readonly dispose: Dispose;
  /** Names that the application had registered before; its metrics stay. */
  readonly taken: readonly string[];
}

export const isRegistry = (value: unknown): value is RegistryLike => {
  if (typeof value !== 'object' || value === null) return false;
  const registry = value as Record<string, unknown>;
  return ['registerMetric', 'getSingleMetric', 'removeSingleMetric'].every(
    (method) => typeof registry[method] === 'function',
  );
};

export function collectInto(
  registry: RegistryLike,
  metrics: readonly Metric[],
  readState: ReadState,
): Registration {
  const readShared = shareRead(readState);
  /** Our metrics with the names under which the registry holds them. */
  const names = new Map<RegisteredMetric, string>();
  const taken: string[] = [];
  for (const metric of metrics) {
    if (registry.getSingleMetric(metric.name) !== undefined) {
      taken.push(metric.name);
      continue;
    }
    const registered = registeredMetric(metric, readShared);
    registry.registerMetric(registered as never);
    names.set(registered, registered.name);
  }
  return {
    taken,
    dispose: () => {
      for (const [registered, name] of names) {
        if (registry.getSingleMetric(name) === registered) registry.removeSingleMetric(name);
      }
      names.clear();
    },
  };
}

type SharedRead = () => MetricState | null | Promise<MetricState | null>;

function registeredMetric(metric: Metric, readState: SharedRead): RegisteredMetric {
  const { name, help, type, labels } = metric;
  const registered: RegisteredMetric = {
    name,
    help,
    type,
    // A cluster registry sums the values of its workers; for a time to the limit the smallest one counts.
    aggregator: name === 'wsguard_time_to_limit_seconds' ? 'min' : 'sum',
    labelNames: labels,
    get() {
      const collect = (state: MetricState | null): CollectedMetric => ({
        name: registered.name,
        help,
        type,
        aggregator: registered.aggregator,
        values: state === null ? [] : valuesOf(metric, state),
      });
      const state = readState();
      // prom-client before version 13 does not await get(), so it returns a promise only where it must.
      return state instanceof Promise ? state.then(collect) : collect(state);
    },
    reset() {
      // The registry holds no values of ours.
    },
  };
  return registered;
}

function valuesOf(metric: Metric, state: MetricState): CollectedValue[] {
  const { points, histograms } = readMetric(metric, state);
  return [...points, ...histograms.flatMap((point) => histogramValues(metric.name, point))];
}

function histogramValues(name: string, { labels, histogram }: HistogramPoint): CollectedValue[] {
  const { boundsSeconds, counts, sumSeconds } = histogram;
  const buckets = [...boundsSeconds.map(String), '+Inf'].map((le, i) => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le },
    value: counts[i] ?? 0,
  }));
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sumSeconds },
    { metricName: `${name}_count`, labels, value: counts.at(-1) ?? 0 },
  ];
}

/** All metrics of one scrape share one read. If the read fails, the page is served without our series. */
function shareRead(readState: ReadState): SharedRead {
  let pending: Promise<MetricState | null> | null = null;
  return () => {
    if (pending !== null) return pending;
    try {
      const state = readState();
      if (!(state instanceof Promise)) return state;
      pending = state.catch(() => null);
      void pending.then(() => {
        pending = null;
      });
      return pending;
    } catch {
      return null;
    }
  };
}
