// `npm run chaos -- [--minutes 10] [--json]`: a server with the agent and one without it, under the same load and the same
// faults. Passes when the agent costs no request, its memory is bounded, and each part works again or says what is wrong.
// `--soak` (`npm run soak -- --minutes 60`): 2,000 churning connections without a fault; the heap of the agent stays flat.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import processes from '../../fixtures/components/process.js';
import { build } from '../../fixtures/prepare.mjs';
import { FAULTS } from './faults.mjs';
import { Load, mountSmallDisk, pause, startServer, startSink } from './processes.mjs';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    connections: { type: 'string' },
    faults: { type: 'string', default: Object.keys(FAULTS).join(',') },
    soak: { type: 'boolean', default: false },
    // For a second run beside a running one, whose files a build would replace.
    built: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
/** A snapshot is refused below 64 MiB of free disk space. */
const DISK_MB = 160;
const TIME_SCALE = 60;
/** A part may repeat its work after a back-off of up to 30 s. */
const RECOVERY_MS = 60_000;
/** Two faults a minute at most, and at least this long. */
const FAULT_MS = { min: 2_000, max: 30_000 };
/** The limits of the watcher's heap (104 MB), and the 35 MB that a second V8 heap takes at the start (docs/facts.md). */
const MAX_RSS_MB = 139;
/** "Exporters and their buffers need about 30 MB" (src/agent/watcher-host.ts). */
const MAX_WATCHER_HEAP_MB = 30;
/** A fault may add this much to the agent's part of the application's heap: its bounded queues and tables. */
const MAX_HEAP_GROWTH_MB = 2;
/** V8 compiles functions for as long as they become hot, which looks like a heap that grows: 180 kB in 80 s (measured). */
const NO_OPTIMISED_CODE = ['--no-opt', '--no-sparkplug'];
/** Growth between the second and the last quarter of a soak. The heap of the watcher varies by 1 MB with its buffers. */
const MAX_GROWTH_MB = { addedHeapMb: 0.2, watcherHeapMb: 1 };
const MB = 1e6;

