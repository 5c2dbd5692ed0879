/** The metrics of memory and of the process. Pure. */
import { ALL_KINDS } from '../kinds/index.ts';
import { byLabel, labelled, single, type Metric, type MetricState, type Point } from './metric.ts';

const memory = (state: MetricState) => state.sample?.memory;
const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000);

export const MEMORY_METRICS: readonly Metric[] = [
  single('gauge', 'wsguard.heap.used', ['By', 'Used V8 heap.'], (state) => memory(state)?.heapUsedBytes),
  single(
    'gauge',
    'wsguard.heap.floor',
    ['By', 'Post-GC heap: old space right after the last major GC.'],
    (state) => state.postGcHeapBytes,
  ),
  single('gauge', 'wsguard.rss', ['By', 'Resident memory (RSS).'], (state) => memory(state)?.rssBytes),
  single(
    'gauge',
    'wsguard.external',
    ['By', 'Memory of C++ objects that belong to JavaScript objects.'],
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
    ['By', 'Largest size that old space (`heap`) or the cgroup (`container`) can reach.', 'limit'],
    memoryLimits,
  ),
  labelled(
    'gauge',
    'wsguard.time_to_limit',
    [
      's',
      'Time until memory reaches 85 % of the heap capacity, or the container limit, at its present growth. No series while nothing grows.',
      'limit',
    ],
    ({ timeToLimit }) =>
      timeToLimit === null ? [] : [{ labels: { limit: timeToLimit.limit }, value: timeToLimit.ms / 1000 }],
  ),
  single(
    'gauge',
    'wsguard.memory.per_connection',
    ['By', 'Resident memory divided by the number of open connections.'],
    memoryPerConnection,
  ),
  labelled('gauge', 'wsguard.memory.growth', ['By/h', 'Growth of each memory pool.', 'pool'], (state) =>
    byLabel('pool', state.growthBytesPerHour),
  ),
];

export const PROCESS_METRICS: readonly Metric[] = [
  single(
    'gauge',
    'wsguard.loop.delay.p99',
    ['s', 'Event-loop delay, 99th percentile of the last sampling interval.'],
    ({ sample }) => seconds(sample?.loop?.delayP99Ms),
  ),
  single(
    'counter',
    'wsguard.gc.major',
    ['{collection}', 'Major GCs.'],
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
    'wsguard.active_resources',
    [
      '{resource}',
      'Open resources of each type. Descriptors are without the accepted sockets; `descriptor_*` are their classes.',
      'type',
    ],
    ({ sample }) => byLabel('type', sample?.resources),
  ),
  labelled(
    'gauge',
    'wsguard.alert.active',
    ['{alert}', 'Open alerts of each kind; 0 if there is none.', 'kind'],
    ({ openAlerts }) =>
      ALL_KINDS.map((kind) => ({
        labels: { kind },
        value: openAlerts.filter((alert) => alert.kind === kind).length,
      })),
  ),
  labelled(
    'counter',
    'wsguard.snapshots',
    ['{snapshot}', 'Heap snapshots that were requested, by outcome.', 'outcome', 'method'],
    ({ snapshots }) =>
      snapshots.map(({ outcome, method, count }) => ({ labels: { outcome, method }, value: count })),
  ),
  labelled(
    'gauge',
    'wsguard.snapshot.refused',
    [
      'By',
      'Memory or disk space that the last refused snapshot needs, and that is available. No series after a written one.',
      'bytes',
    ],
    ({ refusedBytes }) =>
      Object.entries(refusedBytes ?? {}).map(([bytes, value]) => ({ labels: { bytes }, value })),
  ),
  labelled(
    'counter',
    'wsguard.audits',
    ['{audit}', 'Censuses of containers, by outcome (`done`, `refused`, `failed`).', 'outcome'],
    ({ audits }) => byLabel('outcome', audits),
  ),
  single(
    'gauge',
    'wsguard.suspects',
    [
      '{container}',
      'Containers that grew in the last censuses and may leak. No series before the second census.',
    ],
    ({ suspects }) => suspects,
  ),
];

/** OpenTelemetry's semantic conventions. A sample has no heap by space and no GC durations, so these are missing. */
export const RUNTIME_METRICS: readonly Metric[] = [
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
