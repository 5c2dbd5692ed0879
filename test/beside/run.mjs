// `npm run beside [-- OpenTelemetry dd-trace Sentry]`: a server with a tracing agent, alone and with our agent loaded before
// and after it. The spans stay the same, the counts are right, the watcher thread loads none of it, its own requests make no
// spans, and the process ends.
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import packages from '../../fixtures/components/install-packages.js';
import processes from '../../fixtures/components/process.js';
import { build, dependenciesAreInstalled, installDependencies, root } from '../../fixtures/prepare.mjs';
import { connectSse, connectWebSocket } from '../matrix/clients.mjs';
import { TRACERS } from './tracers.mjs';

const { freePorts, launch, sleep, waitFor } = processes;
const FIXTURES = join(root, 'fixtures', 'beside');
const REQUIRE = ['--require', join(root, 'dist', 'index.js')];
const IMPORT = ['--import', join(root, 'dist', 'register.js')];
/** Both are loaded in the same way, because Node runs `--require` before `--import`, whatever their order is. */
const ORDERS = {
  'before the agent': (tracer) => [...tracer, ...agentLike(tracer)],
  'after the agent': (tracer) => [...agentLike(tracer), ...tracer],
};
const agentLike = ([flag]) => (flag === '--import' ? IMPORT : REQUIRE);

/** Receives spans, and counts the requests of our agent: its webhook and its metrics as OTLP. */
async function startReceiver() {
  const received = { requests: [], ofAgent: 0 };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (request.url.startsWith('/wsguard')) received.ofAgent += 1;
    else received.requests.push({ url: request.url, body });
    response.setHeader('content-type', 'application/json').end('{}');
  });
  const { receiver } = await freePorts(['receiver']);
  await new Promise((resolve) => server.listen(receiver, '127.0.0.1', resolve));
  return { received, url: `http://127.0.0.1:${receiver}`, close: () => server.close() };
}

const request = (port, path) =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve(body);
    }).on('error', reject);
  });

