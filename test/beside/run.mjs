// `npm run beside`: a server with OpenTelemetry's automatic instrumentations, alone and with the agent loaded before and after
// them. The spans stay the same, the counts are right, the watcher thread loads none of it, and the process ends.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import packages from '../../fixtures/components/install-packages.js';
import processes from '../../fixtures/components/process.js';
import { build, dependenciesAreInstalled, installDependencies, root } from '../../fixtures/prepare.mjs';
import { connectSse, connectWebSocket } from '../matrix/clients.mjs';

const { freePorts, launch, sleep, waitFor } = processes;
const PACKAGE = '@opentelemetry/auto-instrumentations-node';
const AGENT = join(root, 'dist', 'index.js');
/** Two exports of the span processor: the spans of the last request have left the process. */
const EXPORT_MS = 250;
/** Attributes that differ between two runs of the same server. */
const VARIABLE = /port|peer\.address|network\.peer|pid|^url\.full$|^http\.url$|host$/;

const folder = packages.installPackages(join(root, 'fixtures', 'beside', 'opentelemetry'));
const file = join(folder, 'server.mjs');
const tracing = join(folder, 'node_modules', PACKAGE, 'build', 'src', 'register.js');
const PRELOAD = ['--require', tracing];
const LOADINGS = {
  'CommonJS, before the agent': { alone: PRELOAD, both: [...PRELOAD, '--require', AGENT] },
  'CommonJS, after the agent': { alone: PRELOAD, both: ['--require', AGENT, ...PRELOAD] },
};

/** Receives spans as OTLP in JSON. */
async function startReceiver() {
  const spans = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    response.setHeader('content-type', 'application/json').end('{}');
    const { resourceSpans = [] } = JSON.parse(body);
    for (const { scopeSpans } of resourceSpans) {
      for (const { scope, spans: list } of scopeSpans)
        spans.push(...list.map((span) => spanText(scope, span)));
    }
  });
  const { receiver } = await freePorts(['receiver']);
  await new Promise((resolve) => server.listen(receiver, '127.0.0.1', resolve));
  return { spans, url: `http://127.0.0.1:${receiver}`, close: () => server.close() };
}

function spanText({ name: scope }, { name, kind, attributes = [], status = {} }) {
  const kept = attributes.filter(({ key }) => !VARIABLE.test(key));
  const values = kept.map(({ key, value }) => `${key}=${JSON.stringify(value)}`).toSorted(byText);
  return [scope, name, kind, status.code ?? 0, ...values].join(' ');
}

const request = (port, path) =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve(body);
    }).on('error', reject);
  });

async function runServer(args, hasAgent) {
  const receiver = await startReceiver();
  const ports = await freePorts(['http', 'metrics']);
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-beside-'));
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    PORT: String(ports.http),
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v1/traces`,
    OTEL_BSP_SCHEDULE_DELAY: String(EXPORT_MS),
    OTEL_NODE_RESOURCE_DETECTORS: 'none',
    WSGUARD_DIR: dir,
    WSGUARD_INTERVAL_MS: '250',
    WSGUARD_PROMETHEUS_PORT: String(ports.metrics),
  };
  const app = launch(process.execPath, [...args, file], { env, cwd: dir });
  try {
    await waitFor(() => app.stdout().includes('listening'), { what: 'the server' });
    const clients = [];
    for (let i = 0; i < 3; i += 1) clients.push(await connectWebSocket(ports.http));
    for (let i = 0; i < 2; i += 1) clients.push(await connectSse(ports.http, '/events'));
    for (const path of ['/plain', '/outgoing']) await request(ports.http, path);
    const counts = hasAgent ? await readCounts(ports.metrics) : null;
    const scripts = hasAgent ? JSON.parse(await request(ports.http, '/scripts')) : [];
    for (const client of clients) client.leave();
    await sleep(EXPORT_MS * 8);
    app.child.stdin.end();
    const { code, signal } = await Promise.race([
      app.exited,
      sleep(60_000).then(() => ({ signal: 'still running' })),
    ]);
    const spans = receiver.spans.filter((span) => !span.includes('/scripts')).toSorted(byText);
    return { spans, counts, scripts, end: signal ?? code, stderr: app.stderr() };
  } catch (error) {
    throw new Error(`${error.message}\n${app.stderr()}`, { cause: error });
  } finally {
    await app.stop('SIGKILL');
    receiver.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const byText = (a, b) => a.localeCompare(b);

/** The open connections on the metrics page: 3 WebSockets and 2 event streams. */
async function readCounts(port) {
  const expected = ['websocket 3', 'sse 2'];
  let counts = [];
  const read = async () => {
    const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const rows = page.matchAll(/^ws_connections_active\{.*?transport="(\w+)".*?\} (\d+)/gm);
    counts = [...rows].map(([, transport, count]) => `${transport} ${count}`);
    return expected.every((text) => counts.includes(text));
  };
  await waitFor(read, { deadlineMs: 30_000 }).catch(() => {});
  return counts.filter((text) => !text.endsWith(' 0')).toSorted(byText);
}

function reasons(alone, both) {
  const foreign = both.scripts.filter((url) =>
    /instrumentation|import-in-the-middle|require-in-the-middle/.test(url),
  );
  return [
    alone.spans.length < 5 &&
      `only ${alone.spans.length} spans without the agent: ${alone.stderr.slice(-500)}`,
    !isDeepStrictEqual(both.spans, alone.spans) &&
      `spans: ${alone.spans.length} without, ${both.spans.length} with: ${difference(alone.spans, both.spans)}`,
    !isDeepStrictEqual(both.counts, ['sse 2', 'websocket 3']) && `counted ${both.counts.join(', ')}`,
    both.scripts.length < 20 && `only ${both.scripts.length} scripts of Workers are listed`,
    foreign.length > 0 && `the watcher thread loaded ${foreign.slice(0, 3).join(', ')}`,
    both.end !== alone.end && `exit ${both.end}, without the agent ${alone.end}`,
  ].filter(Boolean);
}

function difference(before, after) {
  const only = (a, b) => a.filter((span) => !b.includes(span)).slice(0, 3);
  return JSON.stringify({ without: only(before, after), with: only(after, before) });
}

async function main() {
  for (const task of [...(dependenciesAreInstalled() ? [] : [installDependencies]), build]) {
    const { code, output } = await task();
    if (code !== 0) throw new Error(output);
  }
  copyFileSync(join(root, 'fixtures', 'beside', 'server.mjs'), file);
  let failed = 0;
  for (const [name, { alone, both }] of Object.entries(LOADINGS)) {
    const bare = await runServer(alone, false);
    const found = reasons(bare, await runServer(both, true));
    if (found.length > 0) failed += 1;
    console.log(`${found.length === 0 ? 'ok  ' : 'FAIL'} OpenTelemetry, ${name}: ${bare.spans.length} spans`);
    for (const reason of found) console.log(`     ${reason}`);
  }
  const { length } = Object.keys(LOADINGS);
  console.log(`${length - failed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main();
