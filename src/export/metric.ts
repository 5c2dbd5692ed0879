/** The definition of one metric, the state that all metrics read, and the bound on the series of a metric. Pure. */
import type { Kind, HistogramReading, Sample, TimeToLimit } from '../types/index.ts';

/** The measurements of this process at one instant. `null` and missing entries produce no series. */
export interface MetricState {
  readonly sample: Sample | null;
  /** Old space after the last major GC. It stays when a later sample brings no new value. */
  readonly postGcHeapBytes: number | null;
  readonly openAlerts: readonly { readonly kind: Kind }[];
  readonly timeToLimit: TimeToLimit | null;
  /** Growth by pool (`heap`, `external`, `native`). A pool without an estimate is missing. */
  readonly growthBytesPerHour: Readonly<Record<string, number>>;
  readonly snapshots: readonly {
    readonly outcome: 'written' | 'refused' | 'failed';
    readonly method: 'fork' | 'inprocess' | 'none';
    readonly count: number;
  }[];
  /** Bytes of memory or disk of the last snapshot that was refused for them; null when none was, or when one was written later. */
  readonly refusedBytes: { readonly needed: number; readonly available: number } | null;
  /** Audits by outcome, and the containers that grew in the last one; null before the first. */
  readonly audits: Readonly<Record<string, number>>;
  readonly suspects: number | null;
  readonly agent: AgentCounters;
}

/** Counters of the agent's own work. A field is missing where nothing counts it. */
export interface AgentCounters {
  readonly samplesTotal?: number;
  readonly samplesDroppedTotal?: number;
  readonly watcherRestartsTotal?: number;
  readonly faultsTotal?: Readonly<Record<string, number>>;
  readonly cpuSecondsTotal?: Readonly<Record<string, number>>;
  readonly deliveries?: readonly {
    readonly sink: string;
    readonly outcome: string;
    readonly count: number;
  }[];
}

export type Labels = Readonly<Record<string, string>>;
export interface Point {
  readonly labels: Labels;
  readonly value: number;
}

export interface HistogramPoint {
  readonly labels: Labels;
  readonly histogram: HistogramReading;
}

interface Descriptor {
  /** The dotted OpenTelemetry name. */
  readonly otelName: string;
  /** The Prometheus name, derived from the OpenTelemetry name, unit and type. */
  readonly name: string;
  /** UCUM. */
  readonly unit: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** True for `nodejs.*` and `process.*`, which are exported only with WSGUARD_OTEL_RUNTIME=on. */
  readonly runtime: boolean;
}

export type Metric = Descriptor &
  (
    | { readonly type: 'gauge' | 'counter'; readonly read: (state: MetricState) => readonly Point[] }
    | { readonly type: 'histogram'; readonly read: (state: MetricState) => readonly HistogramPoint[] }
  );

const UNIT_SUFFIXES: Readonly<Record<string, string>> = {
  By: '_bytes',
  s: '_seconds',
  'By/h': '_bytes_per_hour',
};

/** Follows the collector's Prometheus exporter, which adds no suffix for a unit in braces such as `{connection}`. */
function prometheusName(otelName: string, unit: string, type: Metric['type']): string {
  const suffix = UNIT_SUFFIXES[unit] ?? '';
  return `${otelName.replace(/\./g, '_')}${suffix}${type === 'counter' ? '_total' : ''}`;
}

type Description = readonly [unit: string, help: string, ...labels: string[]];
type OptionalNumber = number | null | undefined;

function describe(otelName: string, type: Metric['type'], [unit, help, ...labels]: Description): Descriptor {
  const runtime = !/^(ws|wsguard)\./.test(otelName);
  return { otelName, name: prometheusName(otelName, unit, type), unit, help, labels, runtime };
}

const finitePoints = (points: readonly Point[]): readonly Point[] =>
  points.filter(({ value }) => Number.isFinite(value));

const unlabelled = (value: OptionalNumber): readonly Point[] =>
  typeof value === 'number' ? finitePoints([{ labels: {}, value }]) : [];

