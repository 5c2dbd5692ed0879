import { METRICS, metricsFor } from '../../../src/export/metrics.ts';
import { capSeries, readMetric, type MetricState } from '../../../src/export/metric.ts';
import { ALL_KINDS } from '../../../src/kinds/index.ts';
import { stateOf } from '../../support/metric-state.ts';
import { byTransport, sampleOf } from '../../support/samples.ts';

function read(name: string, from: MetricState) {
  const metric = METRICS.find((candidate) => candidate.name === name);
  if (metric === undefined) throw new Error(`no metric ${name}`);
  return readMetric(metric, from);
}

const values = (name: string, from: MetricState) =>
  Object.fromEntries(
    read(name, from).points.map(({ labels, value }) => [Object.values(labels).join(' '), value]),
  );

test('the metrics of docs/metrics.md exist once each', () => {
  const promised =
    `ws_connections_active ws_connections_opened_total ws_connections_closed_total ws_close_total
    ws_connection_duration_seconds ws_heartbeat_rtt_seconds ws_messages_sent_total ws_messages_failed_total ws_send_buffer_bytes
    wsguard_connections_unanswering wsguard_connections_unaskable
    wsguard_connections_retained wsguard_heap_used_bytes wsguard_heap_floor_bytes wsguard_rss_bytes
    wsguard_external_bytes wsguard_array_buffers_bytes wsguard_memory_limit_bytes
    wsguard_time_to_limit_seconds wsguard_memory_per_connection_bytes
    wsguard_memory_growth_bytes_per_hour wsguard_registry_entries wsguard_emitter_listeners
    wsguard_queue_items wsguard_room_members wsguard_loop_delay_p99_seconds wsguard_gc_major_total
    wsguard_open_descriptors wsguard_alert_active wsguard_snapshots_total`.split(/\s+/);
  const names = METRICS.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(promised));
  expect(new Set(names).size).toBe(names.length);
});

test('before the first sample only the number of open alerts has a series', () => {
  const empty = stateOf({ sample: null });
  const present = METRICS.filter((metric) => {
    const { points, histograms } = readMetric(metric, empty);
    return points.length > 0 || histograms.length > 0;
  });
  expect(present.map(({ name }) => name)).toEqual(['wsguard_alert_active']);
});

test('a metric without a value has no series', () => {
  const from = stateOf();
  for (const name of [
    'wsguard_connections_retained',
    'wsguard_heap_floor_bytes',
    'wsguard_time_to_limit_seconds',
    'wsguard_memory_growth_bytes_per_hour',
    'ws_heartbeat_rtt_seconds',
    'ws_connection_duration_seconds',
  ]) {
    expect(read(name, from)).toMatchObject({ points: [], histograms: [] });
  }
  expect(values('wsguard_memory_limit_bytes', from)).toEqual({ heap: 2048 * 1024 * 1024 });
});

test('connections are counted by transport, including 0', () => {
  const connections = { ...sampleOf().connections, active: byTransport(3, { sse: 2 }), unanswering: 1 };
  const from = stateOf({ sample: sampleOf({ connections }) });
  expect(values('ws_connections_active', from)).toEqual({ websocket: 3, sse: 2, polling: 0, upgraded: 0 });
  expect(values('wsguard_connections_unanswering', from)).toEqual({ '': 1 });
  expect(values('wsguard_memory_per_connection_bytes', from)).toEqual({ '': (100 * 1024 * 1024) / 5 });
});

test('without connections memory per connection has no series', () => {
  const connections = { ...sampleOf().connections, active: byTransport() };
  const from = stateOf({ sample: sampleOf({ connections }) });
  expect(read('wsguard_memory_per_connection_bytes', from).points).toEqual([]);
});

test('registered close codes stay, others are grouped', () => {
  const closeCodes = { '1000': 5, '1006': 2, '3000': 1, '3999': 1, '4001': 7, '4002': 1, '1016': 1, x: 1 };
  const connections = { ...sampleOf().connections, closeCodes };
  expect(values('ws_close_total', stateOf({ sample: sampleOf({ connections }) }))).toEqual({
    '1000': 5,
    '1006': 2,
    '3xxx': 2,
    '4xxx': 8,
    other: 2,
  });
});

test('every kind of alert has a series', () => {
  const from = stateOf({ openAlerts: [{ kind: 'heap-growth' }, { kind: 'heap-growth' }] });
  const active = values('wsguard_alert_active', from);
  expect(Object.keys(active)).toHaveLength(ALL_KINDS.length);
  expect(active).toMatchObject({ 'heap-growth': 2, 'zombie-connections': 0 });
});

test('reads limits, time to the limit, growth, snapshots and event-loop delay', () => {
  const limits = { ...sampleOf().limits, containerBytes: 512 };
  const from = stateOf({
    sample: sampleOf({ limits }),
    timeToLimit: { ms: 90_000, lowMs: 1, highMs: null, limit: 'container' },
    growthBytesPerHour: { heap: 12, native: Number.NaN },
    snapshots: [{ outcome: 'refused', method: 'none', count: 3 }],
  });
  expect(values('wsguard_memory_limit_bytes', from)).toMatchObject({ container: 512 });
  expect(values('wsguard_time_to_limit_seconds', from)).toEqual({ container: 90 });
  expect(values('wsguard_memory_growth_bytes_per_hour', from)).toEqual({ heap: 12 });
  expect(values('wsguard_snapshots_total', from)).toEqual({ 'refused none': 3 });
  expect(values('wsguard_loop_delay_p99_seconds', from)).toEqual({ '': 0.012 });
});

test('100 series per metric: the largest stay, the others are summed in `other` and counted', () => {
  const registries = Array.from({ length: 150 }, (_, i) => ({
    name: `r${i}`,
    entries: i,
    source: 'found' as const,
  }));
  const from = stateOf({ sample: sampleOf({ registries }) });
  const entries = values('wsguard_registry_entries', from);
  expect(Object.keys(entries)).toHaveLength(100);
  expect(entries.r149).toBe(149);
  expect(entries.r50).toBeUndefined();
  expect(entries.other).toBe((50 * 51) / 2);
  expect(values('wsguard_agent_series_folded', from)).toEqual({ wsguard_registry_entries: 51 });
});

test('series with equal labels are summed, long labels are shortened', () => {
  const long = 'x'.repeat(500);
  const { points } = capSeries([
    { labels: { queue: 'a' }, value: 1 },
    { labels: { queue: 'a' }, value: 2 },
    { labels: { queue: long }, value: 3 },
  ]);
  expect(points[0]).toEqual({ labels: { queue: 'a' }, value: 3 });
  expect(points[1]?.labels.queue).toHaveLength(128);
});

test('runtime metrics need WSGUARD_OTEL_RUNTIME=on', () => {
  const names = (runtime: 'on' | 'off') => metricsFor(runtime).map(({ otelName }) => otelName);
  expect(names('off').filter((name) => !/^(ws|wsguard)\./.test(name))).toEqual([]);
  expect(names('on')).toContain('nodejs.eventloop.delay.p99');
});