async function start(mode, connections) {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-chaos-'));
  const disk = mountSmallDisk(dir, DISK_MB);
  mkdirSync(dir, { recursive: true });
  const [collector, webhook] = await Promise.all([startSink(), startSink()]);
  const { prometheus } = await processes.freePorts(['prometheus']);
  const env = {
    WSGUARD_DIR: dir,
    WSGUARD_TIME_SCALE: String(TIME_SCALE),
    WSGUARD_PROMETHEUS_PORT: String(prometheus),
    WSGUARD_WEBHOOK_URL: webhook.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_METRIC_EXPORT_INTERVAL: '1000',
  };
  const nodeArgs = ['--max-old-space-size=192', ...(values.soak ? NO_OPTIMISED_CODE : [])];
  const server = await startServer({ agent: true, mode, env, nodeArgs });
  const control = await startServer({ agent: false, mode, env: {}, nodeArgs });
  const loads = [new Load(server.port), new Load(control.port)];
  return {
    ...{ dir, disk, collector, webhook, server, control, loads, connections },
    page: `http://127.0.0.1:${prometheus}/metrics`,
    stop() {
      for (const one of [server, control, collector, webhook]) one.stop();
      if (disk.because === null) disk.unmount();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A number of the metrics page, summed over its labels; null while the page does not answer. */
async function metric(page, name) {
  try {
    const text = await (await fetch(page, { signal: AbortSignal.timeout(2_000) })).text();
    const lines = text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    return lines.length === 0 ? null : lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  } catch {
    return null;
  }
}

/** True when new samples arrive and every connection that stays is counted. */
async function isCounting({ page, connections }, sinceSamples) {
  const samples = await metric(page, 'wsguard_agent_samples_total');
  const active = await metric(page, 'ws_connections_active');
  return samples !== null && samples > sinceSamples && active !== null && Math.abs(active - connections) <= 5;
}

/** The watcher has started, and the agent counts the connections of the load. */
const untilCounting = (context) =>
  processes.waitFor(() => isCounting(context, 0), { deadlineMs: 180_000, what: 'the first samples' });

const codesIn = (log) => [...new Set(log.match(/WSGUARD_[A-Z_]+(?=")/g) ?? [])];

/** A part that is in its back-off, or that waits for a quiet moment, meets the fault later. */
async function becomesTrue(condition) {
  const startMs = Date.now();
  while (!condition() && Date.now() - startMs < RECOVERY_MS) await pause(100);
  return condition();
}

async function runFault(context, name, faultMs) {
  const fault = FAULTS[name];
  const because = fault.needs?.(context) ?? null;
  if (because !== null) return { fault: name, result: 'skipped', detail: because };
  context.server.takeLog();
  const lostBefore = context.loads.map(({ lost }) => lost);
  if (fault.stopsChurn) await Promise.all(context.loads.map((load) => load.stopChurn()));
  const began = await fault.begin(context);
  await pause(faultMs);
  const isHit = await becomesTrue(() => fault.isHit?.(context, began) ?? true);
  const ended = await fault.end(context);
  for (const load of context.loads) load.isChurnOn = true;
  const samples = (await metric(context.page, 'wsguard_agent_samples_total')) ?? 0;
  const endedMs = Date.now();
  let backAfterMs = null;
  while (backAfterMs === null && Date.now() - endedMs < RECOVERY_MS) {
    const isBack = (fault.isBack?.(context) ?? true) && (await isCounting(context, samples));
    if (isBack) backAfterMs = Date.now() - endedMs;
    else await pause(200);
  }
  const memory = await memoryOf(context);
  const log = context.server.takeLog();
  const said = codesIn(log);
  const lost = context.loads.map((load, at) => load.lost - lostBefore[at]);
  const problems = [
    ...(isHit ? [] : ['the fault did not reach the agent']),
    ...(backAfterMs !== null ? [] : [`not back within ${RECOVERY_MS / 1000} s`]),
    ...problemsOf(context, memory, lost, fault),
  ];
  return {
    fault: name,
    result: problems.length === 0 ? 'ok' : 'FAILED',
    lost: lost[0],
    lostByControl: lost[1],
    backAfterMs,
    said,
    ...memory,
    detail: [...problems, began, ended].filter((text) => typeof text === 'string').join('; '),
    // The log shows what went wrong.
    ...(problems.length > 0 && { log: log.slice(-4_000) }),
  };
}

function problemsOf(context, memory, [lost, lostByControl], { fillsHeap = false }) {
  const { server, control, firstHeapMb } = context;
  const { addedHeapMb, addedRssMb, watcherHeapMb } = memory;
  return [
    ...(server.state.exit === null ? [] : [`the server ended: ${server.state.exit}`]),
    ...(control.state.exit === null ? [] : [`the control ended: ${control.state.exit}`]),
    ...(lost <= lostByControl ? [] : [`${lost} requests lost, ${lostByControl} by the control`]),
    ...(addedHeapMb - firstHeapMb <= MAX_HEAP_GROWTH_MB
      ? []
      : [`the heap of the agent has grown from ${firstHeapMb} MB by more than ${MAX_HEAP_GROWTH_MB} MB`]),
    ...(watcherHeapMb <= MAX_WATCHER_HEAP_MB
      ? []
      : [`the watcher's heap is above ${MAX_WATCHER_HEAP_MB} MB`]),
    // V8 gives a filled heap back to the system later, and not at the same time in two processes.
    ...(addedRssMb <= MAX_RSS_MB || fillsHeap ? [] : [`the RSS of the agent is above ${MAX_RSS_MB} MB`]),
  ];
}

/** Both servers have the same load and the same faults, so the difference belongs to the agent. */
async function memoryOf({ server, control }) {
  const [ours, bare] = await Promise.all([server.ask('memory'), control.ask('memory')]);
  const added = (field) => Number(((ours?.[field] - bare?.[field]) / MB).toFixed(2));
  return {
    addedHeapMb: added('heapBytes'),
    addedRssMb: added('rssBytes'),
    watcherHeapMb: added('watcherHeapBytes'),
  };
}

async function chaos() {
  const minutes = Number(values.minutes ?? 10);
  const names = values.faults.split(',');
  const unknown = names.filter((name) => !Object.hasOwn(FAULTS, name));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown}. Faults: ${Object.keys(FAULTS).join(', ')}`);
  const slotMs = (minutes * 60_000) / names.length;
  const faultMs = Math.min(FAULT_MS.max, Math.max(FAULT_MS.min, slotMs / 2));
  const connections = Number(values.connections ?? 50);
  const context = await start('leak', connections);
  try {
    const shape = { connections, perSecond: 4, churnPerSecond: 10 };
    await Promise.all(context.loads.map((load) => load.start(shape)));
    await untilCounting(context);
    context.firstHeapMb = (await memoryOf(context)).addedHeapMb;
    const rows = [];
    for (const name of names) {
      const startMs = Date.now();
      rows.push(await runFault(context, name, faultMs));
      if (!values.json) console.error(JSON.stringify(rows.at(-1)));
      await pause(Math.max(0, slotMs - (Date.now() - startMs)));
    }
    await Promise.all(context.loads.map((load) => load.stop()));
    const [sent] = context.loads.map((load) => load.sent);
    const [lost, lostByControl] = context.loads.map((load) => load.lost);
    const isOk = rows.every(({ result }) => result !== 'FAILED') && lost <= lostByControl;
    return {
      schema: 'wsguard.chaos/1',
      minutes,
      sent,
      lost,
      lostByControl,
      firstHeapMb: context.firstHeapMb,
      rows,
      isOk,
    };
  } finally {
    context.stop();
  }
}

async function soak() {
  const minutes = Number(values.minutes ?? 60);
  const connections = Number(values.connections ?? 2_000);
  const context = await start('clean', connections);
  try {
    const shape = { connections, perSecond: 0.1, churnPerSecond: 2 };
    await Promise.all(context.loads.map((load) => load.start(shape)));
    // Every connection lives for one minute.
    for (const load of context.loads) load.replace(connections / 60);
    await untilCounting(context);
    const rows = [];
    const startMs = Date.now();
    while (Date.now() - startMs < minutes * 60_000) {
      await pause(Math.min(30_000, minutes * 6_000));
      rows.push({
        minute: Number(((Date.now() - startMs) / 60_000).toFixed(1)),
        ...(await memoryOf(context)),
      });
      if (!values.json) console.error(JSON.stringify(rows.at(-1)));
    }
    await Promise.all(context.loads.map((load) => load.stop()));
    return { schema: 'wsguard.soak/1', minutes, connections, rows, ...evaluateSoak(context, rows) };
  } finally {
    context.stop();
  }
}

/** The first quarter fills the tables of the agent. After that the median of each heap must not rise. */
function evaluateSoak({ dir, loads, server }, rows) {
  const quarter = Math.max(1, Math.floor(rows.length / 4));
  const growthOf = (field) => {
    const median = (list) => list.map((row) => row[field]).toSorted((a, b) => a - b)[list.length >> 1];
    return Number((median(rows.slice(-quarter)) - median(rows.slice(quarter, 2 * quarter))).toFixed(2));
  };
  const growthMb = Object.fromEntries(Object.keys(MAX_GROWTH_MB).map((field) => [field, growthOf(field)]));
  const isFlat = Object.entries(MAX_GROWTH_MB).every(([field, limit]) => growthMb[field] <= limit);
  const alerts = alertsIn(dir);
  const [lost, lostByControl] = loads.map((load) => load.lost);
  const isOk = isFlat && alerts.length === 0 && lost <= lostByControl && server.state.exit === null;
  return { growthMb, isFlat, alerts, sent: loads[0].sent, lost, lostByControl, isOk };
}

function alertsIn(dir) {
  try {
    const lines = readFileSync(join(dir, 'alerts.ndjson'), 'utf8').trim().split('\n');
    return lines.filter(Boolean).map((line) => JSON.parse(line).kind);
  } catch {
    return [];
  }
}

const { code, output } = values.built ? { code: 0, output: '' } : await build();
if (code !== 0) {
  console.error(output);
  process.exit(3);
}
const result = await (values.soak ? soak() : chaos());
if (values.json) console.log(JSON.stringify(result));
else {
  console.table(
    result.rows.map(({ said, log: _log, ...row }) => ({ ...row, ...(said && { said: said.join(' ') }) })),
  );
  const { rows, ...summary } = result;
  console.log(summary);
  if (!values.soak) {
    const count = (wanted) => rows.filter(({ result: found }) => found === wanted).length;
    // Requests can be lost between two faults, too.
    const failed = Math.max(count('FAILED'), result.isOk ? 0 : 1);
    console.log(
      `${rows.length - failed - count('skipped')} passed, ${failed} failed, ${count('skipped')} skipped`,
    );
  }
}
process.exit(result.isOk ? 0 : 1);
