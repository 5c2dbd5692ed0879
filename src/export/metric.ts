/** What a row of the metrics table is, and the state that all rows read. */
import type { Kind, RttReading, Sample, TimeToLimit } from '../types/index.ts';

/** All that can be measured of one process, at one instant. `null` and absent entries give no series. */
export interface MetricState {
  readonly sample: Sample | null;
  /** The last exact post-GC old space; outlives the sample that brought it. */
  readonly floorBytes: number | null;
  readonly openAlerts: readonly { readonly kind: Kind }[];
  readonly timeToLimit: TimeToLimit | null;
  /** Bytes per hour by pool (`heap`, `external`, `native`); a pool without an answer is absent. */
  readonly growthBytesPerHour: Readonly<Record<string, number>>;
  readonly snapshots: readonly {
    readonly outcome: 'written' | 'refused' | 'failed';
    readonly method: 'fork' | 'inprocess' | 'none';
    readonly count: number;
  }[];
  readonly agent: AgentCounters;
}

/** What the agent costs and drops; every field may be missing where nobody counts it. */
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

interface Described {
  /** Dotted, as OpenTelemetry has it. */
  readonly otelName: string;
  /** As Prometheus has it: made from the dotted name, unit and type by the collector's own rules. */
  readonly name: string;
  /** UCUM. */
  readonly unit: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** `nodejs.*` and `process.*`: only with WSGUARD_OTEL_RUNTIME=on. */
  readonly runtime: boolean;
}

export type Metric = Described &
  (
    | { readonly type: 'gauge' | 'counter'; readonly read: (state: MetricState) => readonly Point[] }
    | { readonly type: 'histogram'; readonly read: (state: MetricState) => RttReading | null }
  );

const UNIT_SUFFIX: Readonly<Record<string, string>> = {
  By: '_bytes',
  s: '_seconds',
  'By/h': '_bytes_per_hour',
};

/** What the collector's Prometheus exporter makes of a dotted name: `{thing}` units leave no trace. */
export function prometheusName(otelName: string, unit: string, type: Metric['type']): string {
  const suffix = UNIT_SUFFIX[unit] ?? '';
  return `${otelName.replace(/\./g, '_')}${suffix}${type === 'counter' ? '_total' : ''}`;
}

type More = readonly [unit: string, help: string, ...labels: string[]];
type NumberOrNone = number | null | undefined;

function describe(otelName: string, type: Metric['type'], [unit, help, ...labels]: More): Described {
  const runtime = !/^(ws|wsguard)\./.test(otelName);
  return { otelName, name: prometheusName(otelName, unit, type), unit, help, labels, runtime };
}

const finite = (points: readonly Point[]): readonly Point[] =>
  points.filter(({ value }) => Number.isFinite(value));

const lone = (value: NumberOrNone): readonly Point[] =>
  typeof value === 'number' ? finite([{ labels: {}, value }]) : [];

/** A metric without labels: no value, no series. */
export const single = (
  type: 'gauge' | 'counter',
  otelName: string,
  more: More,
  read: (state: MetricState) => NumberOrNone,
): Metric => ({ ...describe(otelName, type, more), type, read: (state) => lone(read(state)) });

export const labelled = (
  type: 'gauge' | 'counter',
  otelName: string,
  more: More,
  read: (state: MetricState) => readonly Point[],
): Metric => ({ ...describe(otelName, type, more), type, read: (state) => finite(read(state)) });

export const histogram = (
  otelName: string,
  more: More,
  read: (state: MetricState) => RttReading | null | undefined,
): Metric => ({
  ...describe(otelName, 'histogram', more),
  type: 'histogram',
  read: (state) => read(state) ?? null,
});

/** One series an entry of a record. */
export const byLabel = (label: string, record: Readonly<Record<string, number>> | undefined): Point[] =>
  Object.entries(record ?? {}).map(([name, value]) => ({ labels: { [label]: name }, value }));
