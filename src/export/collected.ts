/**
 * The table as objects that a prom-client registry can hold. It asks a metric only for `get()`, so nothing of
 * prom-client is loaded here: the application's own registry, of whatever version, takes them on its own thread.
 */
import type { Dispose, RttReading } from '../types/index.ts';
import type { Labels, Metric, MetricState } from './metric.ts';
import { readMetric } from './metrics.ts';

/** What we use of prom-client's Registry. */
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
interface Collected {
  readonly name: string;
  readonly help: string;
  readonly type: Metric['type'];
  readonly aggregator: string;
  readonly values: readonly CollectedValue[];
}
interface CollectedMetric {
  /** Not constant: an OpenMetrics registry takes `_total` off the names of counters. */
  name: string;
  readonly help: string;
  readonly type: Metric['type'];
  readonly aggregator: string;
  readonly labelNames: readonly string[];
  get(): Collected | Promise<Collected>;
  reset(): void;
}

export interface Collecting {
  readonly dispose: Dispose;
  /** Names that the registry had already; they stay the application's. */
  readonly taken: readonly string[];
}

export const isRegistry = (thing: unknown): thing is RegistryLike => {
  if (typeof thing !== 'object' || thing === null) return false;
  const registry = thing as Record<string, unknown>;
  return ['registerMetric', 'getSingleMetric', 'removeSingleMetric'].every(
    (name) => typeof registry[name] === 'function',
  );
};

export function collectInto(
  registry: RegistryLike,
  metrics: readonly Metric[],
  readState: ReadState,
): Collecting {
  const once = sharedRead(readState);
  const ours: CollectedMetric[] = [];
  const taken: string[] = [];
  for (const metric of metrics) {
    if (registry.getSingleMetric(metric.name) !== undefined) {
      taken.push(metric.name);
      continue;
    }
    const collected = collectedMetric(metric, once);
    registry.registerMetric(collected as never);
    ours.push(collected);
  }
  const names = new Map(ours.map((collected) => [collected, collected.name]));
  return {
    taken,
    dispose: () => {
      for (const [collected, name] of names) {
        if (registry.getSingleMetric(name) === collected) registry.removeSingleMetric(name);
      }
      names.clear();
    },
  };
}

function collectedMetric(
  metric: Metric,
  read: () => MetricState | null | Promise<MetricState | null>,
): CollectedMetric {
  const { name, help, type, labels } = metric;
  const collected: CollectedMetric = {
    name,
    help,
    type,
    // A registry of a cluster adds the workers up; the nearest limit is the one that counts.
    aggregator: name === 'wsguard_time_to_limit_seconds' ? 'min' : 'sum',
    labelNames: labels,
    get() {
      const state = read();
      const shape = (known: MetricState | null): Collected => ({
        name: collected.name,
        help,
        type,
        aggregator: collected.aggregator,
        values: known === null ? [] : valuesOf(metric, known),
      });
      // Registries before version 13 do not wait for promises, so none is made where none is needed.
      return state instanceof Promise ? state.then(shape) : shape(state);
    },
    reset() {
      // Nothing of ours is kept in the registry.
    },
  };
  return collected;
}

function valuesOf(metric: Metric, state: MetricState): CollectedValue[] {
  const { points, histogram } = readMetric(metric, state);
  return histogram === null ? [...points] : histogramValues(metric.name, histogram);
}

function histogramValues(name: string, { boundsSeconds, counts, sumSeconds }: RttReading): CollectedValue[] {
  const buckets = [...boundsSeconds.map(String), '+Inf'].map((le, i) => ({
    metricName: `${name}_bucket`,
    labels: { le },
    value: counts[i] ?? 0,
  }));
  const count = counts.at(-1) ?? 0;
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: sumSeconds },
    { metricName: `${name}_count`, labels: {}, value: count },
  ];
}

/** One read of the state for all metrics of one scrape; a state that fails gives a page without our series. */
function sharedRead(readState: ReadState): () => MetricState | null | Promise<MetricState | null> {
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
