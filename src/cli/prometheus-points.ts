/** Makes a sample from the metrics of docs/metrics.md, or from prom-client's default metrics, at one time. */

import { TRANSPORTS, type ByTransport, type Sample } from '../types/index.ts';
import type { TraceOptions } from './trace.ts';

export interface Point {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export const AGENT_METRICS = [
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
  'wsguard_registry_entries',
  'wsguard_emitter_listeners',
  'wsguard_queue_items',
  'wsguard_room_members',
] as const;

/** prom-client's defaults: no connections and no floors, so they carry conditions and no leak. */
export const PLAIN_METRICS = [
  'nodejs_heap_size_used_bytes',
  'nodejs_heap_size_total_bytes',
  'process_resident_memory_bytes',
  'nodejs_eventloop_lag_p99_seconds',
  'nodejs_gc_duration_seconds_count',
  'process_open_fds',
  'process_max_fds',
] as const;

/** heap_size_limit is not exported; 48 MiB of semi-spaces beside the capacity are the default. */
const SEMI_SPACES_BYTES = 48 * 1024 ** 2;

class Points {
  readonly #points: readonly Point[];
  constructor(points: readonly Point[]) {
    this.#points = points;
  }

  all(name: string): Point[] {
    return this.#points.filter((point) => point.name === name);
  }

  /** The first of several names that has a value; with labels, of the series that carries them. */
  one(names: readonly string[], labels: Readonly<Record<string, string>> = {}): number {
    for (const name of names) {
      const found = this.all(name).find((point) =>
        Object.entries(labels).every(([label, value]) => point.labels[label] === value),
      );
      if (found !== undefined) return found.value;
    }
    return Number.NaN;
  }

