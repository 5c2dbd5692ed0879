/** The latest state of the watcher, read by the metrics, by `status()` and by the charts of reports. */
import type { AppCounters } from '../channel.ts';
import { threadCpuSeconds } from '../core/process.ts';
import { Ring } from '../core/ring.ts';
import type { DetectionResult } from '../detection.ts';
import type { MetricState } from '../export/metric.ts';
import { composeStatus } from '../report/status.ts';
import type { Alert, Blind, Delivery, ReportPoint, Sample, Snapshot, Status } from '../types/index.ts';
import type { WatcherContext } from './context.ts';
import { reportPoint } from './report-points.ts';

/** One hour at the default interval of 15 s. */
const MAX_POINTS = 240;

export class WatcherState {
  readonly #context: WatcherContext;
  readonly #points = new Ring<ReportPoint>(MAX_POINTS);
  readonly #snapshots = new Map<string, MetricState['snapshots'][number]>();
  readonly #deliveries = new Map<
    string,
    { readonly sink: string; readonly outcome: string; readonly count: number }
  >();
  #sample: Sample | null = null;
  #counters: AppCounters | null = null;
  #detection: DetectionResult | null = null;
  #postGcHeapBytes: number | null = null;
  #openAlerts: readonly Alert[] = [];
  #blind: readonly Blind[] = [];
  #refusedBytes: MetricState['refusedBytes'] = null;

  #auditCounts: () => Pick<MetricState, 'audits' | 'suspects'> = () => ({ audits: {}, suspects: null });

  constructor(context: WatcherContext) {
    this.#context = context;
  }

  /** The auditor counts its own outcomes. */
  setAuditCounts(counts: () => Pick<MetricState, 'audits' | 'suspects'>): void {
    this.#auditCounts = counts;
  }

  setSample(sample: Sample, counters: AppCounters, detection: DetectionResult): void {
    this.#sample = withResources(sample, this.#sample);
    this.#counters = counters;
    this.#detection = detection;
    this.#postGcHeapBytes = sample.gc.floor?.bytes ?? this.#postGcHeapBytes;
    this.#points.push(reportPoint(sample, this.#postGcHeapBytes));
  }

  setOpenAlerts(alerts: readonly Alert[]): void {
    this.#openAlerts = alerts;
  }

  /** Used until the first sample arrives, which brings its own. */
  setBlind(blind: readonly Blind[]): void {
    this.#blind = blind;
  }

  countSnapshot(snapshot: Snapshot): void {
    const { outcome } = snapshot;
    if (outcome === 'written') this.#refusedBytes = null;
    if (outcome === 'refused' && snapshot.needBytes !== undefined && snapshot.haveBytes !== undefined)
      this.#refusedBytes = { needed: snapshot.needBytes, available: snapshot.haveBytes };
    const method = outcome === 'written' ? snapshot.method : 'none';
    const key = `${outcome} ${method}`;
    this.#snapshots.set(key, { outcome, method, count: (this.#snapshots.get(key)?.count ?? 0) + 1 });
  }

  countDelivery(sink: string, { outcome }: Delivery): void {
    const key = `${sink} ${outcome}`;
    this.#deliveries.set(key, { sink, outcome, count: (this.#deliveries.get(key)?.count ?? 0) + 1 });
  }

  /** The last hour, for the charts of a report. */
  points(): readonly ReportPoint[] {
    return this.#points.values;
  }

  metrics(): MetricState {
    const { setup, guard } = this.#context;
    const counters = this.#counters;
    return {
      sample: this.#sample,
      postGcHeapBytes: this.#postGcHeapBytes,
      openAlerts: this.#openAlerts.map(({ kind }) => ({ kind })),
      timeToLimit: this.#detection?.timeToLimit ?? null,
      growthBytesPerHour: this.#detection?.growthBytesPerHour ?? {},
      snapshots: [...this.#snapshots.values()],
      refusedBytes: this.#refusedBytes,
      ...this.#auditCounts(),
      agent: {
        samplesTotal: counters?.samplesTotal ?? 0,
        samplesDroppedTotal: counters?.samplesDroppedTotal ?? 0,
        watcherRestartsTotal: setup.restarts,
        faultsTotal: { ...counters?.faults, ...guard.faults() },
        cpuSecondsTotal: this.#cpuSeconds(),
        deliveries: [...this.#deliveries.values()],
      },
    };
  }

  #cpuSeconds(): Record<string, number> {
    const counters = this.#counters;
    const isThread = this.#context.setup.noThreadReason === null;
    const watcher = isThread ? threadCpuSeconds() : null;
    return {
      ...(counters === null ? {} : { application: counters.sampleCpuMsTotal / 1000 }),
      ...(watcher === null ? {} : { watcher }),
    };
  }

  status(): Status {
    const { setup, clock } = this.#context;
    return composeStatus({
      watcher: setup.noThreadReason === null ? 'running' : 'none',
      identity: setup.identity,
      uptimeMs: clock.wallMs() - setup.startedWallMs,
      sample: this.#sample,
      verdicts: this.#detection?.verdicts ?? [],
      timeToLimit: this.#detection?.timeToLimit ?? null,
      alerts: this.#openAlerts,
      blind: this.#blind,
      noThreadReason: setup.noThreadReason,
    });
  }
}

/** The metrics keep the last counts of resources when a sample has none. */
const withResources = (sample: Sample, before: Sample | null): Sample => ({
  ...sample,
  resources: { ...before?.resources, ...sample.resources },
});
