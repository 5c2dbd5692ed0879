import { connect, createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { startPrometheusServer, type PrometheusServer } from '../../src/export/prometheus-server.ts';
import type { MetricState } from '../../src/export/metric.ts';
import { metricsFor } from '../../src/export/metrics.ts';
import { metricsPage } from '../tools/metrics-page.ts';
import { describeWith, startComponent } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';
import { stateOf } from '../support/metric-state.ts';
import { byTransport, sampleOf } from '../support/samples.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const resource of open.splice(0)) resource.close();
});

async function start(port: number, host = '127.0.0.1', state: Partial<MetricState> = {}) {
  const started = await startPrometheusServer({
    host,
    port,
    metrics: metricsFor('off'),
    readState: () => stateOf(state),
    resource: { 'service.name': 'chat', 'process.pid': 1 },
  });
  if (started.outcome === 'listening') open.push({ close: started.stop });
  return started;
}

async function occupy(): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  open.push(server);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, port: address.port };
}

function listening(started: PrometheusServer) {
  if (started.outcome !== 'listening') throw new Error(started.reason);
  return started;
}

test('serves /metrics, and 404 for everything else', async () => {
  const { url } = listening(await start(0));
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const text = await response.text();
  expect(text).toContain('ws_connections_active{transport="websocket"} 500');
  expect(text).toContain('target_info{service_name="chat",process_pid="1"} 1');
  expect((await fetch(url.replace('/metrics', '/etc/passwd'))).status).toBe(404);
  expect((await fetch(url, { method: 'POST' })).status).toBe(404);
});

test('listens on the next free port when its port is taken', async () => {
  const { port } = await occupy();
  const started = listening(await start(port));
  expect(started.port).toBeGreaterThan(port);
  expect(started.port).toBeLessThan(port + 15);
});

test('reports an address that is not of this machine', async () => {
  const started = await start(0, '203.0.113.1');
  expect(started).toMatchObject({ outcome: 'failed', code: 'WSGUARD_PROMETHEUS_LISTEN' });
});

describeWith(['prometheus'], 'Prometheus', () => {
  test('scrapes the page and answers queries over it', async () => {
    const connections = { ...sampleOf().connections, unanswering: 400, closedTotal: byTransport(120) };
    const state = {
      sample: sampleOf({ connections }),
      openAlerts: [{ kind: 'zombie-connections' as const }],
    };
    const { port } = listening(await start(0, '127.0.0.1', state));
    // A failed scrape makes every series stale until the next one, so the interval is short.
    const prometheus = await startComponent('prometheus', { targets: [`127.0.0.1:${port}`], scrapeS: 5 });
    open.push({ close: () => void prometheus.stop() });
    const [sum] = await eventually(async () => {
      const found = await prometheus.query('sum(ws_connections_active)');
      return found.length > 0 ? found : null;
    }, 'the scrape');
    expect(sum?.value[1]).toBe('500');
    const [memory] = await prometheus.query(
      'wsguard_rss_bytes * on(instance) group_left(service_name) target_info',
    );
    expect(memory?.metric).toMatchObject({ service_name: 'chat' });
    expect(await prometheus.query('wsguard_time_to_limit_seconds')).toEqual([]);
    // The alert rules of docs/metrics.md must work with this page.
    const rules = metricsPage().match(/^ {4}(?!#).+$/gm) ?? [];
    const answers = await Promise.all(rules.map((rule) => prometheus.query(rule)));
    expect(answers.map((found) => found[0]?.value[1])).toEqual(['400', '500', undefined, '1']);
  });
});

test('clients that never finish their request do not block a scrape', async () => {
  const { url, port } = listening(await start(0));
  const slow = Array.from({ length: 40 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  for (const socket of slow) {
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n');
    open.push({ close: () => socket.destroy() });
  }
  await Promise.all(slow.filter(({ connecting }) => connecting).map((socket) => once(socket, 'connect')));
  const response = await eventually(async () => {
    const reply = await fetch(url, { signal: AbortSignal.timeout(10_000) }).catch(() => null);
    return reply?.status === 200 ? reply : undefined;
  }, 'a scrape');
  expect(response.status).toBe(200);
});
