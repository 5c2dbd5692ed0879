/** What the watcher knows at this moment: for the metrics, for `status()` and for the reports' curves. */
import type { AppCounters, WatcherSetup } from '../channel.ts';
import type { MetricState } from '../export/metric.ts';
import type { Guard } from '../core/guard.ts';
import { Ring } from '../core/ring.ts';
import type { DetectionResult } from '../detection.ts';
import type {
  Alert,
  ByTransport,
  Delivery,
  ReportPoint,
  Sample,
  Snapshot,
  TimeToLimit,
  Verdict,
} from '../types/index.ts';

/** An hour at the usual period; a report needs no more to show which way a curve goes. */
const MAX_POINTS = 240;

export interface WatcherState {
  sample(sample: Sample, counters: AppCounters, step: DetectionResult): void;
  alerts(open: readonly Alert[]): void;
  countSnapshot(snapshot: Snapshot): void;
  readonly countDelivery: (sink: string, delivery: Delivery) => void;
  readonly metrics: () => MetricState;
  known(): { sample: Sample | null; verdicts: readonly Verdict[]; timeToLimit: TimeToLimit | null };
  points(): readonly ReportPoint[];
}

export function createWatcherState(setup: WatcherSetup, guard: Guard): WatcherState {
  const points = new Ring<ReportPoint>(MAX_POINTS);
  const snapshots = new Map<string, MetricState['snapshots'][number]>();
  const deliveries = new Map<string, { sink: string; outcome: string; count: number }>();
  let sample: Sample | null = null;
  let counters: AppCounters | null = null;
  let step: DetectionResult | null = null;
  let open: readonly Alert[] = [];
  let floorBytes: number | null = null;

  return {
    sample(newSample, newCounters, newStep) {
      sample = newSample;
      counters = newCounters;
      step = newStep;
      floorBytes = newSample.gc.floor?.bytes ?? floorBytes;
      points.push(pointOf(newSample, floorBytes));
    },
    alerts: (alerts) => void (open = alerts),
    countSnapshot(snapshot) {
      const { outcome } = snapshot;
      const method = outcome === 'written' ? snapshot.method : 'none';
      const count = (snapshots.get(`${outcome} ${method}`)?.count ?? 0) + 1;
      snapshots.set(`${outcome} ${method}`, { outcome, method, count });
    },
    countDelivery(sink, { outcome }) {
      const count = (deliveries.get(`${sink} ${outcome}`)?.count ?? 0) + 1;
      deliveries.set(`${sink} ${outcome}`, { sink, outcome, count });
    },
    metrics: () => ({
      sample,
      floorBytes,
      openAlerts: open.map(({ kind }) => ({ kind })),
      timeToLimit: step?.timeToLimit ?? null,
      growthBytesPerHour: step?.growthBytesPerHour ?? {},
      snapshots: [...snapshots.values()],
      agent: {
        samplesTotal: counters?.samplesTotal ?? 0,
        samplesDroppedTotal: counters?.samplesDroppedTotal ?? 0,
        watcherRestartsTotal: setup.restarts,
        faultsTotal: { ...counters?.faults, ...guard.faults() },
        cpuSecondsTotal: counters === null ? {} : { sampling: counters.sampleMsTotal / 1000 },
        deliveries: [...deliveries.values()],
      },
    }),
    known: () => ({ sample, verdicts: step?.verdicts ?? [], timeToLimit: step?.timeToLimit ?? null }),
    points: () => points.values,
  };
}

const pointOf = ({ wallMs, memory, connections }: Sample, floorBytes: number | null): ReportPoint => ({
  wallMs,
  heapUsedBytes: memory.heapUsedBytes,
  floorBytes,
  rssBytes: memory.rssBytes,
  externalBytes: memory.externalBytes,
  connections: sumOf(connections.active),
  unanswering: connections.unanswering,
  opened: sumOf(connections.openedTotal),
  closed: sumOf(connections.closedTotal),
});

const sumOf = (byTransport: ByTransport): number =>
  Object.values(byTransport).reduce((sum, count) => sum + count, 0);
