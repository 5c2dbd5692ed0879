/** The page at WSGUARD_PROMETHEUS_PORT. In the watcher it answers while the application is stuck. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Stop } from '../types/index.ts';
import { collectInto, type ReadState } from './collected.ts';
import type { Labels, Metric } from './metric.ts';

export interface PrometheusOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: readonly Metric[];
  readonly readState: ReadState;
  /** Dotted resource attributes, shown as `target_info`. */
  readonly resource: Readonly<Record<string, string | number>>;
}

export type PrometheusPage =
  | { readonly outcome: 'listening'; readonly url: string; readonly port: number; readonly stop: Stop }
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string };

/** The port asked for and so many after it. */
const PORTS = 15;
const MAX_SCRAPERS = 20;
/** Who is slow to ask or to read must not keep the scraper out of so few places. */
const PATIENCE = { headersTimeout: 5_000, requestTimeout: 5_000, connectionsCheckingInterval: 1_000 };
const IDLE_MS = 10_000;
/** Marks what is ours, so that the agent does not watch its own server where it runs without a thread. */
export const OWN_SERVER = Symbol.for('wsguard.own');

export async function startPrometheusPage(options: PrometheusOptions): Promise<PrometheusPage> {
  const { Registry } = require('prom-client') as typeof import('prom-client');
  const registry = new Registry();
  collectInto(registry, options.metrics, options.readState);
  registry.registerMetric(targetInfo(options.resource) as never);
  const server = createServer(PATIENCE, (request, response) => {
    void answer(request, response, registry);
  });
  server.timeout = IDLE_MS;
  Object.assign(server, { [OWN_SERVER]: true });
  server.maxConnections = MAX_SCRAPERS;
  server.unref();
  server.on('connection', (socket) => socket.unref());
  const ports = options.port === 0 ? [0] : Array.from({ length: PORTS }, (_, i) => options.port + i);
  let reason = '';
  for (const port of ports.filter((candidate) => candidate <= 65_535)) {
    const error = await listen(server, port, options.host);
    if (error === null) return listening(server, options.host);
    reason = `${options.host}:${port}: ${error.code ?? error.message}`;
    if (error.code !== 'EADDRINUSE') break;
  }
  return { outcome: 'failed', code: 'WSGUARD_PROMETHEUS_LISTEN', reason };
}

function listening(server: Server, host: string): PrometheusPage {
  const { port } = server.address() as AddressInfo;
  server.on('error', () => undefined);
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    outcome: 'listening',
    url: `http://${shownHost}:${port}/metrics`,
    port,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      server.removeListener('listening', onListening);
      resolve(error);
    };
    const onListening = (): void => {
      server.removeListener('error', onError);
      resolve(null);
    };
    server.once('error', onError);
    server.once('listening', onListening);
    // Exclusive: a cluster worker would otherwise share one port, and a scrape meet any of the workers.
    server.listen({ port, host, exclusive: true });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  registry: import('prom-client').Registry,
): Promise<void> {
  const path = request.url?.split('?')[0];
  if (path !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('wsguard: the metrics are at /metrics\n');
    return;
  }
  try {
    const page = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(page);
  } catch {
    response.writeHead(503, { 'content-type': 'text/plain' }).end('wsguard: no metrics now\n');
  }
}

/** What OTLP carries as resource, in the name and form the collector's page has it. */
function targetInfo(resource: PrometheusOptions['resource']) {
  const labels: Labels = Object.fromEntries(
    Object.entries(resource).map(([name, value]) => [name.replace(/[^a-zA-Z0-9_]/g, '_'), String(value)]),
  );
  const described = { name: 'target_info', help: 'Target metadata', type: 'gauge', aggregator: 'first' };
  return {
    ...described,
    get: () => ({ ...described, values: [{ labels, value: 1 }] }),
    reset: () => undefined,
  };
}
