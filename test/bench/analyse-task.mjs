// One measurement in its own process: node analyse-task.mjs <task> <folder of the other parsers> <file>...
// Prints CPU and wall seconds and peak RSS as JSON. The time to load the code is not counted.
import { closeSync, createReadStream, openSync, readFileSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist');
const [, , task, rivals, ...files] = process.argv;
const require = createRequire(import.meta.url);
const CHUNK_BYTES = 1 << 20;

function chunks(file, take) {
  const descriptor = openSync(file, 'r');
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let read; (read = readSync(descriptor, buffer, 0, CHUNK_BYTES, null)) > 0;)
    take(buffer.subarray(0, read));
  closeSync(descriptor);
}

function sumBytes() {
  let sum = 0;
  return () => {
    chunks(files[0], (chunk) => {
      for (let at = 0; at < chunk.length; at++) sum = (sum + chunk[at]) | 0;
    });
    return { sum };
  };
}

function parse() {
  const { Tokenizer } = require(join(dist, 'heapsnapshot', 'tokenizer.js'));
  const { HeapBuilder } = require(join(dist, 'analyse', 'graph', 'heap-builder.js'));
  return () => {
    const builder = new HeapBuilder();
    const tokenizer = new Tokenizer(builder);
    chunks(files[0], (chunk) => tokenizer.write(chunk));
    tokenizer.end();
    const { nodeCount, edgeCount } = builder.finish();
    return { nodes: nodeCount, edges: edgeCount };
  };
}

function analyse(threads) {
  const { analyseFiles } = require(join(dist, 'analyse', 'index.js'));
  return async () => {
    const { suspects, holders } = await analyseFiles(files, { threads });
    const first = suspects[0] ?? holders[0];
    return { first: first === undefined ? null : first.path.join('') };
  };
}

function cpuSince(before) {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
const rival = (path) => join(rivals, 'node_modules', path);

async function devtools() {
  const toolkit = await import(pathToFileURL(rival('heap-snapshot-toolkit/index.js')).href);
  const { NodeFilter } = toolkit.DevToolsAPI.HeapSnapshotModel;
  return async () => {
    const snapshots = [];
    const cpuBefore = process.cpuUsage();
    for (const file of files) snapshots.push(await toolkit.parse(createReadStream(file, 'utf8')));
    const loadCpuS = cpuSince(cpuBefore);
    // The first view of DevTools after loading a file. Our analysis has the same table.
    if (snapshots.length > 1) await toolkit.diff(...snapshots);
    else snapshots[0].aggregatesWithFilter(new NodeFilter());
    return { nodes: snapshots.at(-1).nodeCount, loadCpuS };
  };
}

function memlab() {
  const { getFullHeapFromFile } = require(rival('@memlab/heap-analysis'));
  return async () => ({ nodes: (await getFullHeapFromFile(files[0])).nodes.length });
}

function wasm() {
  const { decode_bytes: decode } = require(rival('@vscode/v8-heap-parser'));
  return () => {
    const graph = decode(readFileSync(files[0]));
    return { classes: graph.get_class_groups(false).length };
  };
}

const TASKS = {
  'sum-bytes': sumBytes,
  parse,
  analyse: () => analyse(false),
  'analyse-threads': () => analyse(true),
  devtools,
  memlab,
  wasm,
};
const run = await TASKS[task]();
const cpuBefore = process.cpuUsage();
const wallBefore = performance.now();
const result = await run();
const cpuS = cpuSince(cpuBefore);
const wallS = (performance.now() - wallBefore) / 1000;
console.log(JSON.stringify({ cpuS, wallS, peakRssBytes: process.resourceUsage().maxRSS * 1024, ...result }));
process.exit(0);
