/** Exports of a process with the agent: to the OpenTelemetry collector, a webhook, and receivers that fail. */
import { once } from 'node:events';
import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT, blockOnTrigger, endChildren, ROOT, startChild, onTrigger } from '../support/child.ts';
import { describeWith, startComponent, type Collector } from '../support/components.ts';
import { eventually } from '../support/eventually.ts';
import { schemaErrors } from '../support/schemas.ts';
import { onLinux } from '../support/platform.ts';

afterEach(endChildren);

const modulePath = (name: string): string => JSON.stringify(join(ROOT, 'node_modules', name));
const PRELOAD = ['--require', AGENT];

const SERVER = `
const http = require('node:http');
const { WebSocketServer } = require(${modulePath('ws')});
const server = http.createServer((request, response) => response.end('served'));
new WebSocketServer({ server });
server.listen(0, '127.0.0.1', () => console.log('listening ' + server.address().port));
`;

/** An application that registers its own OpenTelemetry SDK and instruments. */
const APPLICATION_SDK = `
const { metrics } = require(${modulePath('@opentelemetry/api')});
const { MeterProvider, PeriodicExportingMetricReader } = require(${modulePath('@opentelemetry/sdk-metrics')});
const { OTLPMetricExporter } = require(${modulePath('@opentelemetry/exporter-metrics-otlp-proto')});
metrics.setGlobalMeterProvider(new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter(), exportIntervalMillis: 500 })],
}));
metrics.getMeter('app').createCounter('app.requests').add(3);
`;

const CLUSTER = `
const cluster = require('node:cluster');
if (cluster.isPrimary) for (let i = 0; i < 4; i += 1) cluster.fork();
else require('./server.js');
`;

const QUICK = { WSGUARD_INTERVAL_MS: '500', OTEL_METRIC_EXPORT_INTERVAL: '500' };

async function serves(child: ReturnType<typeof startChild>): Promise<string> {
  const [, port] = await child.stdoutMatch(/listening (\d+)/);
  return (await fetch(`http://127.0.0.1:${port}/`)).text();
}

describeWith(['collector'], 'exports to the OpenTelemetry collector', () => {
  let collector: Collector;
  beforeEach(async () => {
    collector = await startComponent('collector');
  });
  afterEach(() => collector.stop());

  const env = () => ({ ...QUICK, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint });

  test('the metrics of the agent and of an SDK of the application arrive, and no series arrives twice', async () => {
    const child = startChild({
      files: { 'server.js': APPLICATION_SDK + SERVER },
      nodeArgs: PRELOAD,
      env: env(),
    });
    expect(await serves(child)).toBe('served');
    await eventually(async () => {
      const page = await collector.metricsPage();
      return page.includes('app_requests_total') && page.includes('ws_connections_active');
    }, 'both on the page');
    const series = (await collector.metricsPage()).split('\n').filter((line) => /^[a-z]/.test(line));
    const keys = series.map((line) => line.slice(0, line.lastIndexOf(' ')));
    expect(new Set(keys).size).toBe(keys.length);
    const scopes = await eventually(() => {
      const found = scopesByMetric(collector.metricExports());
      return found.has('app.requests') && found.has('ws.connections.active') ? found : null;
    }, 'both in the file');
    expect(scopes.get('app.requests')).toEqual(new Set(['app']));
    expect(scopes.get('ws.connections.active')).toEqual(new Set(['@wsguard/agent']));
    for (const [name, from] of scopes) expect([name, from.size]).toEqual([name, 1]);
  });

  test('a cluster of 4 gives 4 instances and 4 Prometheus pages on different ports', async () => {
    const child = startChild({
      files: { 'main.js': CLUSTER, 'server.js': SERVER },
      nodeArgs: PRELOAD,
      env: { ...env(), WSGUARD_PROMETHEUS_PORT: '19500' },
    });
    expect(await serves(child)).toBe('served');
    const instances = await eventually(async () => {
      const page = await collector.metricsPage();
      const found = new Set(
        [...page.matchAll(/^wsguard_rss_bytes\{.*?service_instance_id="([^"]+)"/gm)].map(([, id]) => id),
      );
      return found.size >= 4 ? found : null;
    }, 'four instances');
    expect(instances.size).toBe(4);
    const pages = await eventually(() => {
      const found = child
        .logLines()
        .map((line) => String(line['exports']).match(/http:\S+?\/metrics/)?.[0])
        .filter((url) => url !== undefined);
      return found.length >= 4 ? found : null;
    }, 'four start lines');
    expect(new Set(pages).size).toBe(4);
  });
});

function scopesByMetric(exports: readonly Record<string, unknown>[]): Map<string, Set<string>> {
  interface Export {
    resourceMetrics: { scopeMetrics: { scope: { name: string }; metrics: { name: string }[] }[] }[];
  }
  const scopes = new Map<string, Set<string>>();
  for (const { resourceMetrics } of exports as unknown as Export[]) {
    for (const { scope, metrics } of resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics)) {
      for (const { name } of metrics) scopes.set(name, new Set([...(scopes.get(name) ?? []), scope.name]));
    }
  }
  return scopes;
}

