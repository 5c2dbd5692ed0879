// `npm run bench -- capture [--json] [--sizes 40,200]`: what a heap snapshot costs an echo server, by both methods: the stop of
// the server, the round trips of 50 clients before and during it, the memory, the file, the time until the file is there.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readLines } from './support/child-lines.mjs';
import { startClients } from './support/echo-clients.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const json = process.argv.includes('--json');
const sizesAt = process.argv.indexOf('--sizes');
const sizes = (sizesAt > 0 ? process.argv[sizesAt + 1] : '40,200,500,1500').split(',').map(Number);
const CLIENTS = 50;
const BASE_MS = 5_000;
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
  const flags = ['--max-old-space-size=6000'];
  const server = spawn(
    process.execPath,
    [...flags, join(here, 'capture-server.cjs'), method, String(mib), dir],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const next = readLines(server);
  const { port, heapBytes } = await next();
  const clients = startClients(port, CLIENTS);
  await sleep(1_000);
  clients.take();
  await sleep(BASE_MS);
  const before = clients.take();
  let peak = { server: 0, children: 0 };
  const watch = setInterval(() => {
    const now = rssBytes(server.pid);
    const children = now.children.reduce((sum, bytes) => sum + bytes, 0);
    peak = { server: Math.max(peak.server, now.server), children: Math.max(peak.children, children) };
  }, 100);
  const startedMs = performance.now();
  server.stdin.write('take\n');
  const { snapshot, maxGapMs } = await next();
  clearInterval(watch);
  const result = {
    method,
    heapMib: Math.round(heapBytes / MIB),
    outcome: snapshot.outcome,
    reason: snapshot.reason,
    pauseMs: snapshot.pauseMs,
    maxGapMs: Math.round(maxGapMs),
    before,
    during: clients.take(),
    seconds: Number(((performance.now() - startedMs) / 1000).toFixed(1)),
    fileMib: snapshot.bytes === undefined ? undefined : Number((snapshot.bytes / MIB).toFixed(1)),
    serverPeakMib: Math.round(peak.server / MIB),
    // Pages that a child shares with the server count for both.
    childrenPeakMib: Math.round(peak.children / MIB),
    load: Number(loadavg()[0].toFixed(1)),
  };
  clients.close();
  server.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
  return result;
}

const ms = (value) =>
  value === null || value === undefined ? '-' : `${value < 10 ? value.toFixed(1) : Math.round(value)}`;
const results = [];
for (const mib of sizes) {
  for (const method of ['fork', 'inprocess']) {
    const result = await measure(method, mib);
    results.push(result);
    if (json) continue;
    const { before, during, outcome, reason = '' } = result;
    console.log(
      `${String(result.heapMib).padStart(5)} MiB  ${method.padEnd(9)}  ${outcome} ${reason}  stop ${ms(result.pauseMs)} ms, ` +
        `largest gap ${result.maxGapMs} ms; p99 ${ms(before.p99)} -> ${ms(during.p99)} ms; ${result.seconds} s; ` +
        `file ${result.fileMib ?? '-'} MiB; peak ${result.serverPeakMib} + ${result.childrenPeakMib} MiB; load ${result.load}`,
    );
  }
}
if (json) console.log(JSON.stringify({ node: process.version, results }, null, 2));
process.exit(0);
