import { Registry, Gauge } from 'prom-client';
import { collectInto, isRegistry } from '../../../src/export/collect-into.ts';
import { metricsFor } from '../../../src/export/metrics.ts';
import { stateOf } from '../../support/metric-state.ts';
import { sampleOf } from '../../support/samples.ts';

const rtt = { boundsSeconds: [0.01, 0.1], counts: [1, 3, 4], sumSeconds: 0.5 };
const ofDay = { boundsSeconds: [60, 86_400], counts: [0, 2, 3], sumSeconds: 100_000 };
const durations = [
  { transport: 'websocket', status: 'timeout', durations: ofDay },
  { transport: 'sse', status: 'abnormal', durations: rtt },
] as const;
const state = stateOf({ sample: sampleOf({ connections: { ...sampleOf().connections, rtt, durations } }) });
const metrics = metricsFor('off');

test("the application's registry serves our metrics beside its own", async () => {
  const registry = new Registry();
  new Gauge({ name: 'app_jobs', help: 'x', registers: [registry] }).set(3);
  collectInto(registry, metrics, () => state);
  const page = await registry.metrics();
  expect(page).toContain('app_jobs 3');
  expect(page).toContain('ws_connections_active{transport="websocket"} 500');
  expect(page).toContain('ws_heartbeat_rtt_seconds_bucket{le="+Inf"} 4');
  expect(page).toContain('ws_heartbeat_rtt_seconds_count 4');
  const timeouts = 'transport="websocket",status="timeout"';
  expect(page).toContain(`ws_connection_duration_seconds_bucket{${timeouts},le="86400"} 2`);
  expect(page).toContain(`ws_connection_duration_seconds_count{${timeouts}} 3`);
  expect(page).toContain('ws_connection_duration_seconds_sum{transport="sse",status="abnormal"} 0.5');
});

test('a scrape reads the state once, also when the read is asynchronous', async () => {
  let reads = 0;
  const registry = new Registry();
  collectInto(registry, metrics, async () => {
    reads += 1;
    await Promise.resolve();
    return state;
  });
  expect(await registry.metrics()).toContain('wsguard_rss_bytes 104857600');
  expect(reads).toBe(1);
  await registry.metrics();
  expect(reads).toBe(2);
});

test('a metric of the application with the same name stays, and its name is reported', async () => {
  const registry = new Registry();
  new Gauge({ name: 'ws_connections_active', help: 'of the application', registers: [registry] }).set(7);
  const registration = collectInto(registry, metrics, () => state);
  expect(registration.taken).toEqual(['ws_connections_active']);
  expect(await registry.metrics()).toContain('ws_connections_active 7');
  registration.dispose();
  expect(registry.getMetricsAsArray().map(({ name }) => name)).toEqual(['ws_connections_active']);
});

test('a second call for the same registry does not throw and registers nothing', () => {
  const registry = new Registry();
  const first = collectInto(registry, metrics, () => state);
  const second = collectInto(registry, metrics, () => state);
  expect(second.taken).toHaveLength(metrics.length);
  second.dispose();
  expect(registry.getMetricsAsArray()).toHaveLength(metrics.length);
  first.dispose();
  expect(registry.getMetricsAsArray()).toHaveLength(0);
});

test.each([
  [
    'throws',
    () => {
      throw new Error('x');
    },
  ],
  ['rejects', () => Promise.reject(new Error('x'))],
])("a state that %s does not break the application's page", async (_, read) => {
  const registry = new Registry();
  new Gauge({ name: 'app_jobs', help: 'x', registers: [registry] }).set(3);
  collectInto(registry, metrics, read);
  const page = await registry.metrics();
  expect(page).toContain('app_jobs 3');
  expect(page).not.toContain('wsguard_rss_bytes 1');
});

test('works with OpenMetrics, reset and the JSON of a cluster', async () => {
  const registry = new Registry<'application/openmetrics-text; version=1.0.0; charset=utf-8'>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const { dispose } = collectInto(registry, metrics, () => state);
  registry.resetMetrics();
  const page = await registry.metrics();
  expect(page).toContain('# TYPE ws_connections_opened counter');
  expect(page).toContain('ws_connections_opened_total{transport="websocket"} 620');
  const json = await registry.getMetricsAsJSON();
  expect(json.find(({ name }) => name === 'wsguard_time_to_limit_seconds')?.aggregator).toBe('min');
  dispose();
  expect(registry.getMetricsAsArray()).toHaveLength(0);
});

test('recognises a registry', () => {
  expect(isRegistry(new Registry())).toBe(true);
  expect(isRegistry({})).toBe(false);
  expect(isRegistry(null)).toBe(false);
});
