// The summary of the overhead bench from its single measurements: medians, ratios to the run without an agent of the same
// round, and what the agent costs compared with other agents.

export const GOALS = { cpuRatio: 1.02, bytesPerConnection: 150 };
/**
 * Code that V8 compiles late is up to 100 kB: 30 bytes for each of the 3,000 connections in the measured half. With 500 in it
 * that would hide the connections. Runs without an agent differ by 3 bytes.
 */
export const MIN_CONNECTIONS_FOR_BYTES = 6_000;
const OTHER_AGENTS = ['opentelemetry', 'ddtrace'];
/** The interval contains the median of all possible rounds with this probability at least. */
const CONFIDENCE = 0.95;

/** p99 and bytes are measured only where they mean something. */
const isMeasured = (value) => value !== null && value !== undefined;

export const round = (number, digits = 3) => Number(number.toFixed(digits));

function quantile(numbers, share) {
  const ascending = numbers.toSorted((a, b) => a - b);
  const position = (ascending.length - 1) * share;
  const low = ascending[Math.floor(position)];
  return low + (ascending[Math.ceil(position)] - low) * (position - Math.floor(position));
}

const median = (numbers) => (numbers.length === 0 ? null : round(quantile(numbers, 0.5)));

/**
 * Confidence interval of the median from the ranks alone (binomial distribution), so it assumes nothing about how the numbers
 * are distributed. Null below six numbers, whose lowest and highest are not enough.
 */
function medianInterval(numbers) {
  const count = numbers.length;
  let below = 0;
  let probability = 0.5 ** count;
  let tail = probability;
  while (2 * tail <= 1 - CONFIDENCE) {
    below += 1;
    probability *= (count - below + 1) / below;
    tail += probability;
  }
  if (below === 0) return null;
  const ascending = numbers.toSorted((a, b) => a - b);
  return { low: round(ascending[below - 1]), high: round(ascending[count - below]) };
}

function spread(numbers) {
  if (numbers.length === 0) return null;
  const [middle, q1, q3] = [0.5, 0.25, 0.75].map((share) => round(quantile(numbers, share)));
  return { n: numbers.length, median: middle, interval: medianInterval(numbers), q1, q3 };
}

/**
 * @param {object[]} records in the order in which they were measured: `{ round, mode, connections, workload }` with `run`;
 * `{ round, mode, connections, steady }`; or `{ round, mode, error }` for a server that failed
 */
export function summariseRecords(records) {
  const cells = cellsOf(records.filter(({ run }) => run));
  const failed = records.filter(({ error }) => error);
  return [...cells.values()].map((runs) => {
    const [{ connections, workload }] = runs;
    const steady = records.filter((one) => one.connections === connections && one.steady);
    const modes = summariseModes(runs, steady, failed);
    return { connections, workload, modes, comparison: compareAgents(runs), goals: checkGoals(modes) };
  });
}

/** The measurements of each workload at each number of connections. */
function cellsOf(runs) {
  const cells = new Map();
  for (const record of runs) {
    const key = `${record.workload} ${record.connections}`;
    cells.set(key, [...(cells.get(key) ?? []), record]);
  }
  return cells;
}

/** The measurements of one mode by their round. */
const byRound = (records, wanted) =>
  new Map(records.flatMap((record) => (record.mode === wanted ? [[record.round, record]] : [])));

/** `combine` of a value of two modes in the same round. */
function pairs(records, [first, second], valueOf, combine) {
  const others = byRound(records, second);
  return [...byRound(records, first)].flatMap(([round, record]) => {
    const [value, other] = [valueOf(record), others.has(round) ? valueOf(others.get(round)) : null];
    return isMeasured(value) && isMeasured(other) ? [combine(value, other)] : [];
  });
}

const fieldOf =
  (field) =>
  ({ run }) =>
    run[field];
const ratio = (value, other) => value / other;
const difference = (value, other) => value - other;

function summariseModes(runs, steady, failed) {
  const modes = [...new Set(runs.map(({ mode }) => mode))];
  return Object.fromEntries(
    modes.map((mode) => {
      const list = [...byRound(runs, mode).values()];
      const errors = failed.filter((one) => one.mode === mode).map(({ error }) => error);
      const medianOf = (field) => median(list.map(fieldOf(field)).filter(isMeasured));
      const withBare = (field, combine) => spread(pairs(runs, [mode, 'bare'], fieldOf(field), combine));
      return [
        mode,
        {
          n: list.length,
          ...(errors.length > 0 && { failures: errors.length, error: errors.at(-1) }),
          cpuUsPerMessage: medianOf('cpuUsPerMessage'),
          cpuRatio: withBare('cpuUsPerMessage', ratio),
          p99Ms: medianOf('p99Ms'),
          p99Ratio: withBare('p99Ms', ratio),
          rssMb: medianOf('rssMb'),
          addedRssMb: withBare('rssMb', difference),
          heapMb: medianOf('heapMb'),
          addedHeapMb: withBare('heapMb', difference),
          ...summariseSteadyState(steady, mode),
        },
      ];
    }),
  );
}

/**
 * The CPU ratio of each mode over all measurements of a round, as their geometric mean: a single measurement takes about a
 * second and varies by 15 %, which hides a cost of a few percent.
 */
export function summariseTogether(records) {
  const runs = records.filter(({ run }) => run);
  const cells = [...cellsOf(runs).values()];
  const modes = [...new Set(runs.map(({ mode }) => mode))];
  return Object.fromEntries(modes.map((mode) => [mode, spread(meanRatios(cells, mode))]));
}

