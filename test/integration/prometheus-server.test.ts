import { connect, createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { createClock } from '../../src/core/clock.ts';
import { startPrometheusServer, type PrometheusServer } from '../../src/export/prometheus-server.ts';
import type { MetricState } from '../../src/export/metric.ts';
import { metricsFor } from '../../src/export/metrics.ts';
import { metricsPage } from '../tools/metrics-page.ts';
import { describeWith, startComponent } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
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
    clock: createClock(),
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

const answerOf = (port: number, request: string): Promise<string> =>
  new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    socket.on('data', (chunk: Buffer) => (text += chunk)).on('error', () => undefined);
    socket.on('close', () => resolve(text));
    open.push({ close: () => socket.destroy() });
  });

test('idle connections do not keep a scraper out', async () => {
  const { url, port } = listening(await start(0));
  const isOpen: boolean[] = [];
  for (let i = 0; i < 60; i += 1) {
    const idle = connect(port, '127.0.0.1').on('error', () => undefined);
    open.push({ close: () => idle.destroy() });
    await once(idle, 'connect');
    isOpen[i] = true;
    idle.resume().on('close', () => (isOpen[i] = false));
  }
  expect((await fetch(url)).status).toBe(200);
  // The scrape took the place of another one, and did not wait until the idle connections timed out.
  expect(isOpen).toContain(true);
});

test('a connection gets one page, whatever it asks for further', async () => {
  const { port } = listening(await start(0));
  const request = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const text = await answerOf(port, request.repeat(500));
  expect(text.match(/HTTP\/1\.1/g)?.length ?? 0).toBeLessThanOrEqual(1);
  expect(await answerOf(port, request)).toMatch(/Connection: close/i);
});

test('all clients of a second share one page', async () => {
  let reads = 0;
  const clock = createFakeClock();
  const options = { host: '127.0.0.1', port: 0, metrics: metricsFor('off'), resource: {}, clock };
  const readState = () => {
    reads += 1;
    return stateOf();
  };
  const started = listening(await startPrometheusServer({ ...options, readState }));
  open.push({ close: started.stop });
  await fetch(started.url);
  const readsOfOnePage = reads;
  await Promise.all(Array.from({ length: 10 }, () => fetch(started.url)));
  expect(reads).toBe(readsOfOnePage);
  clock.advance(1_000);
  await fetch(started.url);
  expect(reads).toBe(2 * readsOfOnePage);
});

test.each([
  ['localhost', 200],
  ['127.0.0.1:9464', 200],
  ['[::1]:9464', 200],
  ['attacker.example', 421],
  ['localhost.attacker.example:9464', 421],
])('on a loopback address the host name %s gets %i', async (host, status) => {
  const { port } = listening(await start(0));
  expect(await answerOf(port, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toContain(
    `HTTP/1.1 ${status} `,
  );
});

test('on another address every host name is served', async () => {
  const { port } = listening(await start(0, '0.0.0.0'));
  expect(await answerOf(port, 'GET /metrics HTTP/1.1\r\nHost: chat\r\n\r\n')).toContain('HTTP/1.1 200 ');
});