/** The variables with which our agent sends requests itself. Only it exports metrics here. */
const agentEnvironment = (url, dir, metricsPort) => ({
  WSGUARD_DIR: dir,
  WSGUARD_INTERVAL_MS: '250',
  WSGUARD_PROMETHEUS_PORT: String(metricsPort),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${url}/wsguard/v1/metrics`,
  OTEL_METRIC_EXPORT_INTERVAL: '500',
});

async function runServer(tracer, folder, args, hasAgent) {
  const receiver = await startReceiver();
  const ports = await freePorts(['http', 'metrics']);
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-beside-'));
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    PORT: String(ports.http),
    ...tracer.env(receiver.url),
    ...(hasAgent && agentEnvironment(receiver.url, dir, ports.metrics)),
  };
  const app = launch(process.execPath, [...args, join(folder, 'server.mjs')], { env, cwd: dir });
  const ended = rejectWhenEnded(app);
  ended.catch(() => {});
  try {
    await Promise.race([waitFor(() => app.stdout().includes('listening'), { what: 'the server' }), ended]);
    const clients = [];
    for (let i = 0; i < 3; i += 1) clients.push(await connectWebSocket(ports.http));
    for (let i = 0; i < 2; i += 1) clients.push(await connectSse(ports.http, '/events'));
    for (const path of ['/plain', '/outgoing']) await request(ports.http, path);
    const listeners = JSON.parse(await request(ports.http, '/listeners'));
    const counts = hasAgent ? await readCounts(ports.metrics) : null;
    const scripts = JSON.parse(await request(ports.http, '/scripts'));
    for (const client of clients) client.leave();
    await sleep(tracer.flushMs);
    app.child.stdin.end();
    const { code, signal } = await Promise.race([
      app.exited,
      sleep(60_000).then(() => ({ signal: 'still running' })),
    ]);
    const spans = receiver.received.requests.flatMap((one) => tracer.spansOf(one, folder));
    return {
      spans: spans.toSorted(byText),
      ...{ counts, listeners, scripts },
      ownRequests: receiver.received.ofAgent,
      end: signal ?? code,
      stderr: app.stderr(),
    };
  } catch (error) {
    throw new Error(`${error.message}\n${app.stderr()}`, { cause: error });
  } finally {
    await app.stop('SIGKILL');
    receiver.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const byText = (a, b) => a.localeCompare(b);

async function rejectWhenEnded(app) {
  const { code, signal } = await app.exited;
  throw new Error(`the server ended with ${signal ?? code}`);
}

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

/** Empty when the agent makes no difference. */
function reasons(tracer, alone, both) {
  const foreign = both.scripts.filter((url) => tracer.scripts.test(url));
  return [
    alone.spans.length < tracer.minSpans &&
      `only ${alone.spans.length} spans without the agent: ${alone.stderr.slice(-500)}`,
    !isDeepStrictEqual(both.spans, alone.spans) &&
      `spans: ${alone.spans.length} without, ${both.spans.length} with: ${difference(alone.spans, both.spans)}`,
    !isDeepStrictEqual(both.counts, ['sse 2', 'websocket 3']) && `counted ${both.counts.join(', ')}`,
    !isDeepStrictEqual(both.listeners, alone.listeners) &&
      `listeners: ${JSON.stringify(alone.listeners)} without, ${JSON.stringify(both.listeners)} with`,
    both.scripts.length < 20 && `only ${both.scripts.length} scripts of Workers are listed`,
    foreign.length > 0 && `the watcher thread loaded ${foreign.slice(0, 3).join(', ')}`,
    both.ownRequests === 0 && 'the agent sent no request, so nothing shows that its requests make no spans',
    both.end !== alone.end && `exit ${both.end}, without the agent ${alone.end}`,
  ].filter(Boolean);
}

function difference(before, after) {
  const only = (a, b) => a.filter((span) => !b.includes(span)).slice(0, 3);
  return JSON.stringify({ without: only(before, after), with: only(after, before) });
}

/** Installs the packages of a tracer and copies the files of its fixture and the server to them. */
function prepare({ folder: name }) {
  const folder = packages.installPackages(join(FIXTURES, name));
  for (const file of readdirSync(join(FIXTURES, name))) {
    if (!file.endsWith('.json')) copyFileSync(join(FIXTURES, name, file), join(folder, file));
  }
  copyFileSync(join(FIXTURES, 'server.mjs'), join(folder, 'server.mjs'));
  return folder;
}

/** @returns {Promise<boolean[]>} for each way of loading both, whether the agent makes no difference */
async function check(name, tracer) {
  const folder = prepare(tracer);
  const results = [];
  for (const [modules, args] of Object.entries(tracer.loadings(folder))) {
    const alone = await runServer(tracer, folder, args, false);
    for (const [order, withAgent] of Object.entries(ORDERS)) {
      const found = reasons(tracer, alone, await runServer(tracer, folder, withAgent(args), true));
      results.push(found.length === 0);
      const word = found.length === 0 ? 'ok  ' : 'FAIL';
      console.log(`${word} ${name}, ${modules}, ${order}: ${alone.spans.length} spans`);
      for (const reason of found) console.log(`     ${reason}`);
    }
  }
  return results;
}

async function main() {
  for (const task of [...(dependenciesAreInstalled() ? [] : [installDependencies]), build]) {
    const { code, output } = await task();
    if (code !== 0) throw new Error(output);
  }
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(TRACERS);
  const unknown = names.filter((name) => !Object.hasOwn(TRACERS, name));
  if (unknown.length > 0)
    throw new Error(`unknown: ${unknown}. There are: ${Object.keys(TRACERS).join(', ')}`);
  const results = [];
  for (const name of names) results.push(...(await check(name, TRACERS[name])));
  const passed = results.filter(Boolean).length;
  console.log(`${passed} passed, ${results.length - passed} failed, 0 skipped`);
  process.exitCode = passed === results.length ? 0 : 1;
}

await main();
