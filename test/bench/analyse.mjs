// `npm run bench -- analyse [--json] [--sizes 100,400,1400] [--rivals devtools,memlab,wasm] [--rounds 3] [--dir <cache>]`
// Compares this analysis with the DevTools code, memlab and the Rust parser on the same generated snapshots. Each
// measurement runs in its own process, and each size is compared with the one before it (`400,400` for two of a size).
// The other parsers and the snapshots stay in a cache outside git.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    sizes: { type: 'string', default: '100,400,1400' },
    rivals: { type: 'string', default: 'devtools,memlab,wasm' },
    rounds: { type: 'string', default: '3' },
    dir: { type: 'string', default: join(root, '.cache', 'bench-analyse') },
  },
});
/** Connections in the generated heap for each size of snapshot in megabytes. */
const CONNECTIONS = { 100: 11_000, 400: 44_000, 1400: 155_000 };
const RIVALS = {
  devtools: { package: 'heap-snapshot-toolkit', version: '1.1.3' },
  memlab: { package: '@memlab/heap-analysis', version: '2.0.5' },
  wasm: { package: '@vscode/v8-heap-parser', version: '0.1.0' },
};
const DEADLINE_MS = 600_000;
const MB = 1e6;

const say = (text) => flags.json || console.log(text);
const round = (value, digits = 2) => Number(value.toFixed(digits));
const sizes = flags.sizes.split(',');
const rivals = flags.rivals === 'none' ? [] : flags.rivals.split(',');
mkdirSync(flags.dir, { recursive: true });

const fileOf = (size) => join(flags.dir, `connections-${size}.heapsnapshot`);

function generate() {
  if (sizes.every((size) => existsSync(fileOf(size)))) return;
  say(`generating ${sizes.join(', ')} MB of snapshots (minutes; kept in ${flags.dir})`);
  const steps = sizes.map((size) => `${CONNECTIONS[size]}:making-${size}`);
  const program = join(root, 'fixtures', 'heaps', 'connections.js');
  const made = spawnSync(process.execPath, ['--max-old-space-size=4096', program, flags.dir, ...steps], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (made.status !== 0) throw new Error(`the generator ended with ${made.status ?? made.signal}`);
  for (const size of sizes) renameSync(join(flags.dir, `making-${size}.heapsnapshot`), fileOf(size));
}

function installRivals() {
  const wanted = rivals.map((name) => `${RIVALS[name].package}@${RIVALS[name].version}`);
  if (rivals.every((name) => existsSync(join(flags.dir, 'node_modules', RIVALS[name].package)))) return;
  say(`installing ${wanted.join(', ')}`);
  writeFileSync(join(flags.dir, 'package.json'), '{"private":true}');
  const npm = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...wanted], {
    cwd: flags.dir,
    env: { ...process.env, PUPPETEER_SKIP_DOWNLOAD: '1' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (npm.status !== 0) throw new Error(`npm ended with ${npm.status}`);
}

/** A result, or the reason why there is none. Some of the other parsers cannot load the large file. */
function measure(task, ...files) {
  return new Promise((resolve) => {
    const args = ['--max-old-space-size=12288', join(here, 'analyse-task.mjs'), task, flags.dir, ...files];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors = (errors + chunk).slice(-500)));
    const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    child.on('close', (code, signal) => {
      clearTimeout(deadline);
      const last = output.trim().split('\n').at(-1) ?? '';
      if (code === 0 && last.startsWith('{')) resolve(JSON.parse(last));
      else resolve({ failed: signal ?? `exit ${code}: ${errors.trim().split('\n').at(-1)}` });
    });
  });
}

/** The lowest CPU time of several rounds, because other processes can only add to it. */
async function best(task, ...files) {
  let least = null;
  for (let at = 0; at < Number(flags.rounds); at++) {
    const result = await measure(task, ...files);
    if (result.failed) return result;
    if (least === null || result.cpuS < least.cpuS) least = result;
  }
  return least;
}

function row(result, bytes) {
  if (result.failed) return result;
  const { cpuS, wallS, peakRssBytes, ...rest } = result;
  return {
    ...rest,
    cpuS: round(cpuS),
    wallS: round(wallS),
    mbPerCpuS: round(bytes / MB / cpuS, 0),
    peakRssMb: round(peakRssBytes / MB, 0),
    rssOfFile: round(peakRssBytes / bytes),
  };
}

async function measureSize(size, place) {
  const file = fileOf(size);
  const bytes = statSync(file).size;
  const rows = {};
  for (const task of ['sum-bytes', 'parse', 'analyse']) rows[task] = row(await best(task, file), bytes);
  for (const name of rivals) rows[name] = row(await measure(name, file), bytes);
  const smaller = sizes[place - 1];
  if (smaller !== undefined) {
    const both = bytes + statSync(fileOf(smaller)).size;
    rows.diff = row(await best('analyse', fileOf(smaller), file), both);
    rows['diff-threads'] = row(await best('analyse-threads', fileOf(smaller), file), both);
    if (rivals.includes('devtools')) {
      rows['devtools-diff'] = row(await measure('devtools', fileOf(smaller), file), both);
    }
  }
  const ratios = {
    parseToSumBytes: round(rows.parse.mbPerCpuS / rows['sum-bytes'].mbPerCpuS),
    parseRssOfFile: rows.parse.rssOfFile,
    analyseRssOfFile: rows.analyse.rssOfFile,
    ...(rows.devtools?.cpuS ? { devtoolsToAnalyse: round(rows.devtools.cpuS / rows.analyse.cpuS, 1) } : {}),
    ...(rows.memlab?.cpuS ? { memlabToAnalyse: round(rows.memlab.cpuS / rows.analyse.cpuS, 1) } : {}),
  };
  say(`\n${round(bytes / MB, 0)} MB, ${rows.parse.nodes} nodes, ${rows.parse.edges} edges`);
  for (const [name, values] of Object.entries(rows)) say(`  ${name.padEnd(14)} ${JSON.stringify(values)}`);
  say(`  ${JSON.stringify(ratios)}`);
  return { megabytes: round(bytes / MB, 0), rows, ratios };
}

generate();
installRivals();
const results = [];
for (const [place, size] of sizes.entries()) results.push(await measureSize(size, place));
if (flags.json) console.log(JSON.stringify({ node: process.version, rounds: Number(flags.rounds), results }));
