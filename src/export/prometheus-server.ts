/** Serves `/metrics` at WSGUARD_PROMETHEUS_PORT. In the watcher thread it replies while the application is blocked. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP, type AddressInfo, type Socket } from 'node:net';
import { markAgentServer } from '../core/agent-server.ts';
import type { Clock, Stop } from '../types/index.ts';
import { collectInto, type ReadState } from './collect-into.ts';
import type { Labels, Metric } from './metric.ts';

export interface PrometheusOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: readonly Metric[];
  readonly readState: ReadState;
  readonly clock: Clock;
  /** Dotted resource attributes, served as `target_info`. */
  readonly resource: Readonly<Record<string, string | number>>;
}

export type PrometheusServer =
  | { readonly outcome: 'listening'; readonly url: string; readonly port: number; readonly stop: Stop }
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string };

/** The configured port and the 14 after it. */
const MAX_PORTS = 15;
const MAX_PORT = 65_535;
/** A new connection replaces the oldest one, so that idle clients cannot keep a scraper out. */
const MAX_CONNECTIONS = 20;
const TIMEOUTS = { headersTimeout: 5_000, requestTimeout: 5_000, connectionsCheckingInterval: 1_000 };
/** The headers of a scraper take less than 1 KiB. */
const MAX_HEADER_BYTES = 8 * 1024;
const IDLE_TIMEOUT_MS = 10_000;
/** A scraper asks every 5 s or more seldom. */
const PAGE_LIFETIME_MS = 1_000;

export async function startPrometheusServer(options: PrometheusOptions): Promise<PrometheusServer> {
  const { Registry } = require('prom-client') as typeof import('prom-client');
  const registry = new Registry();
  collectInto(registry, options.metrics, options.readState);
  registry.registerMetric(targetInfo(options.resource) as never);
  const server = createPageServer(new Page(registry, options.clock), options.host);
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

/** The text of the page, rendered at most once a second: all clients share it. */
class Page {
  readonly #registry: import('prom-client').Registry;
  readonly #clock: Clock;
  #rendered: Promise<Buffer> | null = null;
  #renderedAtMs = 0;

  constructor(registry: import('prom-client').Registry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<Buffer> {
    const nowMs = this.#clock.nowMs();
    if (this.#rendered === null || nowMs - this.#renderedAtMs >= PAGE_LIFETIME_MS) {
      this.#rendered = this.#registry.metrics().then((text) => Buffer.from(text));
      this.#renderedAtMs = nowMs;
    }
    return this.#rendered;
  }
}

function createPageServer(page: Page, host: string): Server {
  const open = new Set<Socket>();
  const isAsked = new WeakSet<Socket>();
  const server = createServer({ ...TIMEOUTS, maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    // A client gets one page for each connection. Further requests would pile up while it does not read.
    if (isAsked.has(request.socket)) return void request.socket.destroy();
    isAsked.add(request.socket);
    void respond(request, response, { page, host });
  });
  server.timeout = IDLE_TIMEOUT_MS;
  markAgentServer(server);
  server.unref();
  server.on('connection', (socket) => {
    socket.unref();
    if (open.size >= MAX_CONNECTIONS) [...open][0]?.destroy();
    open.add(socket);
    socket.on('close', () => void open.delete(socket));
  });
  return server;
}

async function respond(
  { url, method, headers }: IncomingMessage,
  response: ServerResponse,
  { page, host }: { page: Page; host: string },
): Promise<void> {
  response.shouldKeepAlive = false;
  const send = (status: number, text: string): void =>
    void response.writeHead(status, { 'content-type': 'text/plain' }).end(`wsguard: ${text}\n`);
  if (!isHostAllowed(headers.host, host))
    return send(421, 'this host name is not served; ask for localhost, or set WSGUARD_PROMETHEUS_HOST');
  if (url?.split('?')[0] !== '/metrics' || (method !== 'GET' && method !== 'HEAD'))
    return send(404, 'see /metrics');
  try {
    const text = await page.text();
    response.writeHead(200, { 'content-type': page.contentType, 'content-length': text.length });
    response.end(method === 'HEAD' ? undefined : text);
  } catch {
    send(503, 'the metrics are not available at the moment');
  }
}

const LOCAL_NAMES = new Set(['localhost', 'host.docker.internal', '127.0.0.1', '[::1]']);
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.');

/**
 * Checks the Host header of a page on a loopback address. A web page can make a browser on this machine ask for it under a
 * name that the attacker's DNS server resolves to 127.0.0.1 (DNS rebinding); the header then has that name. A page on another
 * address is asked under names that the agent cannot know.
 */
function isHostAllowed(header: string | undefined, host: string): boolean {
  if (!isLoopback(host) || header === undefined) return true;
  const name = header.replace(/:\d+$/, '').toLowerCase();
  return LOCAL_NAMES.has(name) || name === host || isIP(name) > 0;
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
