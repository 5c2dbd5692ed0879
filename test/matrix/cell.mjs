// One cell of the coverage matrix: a server in one packaging on one Node. Three clients connect, one leaves, then the others.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import processes from '../../fixtures/components/process.js';

const { freePorts, launch, waitFor } = processes;
const DEADLINE_MS = 60_000;
const CLIENTS = 3;
/** Lines that are neither the agent's nor a warning of Node: an error of the server. */
const EXPECTED_STDERR = /"name":"wsguard"|^\(node:\d+\)|^\(Use `|^$/;
const NONE = { websocket: 0, sse: 0, polling: 0, upgraded: 0 };

/** Runs the cell. @returns {Promise<string | null>} the reason why it is wrong */
export async function runCell(server, { node, args, file, certificate }) {
  const ports = await freePorts(['http', 'metrics']);
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-cell-'));
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    PORT: String(ports.http),
    CERT: certificate.cert,
    KEY: certificate.key,
    WSGUARD_DIR: dir,
    WSGUARD_INTERVAL_MS: '250',
    WSGUARD_PROMETHEUS_PORT: String(ports.metrics),
  };
  const app = launch(node, [...args, file], { env, cwd: dir });
  try {
    await waitFor(() => app.stdout().includes('listening'), { deadlineMs: DEADLINE_MS, what: 'the server' });
    return await checkCounts(server, app, ports);
  } catch (error) {
    return `${error.message}\n${app.stderr().slice(-2_000)}`;
  } finally {
    await app.stop('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

async function checkCounts(server, app, ports) {
  const expectCounts = (active, opened, closed) =>
    waitForCounts(ports.metrics, {
      active: only(server.transport, active),
      opened: only(server.transport, opened),
      closed: only(server.transport, closed),
      faults: 0,
    });
  const clients = [];
  for (let i = 0; i < CLIENTS; i += 1) clients.push(await server.connect(ports.http));
  await expectCounts(CLIENTS, CLIENTS, 0);
  clients[0].leave();
  await expectCounts(CLIENTS - 1, CLIENTS, 1);
  for (const client of clients.slice(1)) client.leave();
  await expectCounts(0, CLIENTS, CLIENTS);
  const errors = app
    .stderr()
    .split('\n')
    .filter((line) => !EXPECTED_STDERR.test(line));
  if (errors.length > 0) return `stderr: ${errors.slice(0, 5).join(' | ')}`;
  const startLine =
    app
      .stderr()
      .split('\n')
      .find((line) => line.includes('"cannotSee"')) ?? '';
  if (server.unseen && !startLine.includes(server.unseen))
    return `the start line does not say ${server.unseen}`;
  const { signal } = await app.stop('SIGTERM');
  return signal === 'SIGTERM' ? null : `SIGTERM did not end the server: ${signal}`;
}

/** Counts of zero, except of the transport; a server that the agent cannot see has none. */
const only = (transport, count) => (transport === null ? NONE : { ...NONE, [transport]: count });

/** Compares as text, so that the message of a deadline has what the page said last. */
async function waitForCounts(port, expected) {
  const wanted = JSON.stringify(expected);
  let counts = '';
  try {
    await waitFor(
      async () => {
        counts = JSON.stringify(await readCounts(port));
        return counts === wanted;
      },
      { deadlineMs: DEADLINE_MS, everyMs: 150 },
    );
  } catch {
    throw new Error(`counted ${counts}, expected ${wanted}`);
  }
}

async function readCounts(port) {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const read = (name) => {
    const rows = page.matchAll(new RegExp(`^${name}\\{.*?transport="(\\w+)".*?\\} (\\d+)`, 'gm'));
    return {
      ...NONE,
      ...Object.fromEntries([...rows].map(([, transport, count]) => [transport, Number(count)])),
    };
  };
  const faults = [...page.matchAll(/^wsguard_agent_faults_total\{.*?\} (\d+)/gm)];
  return {
    active: read('ws_connections_active'),
    opened: read('ws_connections_opened_total'),
    closed: read('ws_connections_closed_total'),
    faults: faults.reduce((sum, [, count]) => sum + Number(count), 0),
  };
}
