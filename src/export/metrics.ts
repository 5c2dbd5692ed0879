/**
 * The table of all metrics, from which the Prometheus page, `collectInto` and OTLP are made. A metric without a value
 * has no series, so that a missing series never reads as 0.
 */
import { COLLECTION_METRICS, CONNECTION_METRICS, REMEDY_METRICS } from './connection-metrics.ts';
import { byLabel, capSeries, labelled, single, type Metric, type MetricState, type Point } from './metric.ts';
import { MEMORY_METRICS, PROCESS_METRICS, RUNTIME_METRICS } from './process-metrics.ts';

const AGENT_METRICS: readonly Metric[] = [
  single(
    'counter',
    'wsguard.agent.samples',
    ['{sample}', 'Samples taken.'],
    ({ agent }) => agent.samplesTotal,
  ),
  single(
    'counter',
    'wsguard.agent.samples.dropped',
    ['{sample}', 'Samples dropped because the watcher was too slow.'],
    ({ agent }) => agent.samplesDroppedTotal,
  ),
  labelled(
    'counter',
    'wsguard.agent.faults',
    ['{fault}', 'Errors inside the agent, caught before they reached the application.', 'part'],
    ({ agent }) => byLabel('part', agent.faultsTotal),
  ),
  labelled(
    'counter',
    'wsguard.agent.cpu',
    [
      's',
      'CPU time of the agent: of the samples on the `application` thread (an upper limit), and of its `watcher` thread since it last started.',
      'thread',
    ],
    ({ agent }) => byLabel('thread', agent.cpuSecondsTotal),
  ),
  labelled(
    'counter',
    'wsguard.agent.deliveries',
    ['{delivery}', 'Alerts, reports and files sent to each sink, by outcome.', 'sink', 'outcome'],
    ({ agent }) =>
      (agent.deliveries ?? []).map(({ sink, outcome, count }) => ({
        labels: { sink, outcome },
        value: count,
      })),
  ),
  single(
    'counter',
    'wsguard.agent.watcher.restarts',
    ['{restart}', 'Restarts of the watcher thread.'],
    ({ agent }) => agent.watcherRestartsTotal,
  ),
  labelled(
    'gauge',
    'wsguard.agent.series.folded',
    ['{series}', 'Series of a metric that are summed into its series `other`.', 'metric'],
    foldedSeries,
  ),
];

export const METRICS: readonly Metric[] = [
  ...CONNECTION_METRICS,
  ...MEMORY_METRICS,
  ...COLLECTION_METRICS,
  ...REMEDY_METRICS,
  ...PROCESS_METRICS,
  ...AGENT_METRICS,
  ...RUNTIME_METRICS,
];

/** The metrics for a value of WSGUARD_OTEL_RUNTIME. */
export function metricsFor(runtime: 'on' | 'off'): readonly Metric[] {
  return runtime === 'on' ? METRICS : METRICS.filter((metric) => !metric.runtime);
}

function foldedSeries(state: MetricState): Point[] {
  return COLLECTION_METRICS.flatMap((metric) => {
    if (metric.type === 'histogram') return [];
    const { folded } = capSeries(metric.read(state));
    return folded === 0 ? [] : [{ labels: { metric: metric.name }, value: folded }];
  });
}
