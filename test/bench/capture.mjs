// `npm run bench -- capture [--json] [--sizes 40,200] [--methods fork,inprocess] [--cores 0.5] [--gc 1,20] [--before 5] [--buffers 1024]`: what a heap snapshot costs an
// echo server, by both methods: the stop of the server, the round trips of 50 clients before and during it, the memory, the
// file, the time until the file is there. `--cores`: in a container with this part of a core (root only). `--gc`: full GCs before it
// and at these seconds after the request; the largest gap is then one of them. `--before`: seconds of round trips before it. V8 starts a
// major GC 100 s after the last one, so the capture of a server of that age has one. `--buffers`: MiB of Buffers beside the heap.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import components from '../../fixtures/components/start.js';
import { readLines } from './support/child-lines.mjs';
import { startClients } from './support/echo-clients.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    sizes: { type: 'string', default: '40,200,500,1500' },
    methods: { type: 'string', default: 'fork,inprocess' },
    cores: { type: 'string' },
    gc: { type: 'string', default: '' },
    before: { type: 'string', default: '5' },
    buffers: { type: 'string', default: '0' },
  },
});
/** Memory of the container with a part of a core. It must not be what decides. */
const CONTAINER_MIB = 32_768;
const CLIENTS = 50;
const MIB = 1024 * 1024;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Peak memory of a process and of its children, in bytes. */
function rssBytes(pid) {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean);
    const own = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return {
      server: Number(own?.[1] ?? 0) * 1024,
      children: children.map((child) => rssBytes(child).server),
    };
  } catch {
    return { server: 0, children: [] };
  }
}

async function measure(method, mib) {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-capture-'));
  const script = [join(here, 'capture-server.cjs'), method, String(mib), dir, flags.gc, flags.buffers];
  const [program, ...args] = [
    ...(flags.cores === undefined ? [] : components.limited(CONTAINER_MIB, Number(flags.cores))),
    process.execPath,
    '--max-old-space-size=6000',
    ...(flags.gc === '' ? [] : ['--expose-gc']),
    ...script,
  ];
  const server = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => server.on('close', resolve));
  const next = readLines(server);
  const { pid, port, heapBytes } = await next();
  const clients = startClients(port, CLIENTS);
  await sleep(1_000);
  clients.take();
  server.stdin.write('reset\n');
  await sleep(Number(flags.before) * 1000);
  const before = clients.take();
  let peak = { server: 0, children: 0 };
  const watch = setInterval(() => {
    const now = rssBytes(pid);
    const children = now.children.reduce((sum, bytes) => sum + bytes, 0);
    peak = { server: Math.max(peak.server, now.server), children: Math.max(peak.children, children) };
  }, 100);
  const startedMs = performance.now();
  server.stdin.write('take\n');
  const { snapshot, gap, gcs, majorGcMs, majorGcBeforeMs } = await next();
  clearInterval(watch);
  const result = {
    method,
    heapMib: Math.round(heapBytes / MIB),
    outcome: snapshot.outcome,
    reason: snapshot.reason,
    pauseMs: snapshot.pauseMs,
    maxGapMs: Math.round(gap.gapMs),
    gap: Object.fromEntries(Object.entries(gap).map(([name, value]) => [name, Math.round(value)])),
    gcs,
    majorGcMs: Math.round(majorGcMs),
    majorGcBeforeMs: Math.round(majorGcBeforeMs),
    before,
    during: clients.take(),
    seconds: Number(((performance.now() - startedMs) / 1000).toFixed(1)),
    fileBytes: snapshot.bytes,
    serverPeakMib: Math.round(peak.server / MIB),
    // Pages that a child shares with the server count for both.
    childrenPeakMib: Math.round(peak.children / MIB),
    load: Number(loadavg()[0].toFixed(1)),
  };
  clients.close();
  server.stdin.end('exit\n');
  await ended;
  rmSync(dir, { recursive: true, force: true });
  return result;
}

const ms = (value) =>
  value === null || value === undefined ? '-' : `${value < 10 ? value.toFixed(1) : Math.round(value)}`;
const trips = ({ p50, p99, max }) => [p50, p99, max].map(ms).join(' / ');
const describeGap = ({ atMs, cpuMs, kernelMs, waitMs, pageFaults }) =>
  `${(atMs / 1000).toFixed(1)} s after the request: CPU ${cpuMs} ms, all threads in the kernel ${kernelMs} ms, ` +
  `${pageFaults} page faults, waited ${waitMs} ms for a CPU`;
const results = [];
for (const mib of flags.sizes.split(',').map(Number)) {
  for (const method of flags.methods.split(',')) {
    const result = await measure(method, mib);
    results.push(result);
    if (flags.json) continue;
    const { before, during, outcome, reason = '', fileBytes } = result;
    for (const { atSeconds, ms: gcMs } of result.gcs)
      console.log(`       full GC ${atSeconds < 0 ? 'before' : `at ${atSeconds} s`}: ${gcMs} ms`);
    const file = fileBytes === undefined ? '-' : (fileBytes / MIB).toFixed(1);
    console.log(
      `${String(result.heapMib).padStart(5)} MiB  ${method.padEnd(9)}  ${outcome} ${reason}  stop ${ms(result.pauseMs)} ms, ` +
        `largest gap ${result.maxGapMs} ms (${describeGap(result.gap)}), longest major GC ${result.majorGcBeforeMs} -> ${result.majorGcMs} ms; p50 / p99 / max ${trips(before)} -> ${trips(during)} ms; ${result.seconds} s; ` +
        `file ${file} MiB; peak ${result.serverPeakMib} + ${result.childrenPeakMib} MiB; load ${result.load}`,
    );
  }
}
if (flags.json)
  console.log(JSON.stringify({ node: process.version, cores: flags.cores ?? null, results }, null, 2));
process.exit(0);
