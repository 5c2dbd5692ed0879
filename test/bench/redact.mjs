// `npm run bench -- redact [--json]`: counts the secrets that redaction leaves in a snapshot, checks that the DevTools
// code and memlab read the copy as they read the original, and times the redaction of about 100 MB.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  createReadStream,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installPeers, loadDevTools, loadMemlab } from '../tools/peers.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const { REDACTION_RULES } = require('../../dist/capture/redaction-rules.js');
const { Rewriter } = require('../../dist/heapsnapshot/rewriter.js');
const dir = process.argv[2] === '--memlab' ? '' : mkdtempSync(join(tmpdir(), 'wsguard-bench-redact-'));
const ROUNDS = 7;

function copy(from, to) {
  const input = openSync(from, 'r');
  const output = openSync(to, 'w', 0o600);
  const rewriter = new Rewriter(REDACTION_RULES, (bytes) => writeSync(output, bytes));
  const chunk = Buffer.alloc(1 << 20);
  for (let length; (length = readSync(input, chunk, 0, chunk.length)) > 0;)
    rewriter.write(chunk.subarray(0, length));
  rewriter.end();
  closeSync(input);
  closeSync(output);
  return rewriter.counts;
}

async function readBy(file) {
  const { parse } = await loadDevTools();
  const devTools = await parse(createReadStream(file, 'utf-8'));
  // memlab prints its progress to stdout, so it runs in its own process.
  const { stdout } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), '--memlab', file]);
  return {
    devTools: { nodes: devTools.nodeCount, statistics: devTools.getStatistics() },
    memlab: JSON.parse(stdout.toString().trimEnd().split('\n').at(-1)),
  };
}

async function memlabCounts(file) {
  const heap = await loadMemlab().getFullHeapFromFile(file);
  console.log(`\n${JSON.stringify({ nodes: heap.nodes.length, edges: heap.edges.length })}`);
}

async function vault() {
  const file = join(dir, 'vault.heapsnapshot');
  execFileSync(process.execPath, [join(here, '..', 'support', 'vault.cjs'), file]);
  const { planted } = JSON.parse(readFileSync(`${file}.planted.json`, 'utf8'));
  copy(file, `${file}.redacted`);
  const leftIn = (path) => {
    const all = JSON.parse(readFileSync(path, 'utf8')).strings.join('\n');
    return planted.filter((secret) => all.includes(secret)).length;
  };
  const [before, after] = [await readBy(file), await readBy(`${file}.redacted`)];
  return {
    planted: planted.length,
    foundInOriginal: leftIn(file),
    foundInCopy: leftIn(`${file}.redacted`),
    sameForReaders: JSON.stringify(before) === JSON.stringify(after),
    read: after,
  };
}

/** Small objects with unique strings, as a leak of messages has. A child process fills its heap with them. */
function speed() {
  const file = join(dir, 'large.heapsnapshot');
  const fill = `globalThis.kept = Array.from({ length: 230_000 }, (_, id) => ({ id, name: 'user' + id, tags: [id, id + 1], at: id * 1.5, more: { text: Buffer.from('text ' + id).toString() } }));
    require('node:v8').writeHeapSnapshot(${JSON.stringify(file)})`;
  const { status } = spawnSync(process.execPath, ['-e', fill]);
  if (status !== 0) throw new Error('the snapshot was not written');
  const { size } = statSync(file);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const cpu = process.cpuUsage();
    const started = process.hrtime.bigint();
    copy(file, `${file}.redacted`);
    const { user, system } = process.cpuUsage(cpu);
    return { cpu: size / (user + system), wall: size / (Number(process.hrtime.bigint() - started) / 1000) };
  });
  const median = (key) => rounds.map((round) => round[key]).sort((a, b) => a - b)[Math.floor(ROUNDS / 2)];
  return {
    bytes: size,
    rounds: ROUNDS,
    cpuMbPerS: Math.round(median('cpu')),
    wallMbPerS: Math.round(median('wall')),
  };
}

async function main() {
  installPeers();
  try {
    const result = {
      node: process.version,
      vault: await vault(),
      speed: speed(),
      goal: { cpuMbPerS: 150, foundInCopy: 0 },
    };
    result.ok =
      result.vault.foundInCopy === 0 && result.vault.sameForReaders && result.speed.cpuMbPerS >= 150;
    if (process.argv.includes('--json')) console.log(JSON.stringify(result));
    else {
      const { vault: v, speed: s } = result;
      console.log(
        `planted ${v.planted} secrets: ${v.foundInOriginal} in the original, ${v.foundInCopy} in the copy`,
      );
      console.log(
        `DevTools code and memlab: ${v.sameForReaders ? 'same counts' : 'DIFFERENT'} (${v.read.memlab.nodes} nodes, ${v.read.memlab.edges} edges)`,
      );
      console.log(
        `${Math.round(s.bytes / 1e6)} MB: ${s.cpuMbPerS} MB/s of CPU, ${s.wallMbPerS} MB/s by the clock (median of ${s.rounds}; goal 150)`,
      );
    }
    process.exitCode = result.ok ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (process.argv[2] === '--memlab') await memlabCounts(process.argv[3]);
else await main();
