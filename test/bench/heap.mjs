// Shows what the agent keeps in the heap of the application thread once the watcher runs: the parts of a heap snapshot beside
// those of the same server without the agent, the code by itself, and the same code as one bundle.
// Options: --with express,ws (packages that the server loads) --json
import { build } from 'esbuild';
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packagesOption } from './support/packages.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const dist = join(root, 'dist');
const AGENT = join(dist, 'index.js');
/** The watcher runs by then: `startup.mjs` waits as long. */
const UP_AFTER_MS = 2500;
const GOAL_MB = 1;

const packages = packagesOption();

const APP = `
for (const file of ${JSON.stringify(packages)}) require(file);
const { createServer } = require('node:http');
const { getHeapSpaceStatistics, writeHeapSnapshot } = require('node:v8');
// V8's cache of numbers as texts grows to 256 KiB in any server, but at a different time.
for (let n = 0; n < 10_000; n += 1) String(n + 0.5);
for (const file of process.argv.slice(3)) require(file);
createServer().listen(0, '127.0.0.1', () => setTimeout(async () => {
  // The heap also has what the next GCs free.
  for (let n = 0; n < 5; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    global.gc();
  }
  const codeSpace = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'code_space');
  const reading = {
    heapBytes: process.memoryUsage().heapUsed,
    machineCodeBytes: codeSpace.space_used_size,
    files: Object.keys(require.cache),
    builtins: process.moduleLoadList.map((line) => line.split(' ')[1]),
  };
  if (process.argv[2] !== '') writeHeapSnapshot(process.argv[2]);
  process.send(reading, () => process.exit(0));
}, ${UP_AFTER_MS}));
`;

const folder = mkdtempSync(join(tmpdir(), 'wsguard-heap-'));
const app = join(folder, 'app.js');
writeFileSync(app, APP);

function run({ flags = [], snapshot = '', files = [] } = {}) {
  return new Promise((resolve, reject) => {
    const execArgv = ['--expose-gc', ...flags];
    const child = fork(app, [snapshot, ...files], {
      cwd: folder,
      execArgv,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.on('message', resolve);
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
}

const PARTS = {
  'source text': (type, name, bytes) => /string/.test(type) && bytes >= 500,
  'names and other texts': (type) => /string|symbol/.test(type),
  'compiled functions': (type, name) =>
    (type === 'code' && !/Feedback/.test(name)) ||
    /ScopeInfo|Bytecode|UncompiledData|SharedFunction/.test(name),
  'shapes of objects': (type) => type === 'object shape',
  'functions and their scopes': (type, name) => type === 'closure' || /Context|Feedback/.test(name),
  objects: () => true,
};

/** Bytes of each part of a heap snapshot. Native memory is not part of the heap. */
function partsOf(file) {
  const { snapshot, nodes, strings } = JSON.parse(readFileSync(file, 'utf8'));
  const {
    node_fields: fields,
    node_types: [types],
  } = snapshot.meta;
  const [typeAt, nameAt, bytesAt] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field));
  const parts = Object.fromEntries(Object.keys(PARTS).map((part) => [part, 0]));
  for (let at = 0; at < nodes.length; at += fields.length) {
    const [type, name, bytes] = [types[nodes[at + typeAt]], strings[nodes[at + nameAt]], nodes[at + bytesAt]];
    if (type === 'native' || type === 'synthetic') continue;
    const part = Object.keys(PARTS).find((key) => PARTS[key](type, name, bytes));
    parts[part] += bytes;
  }
  return parts;
}

/** Files that are loaded with their first use stay outside, as they do in `dist`. */
const withoutLazyFiles = {
  name: 'without lazy files',
  setup: ({ onResolve }) =>
    onResolve({ filter: /./ }, ({ kind, path }) =>
      kind === 'require-call' ? { path, external: true } : undefined,
    ),
};
async function bundle(files, name, options) {
  const entry = join(folder, `${name}.mjs`);
  writeFileSync(
    entry,
    files.map((file, n) => `export * as file${n} from ${JSON.stringify(file)};`).join('\n'),
  );
  const outfile = join(folder, `${name}.cjs`);
  await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    outfile,
    plugins: [withoutLazyFiles],
    ...options,
  });
  return outfile;
}

const [bareFile, agentFile] = ['bare', 'agent'].map((name) => join(folder, `${name}.heapsnapshot`));
const bare = await run({ snapshot: bareFile });
const agent = await run({ snapshot: agentFile, flags: ['--require', AGENT] });
const files = agent.files.filter((file) => file.startsWith(dist) && file !== AGENT);
const sources = files.map((file) => join(root, 'src', `${file.slice(dist.length, -3)}.ts`));
const builtins = agent.builtins.filter(
  (name) => !bare.builtins.includes(name) && !name.startsWith('internal/'),
);
const nodeModules = builtins.map((name) => `node:${name}`);
const node = await run({ files: nodeModules });
const code = await run({ files: [...nodeModules, ...files] });
const oneFile = await run({ files: [...nodeModules, await bundle(sources, 'bundle', {})] });
const minified = await run({ files: [...nodeModules, await bundle(sources, 'minified', { minify: true })] });
const [bareParts, agentParts] = [partsOf(bareFile), partsOf(agentFile)];
rmSync(folder, { recursive: true });

const kb = (bytes) => Math.round(bytes / 1000);
const result = {
  schema: 'wsguard.bench.heap/1',
  node: process.version,
  addedKb: kb(agent.heapBytes - bare.heapBytes),
  goalKb: GOAL_MB * 1000,
  parts: Object.fromEntries(Object.keys(PARTS).map((part) => [part, kb(agentParts[part] - bareParts[part])])),
  nodeModulesKb: kb(node.heapBytes - bare.heapBytes),
  files: files.length,
  codeKb: kb(code.heapBytes - node.heapBytes),
  ofItMachineCodeKb: kb(code.machineCodeBytes - node.machineCodeBytes),
  oneFileKb: kb(oneFile.heapBytes - node.heapBytes),
  minifiedKb: kb(minified.heapBytes - node.heapBytes),
};
if (process.argv.includes('--json')) console.log(JSON.stringify(result));
else {
  const line = (label, value) => console.log(`  ${label.padEnd(52)} ${String(value).padStart(5)} kB`);
  console.log(`Heap that the agent adds to a server without connections, Node ${result.node}`);
  line('all', result.addedKb);
  for (const [part, value] of Object.entries(result.parts)) line(`  ${part}`, value);
  line('modules of Node that it loads', result.nodeModulesKb);
  line(`its ${result.files} files, loaded and not started`, result.codeKb);
  line('  of it machine code', result.ofItMachineCodeKb);
  line('  the same as one file', result.oneFileKb);
  line('  the same as one minified file', result.minifiedKb);
}