describe('a webhook', () => {
  test('receives the alert and, when the agent stops, its end', async () => {
    const received: { event: string; kind: string; key: string }[] = [];
    const invalid: string[] = [];
    const hook = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        const alert = JSON.parse(body) as { event: string; kind: string };
        invalid.push(...schemaErrors('alert', alert));
        received.push({ ...alert, key: String(request.headers['idempotency-key']) });
        response.end();
      });
    }).listen(0, '127.0.0.1');
    await once(hook, 'listening');
    const stops = `
      const agent = require(${JSON.stringify(AGENT)}).start();
      setInterval(() => undefined, 1000);
      ${blockOnTrigger("void agent.stop().then(() => console.log('stopped'));")}`;
    const child = startChild({
      files: { 'server.js': SERVER + stops },
      env: { ...QUICK, WSGUARD_WEBHOOK_URL: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/` },
    });
    await child.logLine(/^watching /);
    child.trigger('block');
    await eventually(() => received.length > 0, 'the alert');
    child.trigger('free');
    await child.stdoutMatch(/stopped/);
    hook.close();
    hook.closeAllConnections();
    expect(received.map(({ event, kind }) => `${event} ${kind}`)).toEqual([
      'opened blocked-loop',
      'closed blocked-loop',
    ]);
    expect(invalid).toEqual([]);
    expect(received[0]?.key).toMatch(/^[0-9a-f-]+\/opened\/0$/);
  });
});

describe('the server keeps serving', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  test('with invalid settings, each of which is logged', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wsguard-settings-'));
    writeFileSync(join(folder, 'broken.json'), '{"dir": ');
    const child = startChild({
      files: { 'server.js': SERVER },
      nodeArgs: PRELOAD,
      env: {
        WSGUARD_INTERVAL_MS: 'often',
        WSGUARD_WEBHOOK_URL: 'not a url with hunter2',
        WSGUARD_CONFIG: join(folder, 'broken.json'),
        WSGUARD_PROMETEUS_PORT: '9464',
      },
    });
    expect(await serves(child)).toBe('served');
    await child.logLine(/^watching /);
    const named = child.logLines().filter(({ code }) => code === 'WSGUARD_SETTING');
    expect(new Set(named.map((line) => line['setting']))).toEqual(
      new Set(['WSGUARD_INTERVAL_MS', 'WSGUARD_WEBHOOK_URL', 'WSGUARD_CONFIG', 'WSGUARD_PROMETEUS_PORT']),
    );
    expect(child.stderr()).not.toContain('hunter2');
  });

  test('with exports that cannot start, which the start line names with their codes', async () => {
    const child = startChild({
      files: { 'server.js': SERVER },
      nodeArgs: PRELOAD,
      env: {
        ...QUICK,
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
        OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
        WSGUARD_PROMETHEUS_PORT: '0',
        // TEST-NET-1: no machine has an address of it.
        WSGUARD_PROMETHEUS_HOST: '192.0.2.1',
      },
    });
    expect(await serves(child)).toBe('served');
    const { exports, failedExports, msg } = await child.logLine(/^watching /);
    expect(exports).toEqual([]);
    expect(failedExports).toEqual([
      expect.stringMatching(/^otlp \(WSGUARD_OTLP_PROTOCOL: /),
      expect.stringMatching(/^prometheus \(WSGUARD_PROMETHEUS_LISTEN: 192\.0\.2\.1/),
    ]);
    expect(msg).toContain('; cannot export to otlp (WSGUARD_OTLP_PROTOCOL: ');
  });

  test('with a collector that stays down, which is logged once', async () => {
    const child = startChild({
      files: { 'server.js': SERVER },
      nodeArgs: PRELOAD,
      env: { ...QUICK, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_EXPORTER_OTLP_TIMEOUT: '300' },
    });
    expect(await serves(child)).toBe('served');
    const line = await child.logLine(/OTLP export does not work/);
    expect(line).toMatchObject({ code: 'WSGUARD_OTLP_EXPORT' });
    await child.logLine(/^watching /);
    expect(await serves(child)).toBe('served');
    expect(child.logLines().filter(({ code }) => code === 'WSGUARD_OTLP_EXPORT')).toHaveLength(1);
  });

  test('with a Prometheus port that is taken: the start line has the next free one', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    servers.push(taken);
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const child = startChild({
      files: { 'server.js': SERVER },
      nodeArgs: PRELOAD,
      env: { ...QUICK, WSGUARD_PROMETHEUS_PORT: String(port) },
    });
    expect(await serves(child)).toBe('served');
    const url = /http:\S+?\/metrics/.exec(String((await child.logLine(/^watching /))['exports']))?.[0] ?? '';
    expect(Number(new URL(url).port)).toBeGreaterThan(port);
    await eventually(
      async () =>
        (await (await fetch(url)).text()).includes('ws_connections_active{transport="websocket"} 0'),
      'our page',
    );
  });

  test('with a webhook that never replies and a directory that cannot be created', async () => {
    const hanging = createServer(() => undefined).listen(0, '127.0.0.1');
    servers.push(hanging);
    await once(hanging, 'listening');
    let requests = 0;
    hanging.on('request', () => (requests += 1));
    const child = startChild({
      files: { 'server.js': SERVER + blockOnTrigger() },
      nodeArgs: PRELOAD,
      env: {
        ...QUICK,
        WSGUARD_WEBHOOK_URL: `http://127.0.0.1:${(hanging.address() as AddressInfo).port}/`,
        WSGUARD_DIR: join(__filename, 'wsguard'),
      },
    });
    await child.logLine(/^watching /);
    child.trigger('block');
    await child.logLine(/has not run for/);
    const failure = await child.logLine(/^a delivery to file failed: /);
    expect(failure).toMatchObject({ sink: 'file', code: 'WSGUARD_DIR_UNWRITABLE' });
    await eventually(() => requests > 0, 'the request to the webhook');
    child.trigger('free');
    await child.stdoutMatch(/free/);
    expect(await serves(child)).toBe('served');
  });

  onLinux('with a webhook that always replies 500 and a full disk', async () => {
    const failing = createServer((_, response) => response.writeHead(500).end()).listen(0, '127.0.0.1');
    servers.push(failing);
    await once(failing, 'listening');
    let requests = 0;
    failing.on('request', () => (requests += 1));
    const dir = mkdtempSync(join(tmpdir(), 'wsguard-full-'));
    // /dev/full fails every write with ENOSPC.
    symlinkSync('/dev/full', join(dir, 'alerts.ndjson'));
    const child = startChild({
      files: { 'server.js': SERVER + blockOnTrigger() },
      nodeArgs: PRELOAD,
      env: {
        ...QUICK,
        WSGUARD_WEBHOOK_URL: `http://127.0.0.1:${(failing.address() as AddressInfo).port}/`,
        WSGUARD_DIR: dir,
      },
    });
    await child.logLine(/^watching /);
    child.trigger('block');
    const coded = (wanted: string) => () => child.logLines().some(({ code }) => code === wanted);
    await eventually(coded('WSGUARD_DISK_FULL'), 'the full disk in the log');
    await eventually(() => requests >= 2, 'the second request to the webhook');
    await eventually(coded('WSGUARD_WEBHOOK_FAILED'), 'the failing webhook in the log');
    child.trigger('free');
    await child.stdoutMatch(/free/);
    expect(await serves(child)).toBe('served');
  });

  test('the Prometheus page replies while the application is blocked', async () => {
    const child = startChild({
      files: { 'server.js': SERVER + onTrigger('stick', "console.log('blocked now'); for (;;);") },
      nodeArgs: PRELOAD,
      env: { ...QUICK, WSGUARD_PROMETHEUS_PORT: '0' },
    });
    const url = /http:\S+?\/metrics/.exec(String((await child.logLine(/^watching /))['exports']))?.[0] ?? '';
    child.trigger('stick');
    await child.stdoutMatch(/blocked now/);
    const page = await (await fetch(url)).text();
    expect(page).toContain('wsguard_rss_bytes');
    await eventually(
      async () => (await (await fetch(url)).text()).includes('wsguard_alert_active{kind="blocked-loop"} 1'),
      'the alert',
    );
  });
});