  byTransport(name: string): ByTransport {
    const points = this.all(name);
    const of = (transport: string): number =>
      points.length === 0
        ? Number.NaN
        : (points.find(({ labels }) => labels['transport'] === transport)?.value ?? 0);
    return Object.fromEntries(
      TRANSPORTS.map((transport) => [transport, of(transport)]),
    ) as unknown as ByTransport;
  }
}

const nullable = (value: number): number | null => (Number.isFinite(value) ? value : null);
const sum = (counts: ByTransport): number =>
  TRANSPORTS.reduce((all, transport) => all + counts[transport], 0);

/** Stateful: a counter that falls is a restart, a major more is a new floor. */
export function createPointReader(
  options: TraceOptions,
): (seconds: number, points: readonly Point[]) => Sample {
  let seq = 0;
  let bornMs = Number.NaN;
  let opened = 0;
  let majors = Number.NaN;
  return (seconds, list) => {
    const points = new Points(list);
    const atMs = seconds * 1000;
    const openedNow = sum(points.byTransport('ws_connections_opened_total'));
    const majorsNow = points.one(
      ['wsguard_gc_major_total', 'nodejs_gc_duration_seconds_count'],
      majorLabels(points),
    );
    if (Number.isNaN(bornMs) || openedNow < opened || majorsNow < majors) bornMs = atMs;
    const hasFloor = majorsNow > majors;
    opened = openedNow;
    majors = majorsNow;
    seq += 1;
    return sampleOf(points, { seq, atMs, uptimeMs: atMs - bornMs, hasFloor, majors }, options);
  };
}

const majorLabels = (points: Points): Record<string, string> =>
  points.all('wsguard_gc_major_total').length > 0 ? {} : { kind: 'major' };

interface Place {
  readonly seq: number;
  readonly atMs: number;
  readonly uptimeMs: number;
  readonly hasFloor: boolean;
  readonly majors: number;
}

function sampleOf(
  points: Points,
  { seq, atMs, uptimeMs, hasFloor, majors }: Place,
  options: TraceOptions,
): Sample {
  const floorBytes = points.one(['wsguard_heap_floor_bytes']);
  const loopMs = points.one(['wsguard_loop_delay_p99_seconds', 'nodejs_eventloop_lag_p99_seconds']) * 1000;
  const descriptors = points.one(['wsguard_open_descriptors', 'process_open_fds']);
  return {
    seq,
    atMs,
    wallMs: atMs,
    uptimeMs,
    ...memoryOf(points, options),
    gc: {
      minorTotal: Number.NaN,
      majorTotal: majors,
      incrementalTotal: Number.NaN,
      pauseMsTotal: Number.NaN,
      floor: hasFloor && floorBytes > 0 ? { atMs, bytes: floorBytes } : null,
    },
    loop: Number.isFinite(loopMs) ? { delayP99Ms: loopMs, delayMaxMs: loopMs } : null,
    descriptors: Number.isFinite(descriptors)
      ? { open: descriptors, limit: nullable(points.one(['process_max_fds'])) }
      : null,
    connections: connectionsOf(points),
    ...countedOf(points),
    marks: [],
    blind: [],
  };
}

function memoryOf(points: Points, { memoryLimitBytes }: TraceOptions): Pick<Sample, 'memory' | 'limits'> {
  const capacity = points.one(['wsguard_memory_limit_bytes'], { limit: 'heap' });
  const container = points.one(['wsguard_memory_limit_bytes'], { limit: 'container' });
  const heapUsed = points.one(['wsguard_heap_used_bytes', 'nodejs_heap_size_used_bytes']);
  return {
    memory: {
      heapUsedBytes: heapUsed,
      // Neither is exported: heap in use stands for both, so that RSS beyond it is judged with the sawtooth in it.
      heapTotalBytes: heapUsed,
      oldSpaceBytes: heapUsed,
      heapLimitBytes: capacity + SEMI_SPACES_BYTES,
      rssBytes: points.one(['wsguard_rss_bytes', 'process_resident_memory_bytes']),
      externalBytes: points.one(['wsguard_external_bytes']),
      arrayBuffersBytes: points.one(['wsguard_array_buffers_bytes']),
      mallocedBytes: Number.NaN,
      peakMallocedBytes: Number.NaN,
    },
    limits: {
      heapCapacityBytes: capacity,
      containerBytes: memoryLimitBytes ?? nullable(container),
      containerUsedBytes: null,
      containerOomKills: null,
    },
  };
}

const connectionsOf = (points: Points): Sample['connections'] => ({
  active: points.byTransport('ws_connections_active'),
  openedTotal: points.byTransport('ws_connections_opened_total'),
  closedTotal: points.byTransport('ws_connections_closed_total'),
  unanswering: points.one(['wsguard_connections_unanswering']),
  unaskable: points.one(['wsguard_connections_unaskable']),
  retained: nullable(points.one(['wsguard_connections_retained'])),
  uncollected: Number.NaN,
  sendBufferBytes: points.one(['ws_send_buffer_bytes']),
  slow: Number.NaN,
  closeCodes: {},
  messagesSentTotal: Number.NaN,
  messagesFailedTotal: Number.NaN,
  rtt: null,
  maxConnections: null,
});

/** Who registered a series is not in the history: all of them count. */
function countedOf(points: Points): Pick<Sample, 'registries' | 'queues' | 'rooms' | 'emitters'> {
  const named = (metric: string, label: string) =>
    points
      .all(metric)
      .map(({ labels, value }) => ({ name: labels[label] ?? '', value, source: 'found' as const }));
  return {
    registries: named('wsguard_registry_entries', 'registry').map(({ value, ...rest }) => ({
      ...rest,
      entries: value,
    })),
    queues: named('wsguard_queue_items', 'queue').map(({ value, ...rest }) => ({
      ...rest,
      items: value,
      oldestAgeMs: null,
    })),
    rooms: named('wsguard_room_members', 'rooms').map(({ value, ...rest }) => ({
      ...rest,
      rooms: Number.NaN,
      members: value,
    })),
    emitters: points.all('wsguard_emitter_listeners').map(({ labels, value }) => ({
      emitter: labels['emitter'] ?? '',
      event: labels['event'] ?? '*',
      listeners: value,
      eventNames: null,
      source: 'found' as const,
    })),
  };
}
