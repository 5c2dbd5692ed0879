// `npm run bench -- audit [--json] [--sizes 40,200,500]`: what a census of containers costs. The sizes are MB of
// snapshot. Each server takes two, the second one after a map has grown: MB of snapshot for each second of CPU, the memory of the process
// that counts beside the size of the snapshot, and the stop of the server.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const { values: flags } = parseArgs({
  options: { json: { type: 'boolean', default: false }, sizes: { type: 'string', default: '40,200,500' } },
});
const MB = 1e6;
const AUDITS = 2;
const round = (value, digits = 2) => Number(value.toFixed(digits));

function rowOf({ audit, maxGapMs }, size, census) {
  const row = { size, census, outcome: audit.outcome, load: round(loadavg()[0], 1) };
  if (audit.outcome !== 'done') return { ...row, reason: audit.reason };
  const { snapshotBytes, peakRssBytes, cpuMs, pauseMs, suspects } = audit;
  return {
    ...row,
    snapshotMb: round(snapshotBytes / MB, 0),
    mbPerCpuS: round(snapshotBytes / MB / (cpuMs / 1000), 0),
    cpuMs,
    peakMb: round(peakRssBytes / MB, 0),
    peakOfSnapshot: round(peakRssBytes / snapshotBytes),
    pauseMs,
    maxGapMs: round(maxGapMs, 0),
    grown: suspects.map(({ name, growth }) => `${name} +${growth?.objects}`),
  };
}

async function measure(size) {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-audit-'));
  const args = ['--max-old-space-size=6000', join(here, 'audit-server.cjs'), String(size), dir];
  const server = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  const rows = [];
  try {
    await next();
    for (let census = 1; census <= AUDITS; census += 1) {
      server.stdin.write('audit\n');
      rows.push(rowOf(await next(), size, census));
    }
  } finally {
    server.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
  return rows;
}

const results = [];
for (const size of flags.sizes.split(',').map(Number)) {
  const rows = await measure(size);
  results.push(...rows);
  if (!flags.json) for (const row of rows) console.log(JSON.stringify(row));
}
if (flags.json) console.log(JSON.stringify({ node: process.version, results }, null, 2));
