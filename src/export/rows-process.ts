/** Rows about memory, the process and the agent itself. */
import { ALL_KINDS } from '../kinds/index.ts';
import { byLabel, labelled, single, type Metric, type MetricState, type Point } from './metric.ts';
import { COLLECTIONS } from './rows-connections.ts';
import { capSeries } from './series.ts';

const memory = (state: MetricState) => state.sample?.memory;
const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000);

export const MEMORY: readonly Metric[] = [
  single('gauge', 'wsguard.heap.used', ['By', 'V8 heap in use.'], (state) => memory(state)?.heapUsedBytes),
  single(
    'gauge',
    'wsguard.heap.floor',
    ['By', 'Old space right after the last major collection, exact.'],
    (state) => state.floorBytes,
  ),
  single('gauge', 'wsguard.rss', ['By', 'Resident memory.'], (state) => memory(state)?.rssBytes),
  single(
    'gauge',
    'wsguard.external',
    ['By', 'Memory of C++ objects bound to JavaScript ones.'],
    (state) => memory(state)?.externalBytes,
  ),
  single(
    'gauge',
    'wsguard.array_buffers',
    ['By', 'Memory of ArrayBuffers and Buffers.'],
    (state) => memory(state)?.arrayBuffersBytes,
  ),
  labelled(
    'gauge',
    'wsguard.memory.limit',
    ['By', 'What old space (`heap`) and the cgroup (`container`) may really grow to.', 'limit'],
    memoryLimits,
  ),
  labelled(
    'gauge',
    'wsguard.time_to_limit',
    [
      's',
      'Time until 85 % of the heap limit, or the container limit, at the present growth; absent when nothing grows.',
      'limit',
    ],
    ({ timeToLimit }) =>
      timeToLimit === null ? [] : [{ labels: { limit: timeToLimit.limit }, value: timeToLimit.ms / 1000 }],
  ),
  single(
    'gauge',
    'wsguard.memory.per_connection',
    ['By', 'Resident memory divided by the open connections.'],
    memoryPerConnection,
  ),
  labelled('gauge', 'wsguard.memory.growth', ['By/h', 'Growth of each pool.', 'pool'], (state) =>
    byLabel('pool', state.growthBytesPerHour),
  ),
];

export const PROCESS: readonly Metric[] = [
  single(
    'gauge',
    'wsguard.loop.delay.p99',
    ['s', 'Event-loop delay, 99th percentile of the last period.'],
    ({ sample }) => seconds(sample?.loop?.delayP99Ms),
  ),
  single(
    'counter',
    'wsguard.gc.major',
    ['{collection}', 'Major collections.'],
    ({ sample }) => sample?.gc.majorTotal,
  ),
  single(
    'gauge',
    'wsguard.open_descriptors',
    ['{descriptor}', 'Open file descriptors.'],
    ({ sample }) => sample?.descriptors?.open,
  ),
  labelled(
    'gauge',
    'wsguard.alert.active',
    ['{alert}', 'Open alerts of each kind; 0 when there is none.', 'kind'],
    ({ openAlerts }) =>
      ALL_KINDS.map((kind) => ({
        labels: { kind },
        value: openAlerts.filter((alert) => alert.kind === kind).length,
      })),
  ),
  labelled(
    'counter',
    'wsguard.snapshots',
    ['{snapshot}', 'Snapshots wanted, by what became of them.', 'outcome', 'method'],
    ({ snapshots }) =>
      snapshots.map(({ outcome, method, count }) => ({ labels: { outcome, method }, value: count })),
  ),
];

export const AGENT: readonly Metric[] = [
  single(
    'counter',
    'wsguard.agent.samples',
    ['{sample}', 'Samples taken.'],
    ({ agent }) => agent.samplesTotal,
  ),
  single(
    'counter',
    'wsguard.agent.samples.dropped',
    ['{sample}', 'Samples dropped because the watcher was behind.'],
    ({ agent }) => agent.samplesDroppedTotal,
  ),
  labelled(
    'counter',
    'wsguard.agent.faults',
    ['{fault}', 'Faults of the agent caught before they reached the application.', 'part'],
    ({ agent }) => byLabel('part', agent.faultsTotal),
  ),
  labelled('counter', 'wsguard.agent.cpu', ['s', 'CPU time of the agent.', 'thread'], ({ agent }) =>
    byLabel('thread', agent.cpuSecondsTotal),
  ),
  labelled(
    'counter',
    'wsguard.agent.deliveries',
    ['{delivery}', 'Alerts, reports and files handed to each sink.', 'sink', 'outcome'],
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
    ['{series}', 'Series beyond the first 100 of a metric; their sum is the series `other`.', 'metric'],
    foldedSeries,
  ),
];

/** Semantic conventions; what a sample does not hold (heap by space, GC durations) is left to the SDK. */
export const RUNTIME: readonly Metric[] = [
  single('gauge', 'nodejs.eventloop.delay.p99', ['s', 'Event-loop delay, 99th percentile.'], ({ sample }) =>
    seconds(sample?.loop?.delayP99Ms),
  ),
  single('gauge', 'nodejs.eventloop.delay.max', ['s', 'Event-loop delay, maximum.'], ({ sample }) =>
    seconds(sample?.loop?.delayMaxMs),
  ),
  single('gauge', 'process.memory.usage', ['By', 'Resident memory.'], (state) => memory(state)?.rssBytes),
  single('gauge', 'process.uptime', ['s', 'Time since start.'], ({ sample }) => seconds(sample?.uptimeMs)),
];

function memoryLimits({ sample }: MetricState): Point[] {
  if (sample === null) return [];
  const { heapCapacityBytes, containerBytes } = sample.limits;
  const heap = { labels: { limit: 'heap' }, value: heapCapacityBytes };
  return containerBytes === null ? [heap] : [heap, { labels: { limit: 'container' }, value: containerBytes }];
}

function memoryPerConnection({ sample }: MetricState): number | null {
  if (sample === null) return null;
  const open = Object.values(sample.connections.active).reduce((sum, count) => sum + count, 0);
  return open === 0 ? null : sample.memory.rssBytes / open;
}

function foldedSeries(state: MetricState): Point[] {
  return COLLECTIONS.flatMap((metric) => {
    if (metric.type === 'histogram') return [];
    const { folded } = capSeries(metric.read(state));
    return folded === 0 ? [] : [{ labels: { metric: metric.name }, value: folded }];
  });
}