/** One ratio for each round that has all measurements. */
function meanRatios(cells, mode) {
  const logarithms = new Map();
  for (const runs of cells) {
    const bare = byRound(runs, 'bare');
    for (const [round, { run }] of byRound(runs, mode)) {
      if (!bare.has(round)) continue;
      const cpuRatio = run.cpuUsPerMessage / bare.get(round).run.cpuUsPerMessage;
      logarithms.set(round, [...(logarithms.get(round) ?? []), Math.log(cpuRatio)]);
    }
  }
  return [...logarithms.values()]
    .filter(({ length }) => length === cells.length)
    .map((ofRound) => Math.exp(ofRound.reduce((sum, each) => sum + each, 0) / ofRound.length));
}

/** Measured with the largest number of connections only. A sample is taken once in 15 s by default. */
function summariseSteadyState(steady, mode) {
  const added = (field) =>
    spread(pairs(steady, [mode, 'bare'], (record) => record.steady[field], difference));
  return {
    addedBytesPerConnection: added('bytesPerConnection'),
    addedMsPerSample: added('idleMsPerSample'),
    addedSteadyHeapMb: added('heapMb'),
    addedSteadyRssMb: added('rssMb'),
  };
}

/** CPU, p99 and RSS of our agent divided by those of another agent, in the same round. */
function compareAgents(runs) {
  const present = OTHER_AGENTS.filter((name) => byRound(runs, name).size > 0);
  return Object.fromEntries(
    present.map((name) => {
      const ratioTo = (field) => spread(pairs(runs, ['agent', name], fieldOf(field), ratio));
      const addedUs = (mode) => median(pairs(runs, [mode, 'bare'], fieldOf('cpuUsPerMessage'), difference));
      return [
        name,
        {
          cpuRatio: ratioTo('cpuUsPerMessage'),
          p99Ratio: ratioTo('p99Ms'),
          rssRatio: ratioTo('rssMb'),
          addedUsPerMessage: { agent: addedUs('agent'), [name]: addedUs(name) },
        },
      ];
    }),
  );
}

/** The control's spread reaches to the third quartile of its ratios. Null where the runs that decide are missing. */
function checkGoals({ control, agent }) {
  if (!agent?.cpuRatio || !control?.cpuRatio) return null;
  const { cpuRatio, addedBytesPerConnection: bytes } = agent;
  const isCpuWithinControl = cpuRatio.median <= control.cpuRatio.q3;
  const isCpuBelowGoal = cpuRatio.median <= GOALS.cpuRatio;
  return {
    isCpuWithinControl,
    isCpuBelowGoal,
    isCpuMet: isCpuWithinControl && isCpuBelowGoal,
    /** With the confidence of the interval the ratio is not above the goal. */
    isCpuCertain: cpuRatio.interval !== null && cpuRatio.interval.high <= GOALS.cpuRatio,
    areBytesMet: bytes === null ? null : bytes.median <= GOALS.bytesPerConnection,
  };
}

const withInterval = (value) =>
  value &&
  `${value.median}${value.interval ? ` [${value.interval.low}, ${value.interval.high}]` : ''} (${value.q1} to ${value.q3})`;

export function printSummary(results, together) {
  console.log('Ratios and additions to `bare` of the same round: median [95 % interval] (quartiles)');
  for (const { connections, workload, modes, comparison, goals } of results) {
    console.log(`${workload}, ${connections} connections`);
    console.table(
      Object.fromEntries(
        Object.entries(modes).map(([mode, row]) => [
          mode,
          {
            n: row.n,
            'CPU us': row.cpuUsPerMessage,
            'CPU ratio': withInterval(row.cpuRatio),
            'p99 ms': row.p99Ms,
            'p99 ratio': withInterval(row.p99Ratio),
            'RSS MB': row.rssMb,
            'heap MB': row.heapMb,
            'heap added': withInterval(row.addedHeapMb),
            'bytes a connection added': withInterval(row.addedBytesPerConnection),
            'ms a sample': withInterval(row.addedMsPerSample),
          },
        ]),
      ),
    );
    for (const [mode, { failures, error }] of Object.entries(modes))
      if (error) console.log(`${mode} failed ${failures} times: ${error}`);
    for (const [name, row] of Object.entries(comparison)) {
      const { agent, [name]: other } = row.addedUsPerMessage;
      console.log(
        `agent beside ${name}: CPU ${row.cpuRatio?.median}, p99 ${row.p99Ratio?.median ?? '-'}, RSS ${row.rssRatio?.median} of it; ` +
          `added per message: ${agent} us, ${name} ${other} us`,
      );
    }
    if (goals !== null) console.log(goalLine(modes, goals));
  }
  console.log('CPU ratio over all measurements of a round together');
  for (const [mode, row] of Object.entries(together))
    console.log(`${mode}: ${withInterval(row)}, n ${row?.n}`);
}

function goalLine({ control, agent }, goals) {
  const yes = (answer) => (answer ? 'yes' : 'no');
  const { q1, q3 } = control.cpuRatio;
  const bytes = agent.addedBytesPerConnection;
  const parts = [
    `CPU ${agent.cpuRatio.median} within the control's ${q1} to ${q3}: ${yes(goals.isCpuWithinControl)}`,
    `at most ${GOALS.cpuRatio}: ${yes(goals.isCpuBelowGoal)}${goals.isCpuCertain ? ' (with its interval)' : ''}`,
    ...(bytes === null
      ? []
      : [`${bytes.median} of ${GOALS.bytesPerConnection} bytes a connection: ${yes(goals.areBytesMet)}`]),
  ];
  return `goals: ${parts.join('; ')}`;
}
