// `npm run bench -- forks [--json] [--count 40] [--rounds 5]`: how long a fork for a capture stops a process with a heap of 40 MB, with
// the Node executable that other processes of the machine use, and with a copy of it and of its libraries. The kernel has one
// lock for all mappings of a file.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { quantile } from './support/quantile.mjs';

const script = join(dirname(fileURLToPath(import.meta.url)), 'fork-stops.cjs');
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    count: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '5' },
  },
});
const run = (command, args, env = process.env) => execFileSync(command, args, { encoding: 'utf8', env });
const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-forks-'));

function copyNode() {
  const node = join(dir, 'node');
  copyFileSync(realpathSync(process.execPath), node);
  for (const [, library] of run('ldd', [node]).matchAll(/=> (\S+) \(/g))
    copyFileSync(realpathSync(library), join(dir, basename(library)));
  return node;
}

function measure(node, env) {
  const lines = run(node, [script, values.count], env).trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

function summarise(stops) {
  const of = (name, share) =>
    Number(
      quantile(
        stops.map((stop) => stop[name]),
        share,
      ).toFixed(1),
    );
  const longest = stops.reduce((a, b) => (b.stopMs > a.stopMs ? b : a));
  return {
    forks: stops.length,
    stopMs: { p50: of('stopMs', 0.5), p90: of('stopMs', 0.9), max: of('stopMs', 1) },
    longest: Object.fromEntries(Object.entries(longest).map(([name, ms]) => [name, Number(ms.toFixed(1))])),
  };
}

try {
  const copy = copyNode();
  const env = { ...process.env, LD_LIBRARY_PATH: dir };
  const stops = { shared: [], copied: [] };
  // In turn, because the load of the machine changes.
  for (let round = 0; round < Number(values.rounds); round += 1) {
    stops.shared.push(...measure(process.execPath, process.env));
    stops.copied.push(...measure(copy, env));
  }
  const result = {
    node: process.version,
    shared: summarise(stops.shared),
    copied: summarise(stops.copied),
    load: loadavg()[0],
  };
  console.log(values.json ? JSON.stringify(result) : result);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
