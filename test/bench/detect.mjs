// `npm run bench -- detect [--json] [--dir <traces>]... [--verbose] [--held-back]`
// Replays every recorded run of fixtures/traces and scores the alerts: found or not, delay, kind, time to the limit.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { costOfEvaluation } from './detect-cost.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const require = createRequire(import.meta.url);
const { replaySamples } = require(join(root, 'dist', 'cli', 'replay.js'));
const { createTraceReader, readSampleLine } = require(join(root, 'dist', 'cli', 'trace-sample.js'));

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    dir: { type: 'string', multiple: true },
    only: { type: 'string' },
    'held-back': { type: 'boolean', default: false },
  },
});
const only = flags.only?.split(',') ?? null;
/**
 * `examples`: the first recordings, on which the thresholds were tuned. `recorded`: runs of recorder/cases.mjs. `second`:
 * runs with other parameters. `preload`: samples that the agent wrote in servers that registered nothing. `drawn`: the
 * same with parameters drawn at random. `held-back`: its other half, which no threshold is set on, only when asked for.
 */
const SETS = flags.dir
  ? flags.dir.map((dir) => [dir, dir])
  : [
      ['examples', join(root, 'fixtures', 'traces')],
      ['recorded', join(root, 'fixtures', 'traces', 'recorded')],
      ['second', join(root, 'fixtures', 'traces', 'second')],
      ['preload', join(root, 'fixtures', 'traces', 'preload')],
      ['drawn', join(root, 'fixtures', 'traces', 'drawn', 'tune')],
      ...(flags['held-back'] ? [['held-back', join(root, 'fixtures', 'traces', 'drawn', 'held-back')]] : []),
    ];
const SIGNALS = ['all', 'preload'];
const DAY_MS = 24 * 3_600_000;
const SEMI_SPACES = 48 * 1024 ** 2;
const TROUBLE = 0.85;
const WAYS = [0.5, 0.75, 0.9];
const KINDS = {
  zombie: ['zombie-connections'],
  listener: ['listener-accumulation'],
  registry: ['registry-growth'],
  rooms: ['room-growth'],
  queue: ['queue-growth'],
  backpressure: ['slow-consumer'],
  retained: ['retained-after-close'],
  external: ['external-buffers'],
  native: ['native-or-compression'],
  unclosed: ['unclosed-growth'],
  heap: ['heap-growth', 'divergence'],
  resource: ['resource-growth'],
};

const quantile = (values, q) => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
};
const round = (value, digits = 2) => (value === null ? null : Number(value.toFixed(digits)));
const ratio = (part, whole) => (whole === 0 ? null : part / whole);

function runsOf(dir) {
  return readdirSync(dir)
    .filter((file) => file.endsWith('.meta.json'))
    .map((file) => ({ ...JSON.parse(readFileSync(join(dir, file), 'utf8')), dir }))
    .filter(({ id }) => only === null || only.includes(id))
    .toSorted((a, b) => a.id.localeCompare(b.id));
}

const isFromAgent = ({ dir, id }) => existsSync(join(dir, `${id}.ndjson.gz`));

/** The samples of a run, from the CSV rows of the recorder or from the samples that the agent wrote. */
function samplesOf(run, options) {
  const fromAgent = isFromAgent(run);
  const file = join(run.dir, `${run.id}.${fromAgent ? 'ndjson' : 'csv'}.gz`);
  const lines = gunzipSync(readFileSync(file)).toString().trimEnd().split('\n');
  const read = fromAgent
    ? (line) => readSampleLine(line, options)
    : createTraceReader(lines.shift(), options);
  return lines.map(read).filter((sample) => sample !== null);
}

/** The time to predict: the first post-GC heap above 85 % of the heap capacity, or the kill at the container's limit. */
function endOf(run, samples) {
  const crossed = samples.find(
    ({ gc, memory }) =>
      gc.floor !== null && gc.floor.bytes >= TROUBLE * (memory.heapLimitBytes - SEMI_SPACES),
  );
  if (crossed !== undefined) return crossed.atMs;
  return run.cause === 'rss-limit' ? run.lifeS * 1000 : null;
}

/** Relative error of the last prediction before each point of the run; null without a prediction. */
function timeErrors(onsetMs, endMs, predictions) {
  return WAYS.map((way) => {
    const atMs = onsetMs + way * (endMs - onsetMs);
    const last = predictions.findLast(({ tMs }) => tMs <= atMs);
    if (last === undefined || atMs - last.tMs > 2000) return null;
    const left = endMs - atMs;
    return Math.abs(last.ms - (atMs - last.tMs) - left) / left;
  });
}

