// Measures what the agent costs a server: CPU per message at a fixed number of messages, p99 of the round trip, RSS, heap and
// bytes a connection. `control` is a second run without an agent. `--help` lists the options.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { plotCost } from './overhead-plot.mjs';
import { MODES, arePinned, measureServers, measureSteadyState, receivedMessages } from './overhead-run.mjs';
import {
  GOALS,
  MIN_CONNECTIONS_FOR_BYTES,
  printSummary,
  round,
  summariseRecords,
  summariseTogether,
} from './overhead-summary.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const require = createRequire(import.meta.url);
const { AGENTS, agentArguments } = require('../../fixtures/components/catalogue.js');

/** Each needs a server of its own, and the heap varies less than the time: runs without an agent differ by 3 bytes. */
const STEADY_ROUNDS = 5;
/** The wrap of `send` costs nothing for each connection. */
const STEADY_MODES = new Set(['control', 'bare', 'agent', 'exports']);
const PLOT_MODES = ['control', 'bare', 'agent'];
const PLOT_CONNECTIONS = [100, 300, 1_000, 3_000, 10_000, 20_000];
/** Each process needs some descriptors beside its connections. */
const SPARE_DESCRIPTORS = 200;
/** A mode that fails this many times in a row is left out of the other rounds. */
const MAX_FAILURES = 3;
/** Measured on two cores: start and end of one server, each number of connections, a connection, a message. */
const RUN_COST = { serverMs: 2_000, countMs: 2_300, connectionMs: 0.45, messageMs: 0.03, steadyMs: 16_000 };
/** Turns of one measurement, each with some hundred milliseconds of messages. */
const TURNS = 20;

const HELP = `npm run bench -- overhead [options]
  --connections 20,1000,10000   open connections; they grow in one server, which is measured at each number
  --workload echo,broadcast     each server does both; every second round begins with the other one
  --modes ${Object.keys(MODES).join(',')}
  --rounds 20        servers of each mode; those of a round run side by side, and ${TURNS} times in turn each gets some messages.
                     opentelemetry and ddtrace run after them, in a third of the rounds
  --messages 100000  messages of one measurement, at least 300 broadcasts to up to 2,000 connections
  --minutes 40       start no server after this time: each round covers all measurements
  --plot             CPU against 100 to 20,000 connections, written to docs/overhead.svg (3 rounds)
  --out FILE         where each measurement is written when it ends (default: overhead-<time>.ndjson in the temporary directory)
  --summarise FILE   print the summary of such a file and measure nothing
  --json             print the summary and all measurements as JSON
SIGINT and SIGTERM end the bench with the summary of the measurements so far.`;
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    plot: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    connections: { type: 'string' },
    workload: { type: 'string', default: 'echo,broadcast' },
    modes: { type: 'string' },
    rounds: { type: 'string' },
    messages: { type: 'string', default: '100000' },
    minutes: { type: 'string' },
    out: { type: 'string' },
    summarise: { type: 'string' },
  },
});
const MESSAGES = Number(values.messages);
const WORKLOADS = values.workload.split(',');
const ROUNDS = Number(values.rounds ?? (values.plot ? 3 : 20));
/** Other agents are compared by ratio only, and cost more than the spread between rounds. */
const roundsOf = (mode) => (MODES[mode].other ? Math.ceil(ROUNDS / 3) : ROUNDS);

/** Ascending, and no more than the descriptors of one process allow. */
function chosenCounts() {
  const maxOpen = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' })) || Infinity;
  const counts = values.connections?.split(',') ?? (values.plot ? PLOT_CONNECTIONS : [20, 1_000, 10_000]);
  const limited = counts.map((count) => Math.min(Number(count), maxOpen - SPARE_DESCRIPTORS));
  return [...new Set(limited)].toSorted((a, b) => a - b);
}

function chosenModes() {
  const modes = values.modes?.split(',') ?? (values.plot ? PLOT_MODES : Object.keys(MODES));
  const unknown = modes.filter((mode) => !Object.hasOwn(MODES, mode));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown}. Modes: ${Object.keys(MODES).join(', ')}`);
  const missing = modes.filter((mode) => mode in AGENTS && agentArguments(mode) === null);
  for (const mode of missing)
    console.error(`left out: ${mode}. Install it with: npm run components -- ${mode}`);
  return modes.filter((mode) => !missing.includes(mode));
}

async function main() {
  if (values.help) return console.log(HELP);
  if (values.summarise) {
    const lines = readFileSync(values.summarise, 'utf8').split('\n').filter(Boolean);
    return print(lines.map((line) => JSON.parse(line)));
  }
  const folder = mkdtempSync(join(tmpdir(), 'wsguard-overhead-'));
  const sink = createServer((request, response) => request.resume().on('end', () => response.end('{}')));
  sink.listen(0, '127.0.0.1');
  await once(sink, 'listening');
  try {
    const collector = `http://127.0.0.1:${sink.address().port}`;
    const context = { folder, collector, messages: MESSAGES, turns: TURNS };
    print(await measure(context, chosenCounts(), chosenModes()));
  } finally {
    sink.closeAllConnections();
    sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function print(records) {
  const results = summariseRecords(records);
  const together = summariseTogether(records);
  let file = null;
  const points = values.plot ? pointsOf(results) : [];
  if (points.length > 0) {
    file = join(root, 'docs', 'overhead.svg');
    writeFileSync(file, plotCost(points));
  }
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    isPinned: arePinned(),
    instructions: instructionCounts(),
  };
  if (values.json) {
    const header = { schema: 'wsguard.bench.overhead/4', ...machine, messages: MESSAGES, goals: GOALS };
    console.log(JSON.stringify({ ...header, file, results, together, records }));
    return;
  }
  printSummary(results, together);
  console.log(
    `Each process on one core: ${machine.isPinned ? 'yes' : 'no'}. Instructions: ${machine.instructions}.` +
      (file ? ` Plot: ${file}` : ''),
  );
}

