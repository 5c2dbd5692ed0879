import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { startPrometheusPage, type PrometheusPage } from '../../src/export/prometheus.ts';
import { metricsFor } from '../../src/export/metrics.ts';
import { stateOf } from '../support/metric-state.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const thing of open.splice(0)) thing.close();
});

async function start(port: number, host = '127.0.0.1') {
  const page = await startPrometheusPage({
    host,
    port,
    metrics: metricsFor('off'),
    readState: () => stateOf(),
    resource: { 'service.name': 'chat', 'process.pid': 1 },
  });
  if (page.outcome === 'listening') open.push({ close: page.stop });
  return page;
}

async function occupy(): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  open.push(server);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, port: address.port };
}

function listening(page: PrometheusPage) {
  if (page.outcome !== 'listening') throw new Error(page.reason);
  return page;
}

test('serves the page; everything else is 404', async () => {
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

test('a port that is taken: the next free one', async () => {
  const { port } = await occupy();
  const page = listening(await start(port));
  expect(page.port).toBeGreaterThan(port);
  expect(page.port).toBeLessThan(port + 15);
});

test('an address that is not ours is an answer with a code', async () => {
  const page = await start(0, '203.0.113.1');
  expect(page).toMatchObject({ outcome: 'failed', code: 'WSGUARD_PROMETHEUS_LISTEN' });
});