async function judge(run, signals) {
  const memoryLimitBytes = run.rssLimitMB === null ? null : run.rssLimitMB * 1024 ** 2;
  const samples = samplesOf(run, { signals, memoryLimitBytes });
  const { alerts, timeToLimit, evaluationMs } = await replaySamples(samples, run.timeCompression);
  const opened = alerts.filter(({ event }) => event === 'opened');
  const onsetMs = (run.onset ?? 0) * 1000;
  const leak = opened.find(({ family, tMs }) => family === 'leak' && tMs >= onsetMs);
  // The last kind of the alert counts, because an alert may change to a more specific kind.
  const named = leak && alerts.findLast(({ id }) => id === leak.id).kind;
  const isRight = (kind) => KINDS[run.kind]?.includes(kind) ?? false;
  const endMs = run.kind === null ? null : endOf(run, samples);
  return {
    id: run.id,
    kind: run.kind,
    what: run.what,
    lifeMs: run.lifeS * 1000 * run.timeCompression,
    opened: opened.map(({ kind, tMs, title }) => ({ kind, tMs, title })),
    early: run.kind === null ? 0 : opened.filter(({ tMs }) => tMs < onsetMs).length,
    delayMin: leak === undefined ? null : ((leak.tMs - onsetMs) / 60_000) * run.timeCompression,
    lifeUsed: leak === undefined ? null : (leak.tMs - onsetMs) / (run.lifeS * 1000 - onsetMs),
    openedAs: leak?.kind ?? null,
    kindRight: leak === undefined ? null : isRight(leak.kind),
    kindInTheEnd: leak === undefined ? null : isRight(named),
    timeErrors: endMs === null ? null : timeErrors(onsetMs, endMs, timeToLimit),
    evaluationMs,
  };
}

function score(results) {
  const leaky = results.filter(({ kind }) => kind !== null);
  const healthy = results.filter(({ kind }) => kind === null);
  const found = leaky.filter(({ delayMin }) => delayMin !== null);
  const alarmed = healthy.filter(({ opened }) => opened.length > 0);
  const days = healthy.reduce((sum, { lifeMs }) => sum + lifeMs, 0) / DAY_MS;
  const falseAlarms = healthy.reduce((sum, { opened }) => sum + opened.length, 0);
  const delays = found.map(({ delayMin }) => delayMin);
  const withEnd = leaky.flatMap(({ timeErrors: errors }) => (errors === null ? [] : [errors]));
  const timeToLimit = Object.fromEntries(
    WAYS.map((way, i) => {
      // A missing prediction counts as the largest error, so that silence does not improve the median.
      const errors = withEnd.map((one) => one[i] ?? Number.POSITIVE_INFINITY);
      const median = quantile(errors, 0.5);
      const covered = errors.filter(Number.isFinite).length;
      return [
        `at${way * 100}`,
        { medianError: median === null ? null : round(median), covered, of: errors.length },
      ];
    }),
  );
  return {
    runs: { leaky: leaky.length, healthy: healthy.length, healthyDays: round(days) },
    precision: round(ratio(found.length, found.length + alarmed.length)),
    recall: round(ratio(found.length, leaky.length)),
    earlyAlarms: leaky.reduce((sum, { early }) => sum + early, 0),
    falseAlarmsPerDay: round(ratio(falseAlarms, days)),
    delayMinutes: { median: round(quantile(delays, 0.5), 1), p90: round(quantile(delays, 0.9), 1) },
    lifeUsed: round(
      quantile(
        found.map(({ lifeUsed }) => lifeUsed),
        0.5,
      ),
    ),
    kindRight: round(ratio(found.filter(({ kindRight }) => kindRight).length, found.length)),
    kindRightInTheEnd: round(ratio(found.filter(({ kindInTheEnd }) => kindInTheEnd).length, found.length)),
    timeToLimit,
  };
}

function tell(name, signals, results, scored) {
  console.log(`\n${name}, --signals ${signals}`);
  for (const { id, kind, openedAs, delayMin, opened, timeErrors: errors, what, kindRight } of results) {
    const isWrong = kind === null ? opened.length > 0 : openedAs === null || !kindRight;
    if (!flags.verbose && !isWrong) continue;
    const at = opened.map((alert) => `${alert.kind} at ${(alert.tMs / 1000).toFixed(1)} s`).join(', ');
    const delay = delayMin === null ? '' : ` after ${delayMin.toFixed(1)} min`;
    const left =
      errors === null || errors === undefined
        ? ''
        : `, time ${errors.map((error) => (error === null ? '-' : error.toFixed(2))).join(' ')}`;
    console.log(
      `  ${isWrong ? 'WRONG' : 'ok   '} ${id} (${kind ?? 'healthy'}) ${at}${delay}${left}: ${what}`,
    );
  }
  console.log(`  ${JSON.stringify(scored)}`);
}

const report = { schema: 'wsguard.bench.detect/1', sets: {}, evaluation: null };
for (const signals of SIGNALS) {
  const every = [];
  for (const [name, dir] of SETS) {
    const results = [];
    const runs = runsOf(dir);
    // Runs under the agent have no registered collections, so there is nothing to hide.
    if (signals === 'all' && runs.some(isFromAgent)) continue;
    for (const run of runs) results.push(await judge(run, signals));
    every.push(...results);
    const scored = score(results);
    (report.sets[name] ??= {})[signals] = flags.verbose ? { ...scored, results } : scored;
    if (!flags.json) tell(name, signals, results, scored);
  }
  const scored = score(every);
  (report.sets.together ??= {})[signals] = scored;
  if (!flags.json) console.log(`\ntogether, --signals ${signals}\n  ${JSON.stringify(scored)}`);
}
report.evaluation = await costOfEvaluation(root);
console.log(flags.json ? JSON.stringify(report) : `\nevaluation ${JSON.stringify(report.evaluation)}`);
