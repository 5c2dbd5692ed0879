/** Converts the metrics of one instant (the agent's, else the defaults of prom-client) into a sample. Pure. */
import {
  RESOURCE_TYPES,
  TRANSPORTS,
  UNKNOWN_SAMPLE,
  type ByTransport,
  type ResourceCounts,
  type ResourceType,
  type Sample,
} from '../types/sample.ts';
import { DEFAULT_SEMI_SPACES_BYTES, nullIfNaN, type TraceOptions } from './trace-sample.ts';

export interface Point {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The metrics that are read: the agent's (docs/metrics.md), then prom-client's defaults, which have no connections. */
export const METRIC_NAMES = [
  'ws_connections_active',
  'ws_connections_opened_total',
  'ws_connections_closed_total',
  'ws_send_buffer_bytes',
  'wsguard_connections_unanswering',
  'wsguard_connections_unaskable',
  'wsguard_connections_retained',
  'wsguard_heap_used_bytes',
  'wsguard_heap_floor_bytes',
  'wsguard_rss_bytes',
  'wsguard_external_bytes',
  'wsguard_array_buffers_bytes',
  'wsguard_memory_limit_bytes',
  'wsguard_loop_delay_p99_seconds',
  'wsguard_gc_major_total',
  'wsguard_open_descriptors',
  'wsguard_active_resources',
  'wsguard_registry_entries',
  'wsguard_emitter_listeners',
  'wsguard_queue_items',
  'wsguard_room_members',
  'nodejs_heap_size_used_bytes',
  'nodejs_heap_size_total_bytes',
  'process_resident_memory_bytes',
  'nodejs_eventloop_lag_p99_seconds',
  'nodejs_gc_duration_seconds_count',
  'process_open_fds',
  'process_max_fds',
] as const;

type MetricName = (typeof METRIC_NAMES)[number];

class Points {
  readonly #points: readonly Point[];

  constructor(points: readonly Point[]) {
    this.#points = points;
  }

  all(name: MetricName): Point[] {
    return this.#points.filter((point) => point.name === name);
  }

  /** The value of the first metric that has a series with these labels; NaN when none has. */
  value(names: readonly MetricName[], labels: Readonly<Record<string, string>> = {}): number {
    for (const name of names) {
      const match = this.all(name).find((point) =>
        Object.entries(labels).every(([label, value]) => point.labels[label] === value),
      );
      if (match !== undefined) return match.value;
    }
    return Number.NaN;
  }