/** A metric without labels. It has no series while its value is missing. */
export const single = (
  type: 'gauge' | 'counter',
  otelName: string,
  description: Description,
  read: (state: MetricState) => OptionalNumber,
): Metric => ({
  ...describe(otelName, type, description),
  type,
  read: (state) => unlabelled(read(state)),
});

export const labelled = (
  type: 'gauge' | 'counter',
  otelName: string,
  description: Description,
  read: (state: MetricState) => readonly Point[],
): Metric => ({
  ...describe(otelName, type, description),
  type,
  read: (state) => finitePoints(read(state)),
});

export const histogram = (
  otelName: string,
  description: Description,
  read: (state: MetricState) => HistogramReading | null | undefined,
): Metric => ({
  ...describe(otelName, 'histogram', description),
  type: 'histogram',
  read: (state) => {
    const reading = read(state) ?? null;
    return reading === null ? [] : [{ labels: {}, histogram: reading }];
  },
});

/** `read` must return a bounded number of histograms: `capSeries` does not apply to them. */
export const labelledHistogram = (
  otelName: string,
  description: Description,
  read: (state: MetricState) => readonly HistogramPoint[],
): Metric => ({ ...describe(otelName, 'histogram', description), type: 'histogram', read });

/** One point for each entry of the record; the key becomes the value of the label. */
export const byLabel = (label: string, record: Readonly<Record<string, number>> | undefined): Point[] =>
  Object.entries(record ?? {}).map(([key, value]) => ({ labels: { [label]: key }, value }));

/** The current values of one metric. `points` and `histograms` are empty where there is nothing to report. */
export interface Reading {
  readonly metric: Metric;
  readonly points: readonly Point[];
  readonly histograms: readonly HistogramPoint[];
}

export const readMetric = (metric: Metric, state: MetricState): Reading =>
  metric.type === 'histogram'
    ? { metric, points: [], histograms: metric.read(state) }
    : { metric, points: capSeries(metric.read(state)).points, histograms: [] };

/** The application chooses names of registries, emitters, queues and rooms; docs/metrics.md promises this bound. */
export const MAX_SERIES = 100;
const OTHER = 'other';
const MAX_LABEL_CHARS = 128;

interface CappedSeries {
  readonly points: readonly Point[];
  /** Number of series that were summed into `other`. */
  readonly folded: number;
}

/**
 * Keeps the largest series and sums the others into `other`. Series with equal labels are summed as well, because
 * Prometheus refuses a whole page that holds a duplicate.
 */
export function capSeries(points: readonly Point[]): CappedSeries {
  const distinct = sumDuplicates(points.map(({ labels, value }) => ({ labels: shorten(labels), value })));
  if (distinct.length <= MAX_SERIES) return { points: distinct, folded: 0 };
  const ordered = distinct.toSorted((a, b) => b.value - a.value);
  const largest = ordered.slice(0, MAX_SERIES - 1);
  const rest = ordered.slice(MAX_SERIES - 1);
  const labels = Object.fromEntries(Object.keys(rest[0]?.labels ?? {}).map((name) => [name, OTHER]));
  const value = rest.reduce((sum, point) => sum + point.value, 0);
  return { points: sumDuplicates([...largest, { labels, value }]), folded: rest.length };
}

function sumDuplicates(points: readonly Point[]): Point[] {
  const byKey = new Map<string, Point>();
  for (const { labels, value } of points) {
    const key = JSON.stringify(labels);
    byKey.set(key, { labels, value: value + (byKey.get(key)?.value ?? 0) });
  }
  return [...byKey.values()];
}

const shorten = (labels: Labels): Labels =>
  Object.fromEntries(
    Object.entries(labels).map(([name, text]) => [
      name,
      text.length > MAX_LABEL_CHARS ? `${text.slice(0, MAX_LABEL_CHARS - 1)}…` : text,
    ]),
  );
