/** Serves `/metrics` at WSGUARD_PROMETHEUS_PORT. In the watcher thread it replies while the application is blocked. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { markAgentServer } from '../core/agent-server.ts';
import type { Stop } from '../types/index.ts';
import { collectInto, type ReadState } from './collect-into.ts';
import type { Labels, Metric } from './metric.ts';

export interface PrometheusOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: readonly Metric[];
  readonly readState: ReadState;
  /** Dotted resource attributes, served as `target_info`. */
  readonly resource: Readonly<Record<string, string | number>>;
}

export type PrometheusServer =
  | { readonly outcome: 'listening'; readonly url: string; readonly port: number; readonly stop: Stop }
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string };

/** The configured port and the 14 after it. */
const MAX_PORTS = 15;
const MAX_PORT = 65_535;
const MAX_SCRAPERS = 20;
/** Drop slow clients so that they cannot use up the 20 connections. */
const TIMEOUTS = { headersTimeout: 5_000, requestTimeout: 5_000, connectionsCheckingInterval: 1_000 };
const IDLE_TIMEOUT_MS = 10_000;

export async function startPrometheusServer(options: PrometheusOptions): Promise<PrometheusServer> {
  const { Registry } = require('prom-client') as typeof import('prom-client');
  const registry = new Registry();
  collectInto(registry, options.metrics, options.readState);
  registry.registerMetric(targetInfo(options.resource) as never);
  const server = createServer(TIMEOUTS, (request, response) => {
    void respond(request, response, registry);
  });
  server.timeout = IDLE_TIMEOUT_MS;
  markAgentServer(server);
  server.maxConnections = MAX_SCRAPERS;
  server.unref();
  server.on('connection', (socket) => socket.unref());
  let reason = '';
  for (const port of portsToTry(options.port)) {
    const error = await listen(server, port, options.host);
    if (error === null) return listening(server, options.host);
    reason = `${options.host}:${port}: ${error.code ?? error.message}`;
    if (error.code !== 'EADDRINUSE') break;
  }
  return { outcome: 'failed', code: 'WSGUARD_PROMETHEUS_LISTEN', reason };
}

const portsToTry = (port: number): number[] =>
  port === 0
    ? [0]
    : Array.from({ length: MAX_PORTS }, (_, i) => port + i).filter((candidate) => candidate <= MAX_PORT);

function listening(server: Server, host: string): PrometheusServer {
  const { port } = server.address() as AddressInfo;
  server.on('error', () => undefined);
  const urlHost = host.includes(':') ? `[${host}]` : host;
  return {
    outcome: 'listening',
    url: `http://${urlHost}:${port}/metrics`,
    port,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Resolves with the error, or with `null` once the server listens. */
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
    // Cluster workers share a port unless it is exclusive, and a scrape would reach a random worker.
    server.listen({ port, host, exclusive: true });
  });
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  registry: import('prom-client').Registry,
): Promise<void> {
  const path = request.url?.split('?')[0];
  if (path !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('wsguard: see /metrics\n');
    return;
  }
  try {
    const page = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(page);
  } catch {
    response
      .writeHead(503, { 'content-type': 'text/plain' })
      .end('wsguard: the metrics are not available at the moment\n');
  }
}

/** The resource attributes as the metric `target_info`, the form that the collector's Prometheus exporter uses. */
function targetInfo(resource: PrometheusOptions['resource']) {
  const labels: Labels = Object.fromEntries(
    Object.entries(resource).map(([name, value]) => [name.replace(/[^a-zA-Z0-9_]/g, '_'), String(value)]),
  );
  const definition = { name: 'target_info', help: 'Target metadata', type: 'gauge', aggregator: 'first' };
  return {
    ...definition,
    get: () => ({ ...definition, values: [{ labels, value: 1 }] }),
    reset: () => undefined,
  };
}