  /** A transport without a series counts 0, unless the metric has no series at all. */
  byTransport(name: MetricName): ByTransport {
    const points = this.all(name);
    const missing = points.length === 0 ? Number.NaN : 0;
    const valueOf = (transport: string): number =>
      points.find(({ labels }) => labels['transport'] === transport)?.value ?? missing;
    return Object.fromEntries(
      TRANSPORTS.map((transport) => [transport, valueOf(transport)]),
    ) as unknown as ByTransport;
  }
}

const sum = (counts: ByTransport): number =>
  TRANSPORTS.reduce((total, transport) => total + counts[transport], 0);

/** Keeps state between samples: a counter that falls means a restart, a counted major GC means a new post-GC heap. */
export function createPointReader(
  options: TraceOptions,
): (seconds: number, points: readonly Point[]) => Sample {
  let seq = 0;
  let startMs = Number.NaN;
  let opened = 0;
  let majorGcs = Number.NaN;
  return (seconds, list) => {
    const points = new Points(list);
    const atMs = seconds * 1000;
    const openedNow = sum(points.byTransport('ws_connections_opened_total'));
    const majorGcsNow = readMajorGcs(points);
    if (Number.isNaN(startMs) || openedNow < opened || majorGcsNow < majorGcs) startMs = atMs;
    const hadMajorGc = majorGcsNow > majorGcs;
    opened = openedNow;
    majorGcs = majorGcsNow;
    seq += 1;
    return sampleFrom(points, { seq, atMs, uptimeMs: atMs - startMs, hadMajorGc, majorGcs }, options);
  };
}

function readMajorGcs(points: Points): number {
  const own = points.value(['wsguard_gc_major_total']);
  return Number.isNaN(own) ? points.value(['nodejs_gc_duration_seconds_count'], { kind: 'major' }) : own;
}

interface Instant extends Pick<Sample, 'seq' | 'atMs' | 'uptimeMs'> {
  readonly hadMajorGc: boolean;
  readonly majorGcs: number;
}

function sampleFrom(
  points: Points,
  { seq, atMs, uptimeMs, hadMajorGc, majorGcs }: Instant,
  options: TraceOptions,
): Sample {
  const postGcBytes = points.value(['wsguard_heap_floor_bytes']);
  const delayMs = points.value(['wsguard_loop_delay_p99_seconds', 'nodejs_eventloop_lag_p99_seconds']) * 1000;
  const descriptors = points.value(['wsguard_open_descriptors', 'process_open_fds']);
  return {
    ...UNKNOWN_SAMPLE,
    seq,
    atMs,
    wallMs: atMs,
    uptimeMs,
    ...memoryFrom(points, options),
    gc: {
      ...UNKNOWN_SAMPLE.gc,
      majorTotal: majorGcs,
      floor: hadMajorGc && postGcBytes > 0 ? { atMs, bytes: postGcBytes } : null,
    },
    loop: Number.isFinite(delayMs) ? { delayP99Ms: delayMs, delayMaxMs: delayMs } : null,
    descriptors: Number.isFinite(descriptors)
      ? { open: descriptors, limit: nullIfNaN(points.value(['process_max_fds'])) }
      : null,
    connections: connectionsFrom(points),
    resources: resourcesFrom(points),
    ...collectionsFrom(points),
  };
}

function memoryFrom(points: Points, { memoryLimitBytes }: TraceOptions): Pick<Sample, 'memory' | 'limits'> {
  const capacity = points.value(['wsguard_memory_limit_bytes'], { limit: 'heap' });
  const container = points.value(['wsguard_memory_limit_bytes'], { limit: 'container' });
  const heapUsed = points.value(['wsguard_heap_used_bytes', 'nodejs_heap_size_used_bytes']);
  return {
    memory: {
      ...UNKNOWN_SAMPLE.memory,
      heapUsedBytes: heapUsed,
      // Total heap and old space are not exported. With the used heap in their place, RSS beyond the heap includes the
      // sawtooth of garbage collection.
      heapTotalBytes: heapUsed,
      oldSpaceBytes: heapUsed,
      heapLimitBytes: capacity + DEFAULT_SEMI_SPACES_BYTES,
      rssBytes: points.value(['wsguard_rss_bytes', 'process_resident_memory_bytes']),
      externalBytes: points.value(['wsguard_external_bytes']),
      arrayBuffersBytes: points.value(['wsguard_array_buffers_bytes']),
    },
    limits: {
      ...UNKNOWN_SAMPLE.limits,
      heapCapacityBytes: capacity,
      containerBytes: memoryLimitBytes ?? nullIfNaN(container),
    },
  };
}

const connectionsFrom = (points: Points): Sample['connections'] => ({
  ...UNKNOWN_SAMPLE.connections,
  active: points.byTransport('ws_connections_active'),
  openedTotal: points.byTransport('ws_connections_opened_total'),
  closedTotal: points.byTransport('ws_connections_closed_total'),
  unanswering: points.value(['wsguard_connections_unanswering']),
  unaskable: points.value(['wsguard_connections_unaskable']),
  retained: nullIfNaN(points.value(['wsguard_connections_retained'])),
  sendBufferBytes: points.value(['ws_send_buffer_bytes']),
});

function resourcesFrom(points: Points): ResourceCounts {
  const counts: Partial<Record<ResourceType, number>> = {};
  for (const { labels, value } of points.all('wsguard_active_resources')) {
    const type = RESOURCE_TYPES.find((each) => each === labels['type']);
    if (type !== undefined) counts[type] = value;
  }
  return counts;
}

/** The history does not say whether the application or the agent registered a collection, so all of them are kept. */
function collectionsFrom(points: Points): Pick<Sample, 'registries' | 'queues' | 'rooms' | 'emitters'> {
  const source = 'found' as const;
  return {
    registries: points
      .all('wsguard_registry_entries')
      .map(({ labels, value }) => ({ name: labels['registry'] ?? '', entries: value, source })),
    queues: points.all('wsguard_queue_items').map(({ labels, value }) => ({
      name: labels['queue'] ?? '',
      items: value,
      oldestAgeMs: null,
      source,
    })),
    rooms: points.all('wsguard_room_members').map(({ labels, value }) => ({
      name: labels['rooms'] ?? '',
      rooms: Number.NaN,
      members: value,
      source,
    })),
    emitters: points.all('wsguard_emitter_listeners').map(({ labels, value }) => ({
      emitter: labels['emitter'] ?? '',
      event: labels['event'] ?? '*',
      listeners: value,
      eventNames: null,
      source,
    })),
  };
}