/** The complete rows of the plot: for each number of connections the modes of each workload. */
function pointsOf(results) {
  const points = new Map();
  for (const { connections, workload, modes } of results)
    points.set(connections, { ...points.get(connections), connections, [workload]: modes });
  const isComplete = (point) =>
    WORKLOADS.every((workload) => PLOT_MODES.every((mode) => point[workload]?.[mode]?.cpuUsPerMessage > 0));
  return [...points.values()].filter(isComplete);
}

/** Runs rounds over all modes until they are complete, the time is over, or a signal comes. */
async function measure(context, counts, modes) {
  const file = values.out ?? join(tmpdir(), `overhead-${Date.now()}.ndjson`);
  const endMs = values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;
  const minutes = Math.ceil(estimateMs(counts, modes) / 60_000);
  console.error(`about ${minutes} min for ${ROUNDS} rounds; each measurement is written to ${file}`);
  let isEnded = false;
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (isEnded = true));
  const records = [];
  const failures = new Map();
  for (let turn = 0; turn < ROUNDS; turn += 1) {
    const workloads = turn % 2 === 0 ? WORKLOADS : WORKLOADS.toReversed();
    for (const group of groupsOf(
      modes.filter((one) => turn < roundsOf(one)),
      turn,
    )) {
      if (group.some((mode) => (failures.get(mode) ?? 0) >= MAX_FAILURES)) continue;
      if (isEnded || performance.now() > endMs) return records;
      const startMs = performance.now();
      const add = (fields) => {
        const record = { round: turn, ...fields };
        records.push(record);
        appendFileSync(file, `${JSON.stringify(record)}\n`);
      };
      const error = await measureRound(context, { turn, group, counts, workloads }, add);
      if (error !== null && isEnded) return records;
      for (const mode of group) {
        failures.set(mode, error === null ? 0 : (failures.get(mode) ?? 0) + 1);
        if (error !== null) add({ mode, error });
      }
      const seconds = round((performance.now() - startMs) / 1_000, 1);
      if (!values.json)
        console.error(`${turn + 1}/${ROUNDS} ${group.join(', ')}: ${error ?? `${seconds} s`}`);
    }
  }
  return records;
}

/** Ours run side by side, in the opposite order every second round. The others take many times as long, so each runs alone. */
function groupsOf(modes, turn) {
  const ours = modes.filter((mode) => !MODES[mode].other);
  const others = modes.filter((mode) => MODES[mode].other).map((mode) => [mode]);
  return [turn % 2 === 0 ? ours : ours.toReversed(), ...others].filter(({ length }) => length > 0);
}

/** The servers of one group in one round. A failure costs only what is left of them; returns its text or null. */
async function measureRound(context, { turn, group, counts, workloads }, add) {
  try {
    await measureServers(context, { modes: group, counts, workloads }, add);
    for (const mode of group) {
      if (turn >= STEADY_ROUNDS || !hasSteadyState(counts, mode)) continue;
      const connections = counts.at(-1);
      add({ mode, connections, steady: await measureSteadyState(context, { mode, connections, workloads }) });
    }
    return null;
  } catch (error) {
    return error.message.slice(-1_000);
  }
}

const hasSteadyState = (counts, mode) =>
  !values.plot && counts.at(-1) >= MIN_CONNECTIONS_FOR_BYTES && STEADY_MODES.has(mode);

function estimateMs(counts, modes) {
  const { serverMs, countMs, connectionMs, messageMs, steadyMs } = RUN_COST;
  const messages = counts.flatMap((count) =>
    WORKLOADS.map((workload) => receivedMessages(workload, count, MESSAGES)),
  );
  const oneMs =
    serverMs +
    counts.length * countMs +
    messages.reduce((sum, count) => sum + count * messageMs, 0) +
    counts.at(-1) * connectionMs;
  const servers = modes.reduce((sum, mode) => sum + roundsOf(mode), 0);
  const steadyModes = modes.filter((mode) => hasSteadyState(counts, mode));
  return servers * oneMs + steadyModes.length * Math.min(ROUNDS, STEADY_ROUNDS) * steadyMs;
}

/** Why instructions are not counted: `perf` is missing, or this machine gives no counter to it (most virtual machines). */
function instructionCounts() {
  try {
    const text = execFileSync('sh', ['-c', 'perf stat -x, -e instructions:u true 2>&1'], {
      encoding: 'utf8',
    });
    return /^\d/.test(text)
      ? 'available: run the server under `perf stat`'
      : 'not counted: perf has no counter on this machine';
  } catch {
    return 'not counted: perf is not installed';
  }
}

await main();
