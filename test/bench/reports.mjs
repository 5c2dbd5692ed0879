// `npm run bench -- reports --folder <path> [--only 07,12] [--minutes 150] [--healthy-minutes 300] [--jobs 1] [--keep <path>] [--json]`:
// servers of public bug reports under the preload with its default settings and heap, one second for a minute. Each folder below `--folder` is
// one case: `server.js` prints "ready", `load.js` or `load.cjs` has its clients, `case.json` may have the `flags` of Node and
// `redis`. A name with `-ok-` is healthy. A case is right when its leak is named with file and line, or when it is silent.
// `--jobs` runs cases side by side. `--keep` is the folder that receives what the agent of each case wrote.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    only: { type: 'string', default: '' },
    minutes: { type: 'string', default: '150' },
    'healthy-minutes': { type: 'string', default: '300' },
    jobs: { type: 'string', default: '1' },
    keep: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
if (values.folder === undefined) {
  console.error('--folder <path>: the folder of the cases is missing.');
  process.exit(2);
}
const TIME_SCALE = 60;
const READY_MS = 30_000;
const FIRST_PORT = 4300;
const folder = resolve(values.folder);
const only = values.only.split(',').filter(Boolean);
const cases = readdirSync(folder).filter(
  (name) =>
    existsSync(join(folder, name, 'server.js')) &&
    (only.length === 0 || only.some((prefix) => name.startsWith(prefix))),
);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const readLines = (file) =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line))
    : [];

async function waitUntilReady(server) {
  let output = '';
  server.stdout.on('data', (text) => (output += text));
  for (const untilMs = performance.now() + READY_MS; !output.includes('ready'); await sleep(50))
    if (server.exitCode !== null || performance.now() > untilMs) throw new Error('the server is not ready');
}

/** Minutes of scaled time since the start of the agent. */
const minuteOf = ({ uptimeMs }) => Math.round((uptimeMs * TIME_SCALE) / 60_000);
const placeOf = ({ culprit }) =>
  culprit?.line ? `${basename(culprit.file ?? culprit.package ?? '')}:${culprit.line}` : null;

function resultOf(name, dir) {
  const alerts = readLines(join(dir, 'alerts.ndjson')).filter(({ family }) => family === 'leak');
  const log = readLines(join(dir, 'server.log'));
  const isHealthy = name.includes('-ok-');
  const named = alerts.find((alert) => placeOf(alert) !== null);
  return {
    name,
    isRight: isHealthy ? alerts.length === 0 : named !== undefined,
    openedMin: alerts.length === 0 ? null : minuteOf(alerts[0]),
    namedMin: named === undefined ? null : minuteOf(named),
    kinds: [...new Set(alerts.map(({ kind }) => kind))],
    culprits: [...new Set(alerts.map(placeOf))].filter((place) => place !== null),
    // The log has a repeated line once in ten minutes.
    audits: log
      .filter(({ msg }) => msg === 'took a census of containers')
      .map(({ pauseMs, cpuMs }) => ({ pauseMs, cpuMs })),
    load: Number(loadavg()[0].toFixed(1)),
  };
}

async function run(name, index) {
  const dir = mkdtempSync(join(tmpdir(), 'wsguard-bench-reports-'));
  const cwd = join(folder, name);
  const port = FIRST_PORT + index * 10;
  const { flags = '', redis } = existsSync(join(cwd, 'case.json'))
    ? JSON.parse(readFileSync(join(cwd, 'case.json'), 'utf8'))
    : {};
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    PORT: String(port),
    UPSTREAM_PORT: String(port + 1),
    REDIS_PORT: String(port + 2),
    WSGUARD_TIME_SCALE: String(TIME_SCALE),
    WSGUARD_DIR: dir,
    WSGUARD_LOG: 'debug',
  };
  const children = [];
  const start = (program, args, stdio) => {
    const child = spawn(program, args, { cwd, env, stdio });
    children.push(child);
    return child;
  };
  try {
    if (redis) start('redis-server', ['--port', env.REDIS_PORT, '--save', ''], 'ignore');
    const preload = join(root, 'dist', 'register.js');
    const log = openSync(join(dir, 'server.log'), 'w');
    const server = start(
      process.execPath,
      [...flags.split(' ').filter(Boolean), '--require', preload, 'server.js'],
      ['ignore', 'pipe', log],
    );
    const minutes = Number(name.includes('-ok-') ? values['healthy-minutes'] : values.minutes);
    const untilMs = performance.now() + (minutes * 60_000) / TIME_SCALE;
    await waitUntilReady(server);
    start(process.execPath, [existsSync(join(cwd, 'load.js')) ? 'load.js' : 'load.cjs'], 'ignore');
    while (performance.now() < untilMs && server.exitCode === null) await sleep(250);
    if (server.exitCode !== null) return { name, isRight: false, error: `exit code ${server.exitCode}` };
    return resultOf(name, dir);
  } catch (error) {
    return { name, isRight: false, error: error.message };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    if (values.keep !== undefined)
      cpSync(dir, join(values.keep, `${name}-${process.pid}`), { recursive: true });
    rmSync(dir, { recursive: true, force: true });
  }
}

const range = (numbers) => (numbers.length === 0 ? '-' : `${Math.min(...numbers)}-${Math.max(...numbers)}`);
const results = [];
const print = ({
  name,
  isRight,
  openedMin,
  namedMin,
  kinds = [],
  culprits = [],
  audits = [],
  load,
  error = '',
}) =>
  console.log(
    `${isRight ? 'right' : 'WRONG'} ${name.padEnd(30)} alert ${openedMin ?? '-'} min, named ${namedMin ?? '-'} min; ` +
      `${kinds.join(' ')} ${culprits.join(' ')}; first audit: stop ${range(audits.map(({ pauseMs }) => pauseMs))} ms, ` +
      `CPU ${range(audits.map(({ cpuMs }) => cpuMs))} ms; load ${load} ${error}`,
  );
const waiting = [...cases.entries()];
async function runWaiting() {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const result = await run(next[1], next[0]);
    results.push(result);
    if (!values.json) print(result);
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, runWaiting));
const right = results.filter(({ isRight }) => isRight).length;
console.log(
  values.json
    ? JSON.stringify({ node: process.version, right, of: results.length, results }, null, 1)
    : `right ${right} of ${results.length}`,
);
process.exit(right === results.length ? 0 : 1);
