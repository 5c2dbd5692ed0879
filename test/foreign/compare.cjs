'use strict';
// Compares the output of a test suite without and with the agent: counts of passes and failures, exit code, stdout lines.

/** Text that no two runs have in common: durations, process ids, ports of a URL. */
const VARIABLE = [
  [/ ?\(\d+(?:\.\d+)?\s?(?:ms|s|m)\)/g, ''],
  [/\b(duration_ms:?) [\d.]+/g, '$1'],
  [/\bduration_ms=[\d.]+/g, ''],
  [/\b\d+(?:\.\d+)?\s?m?s\b/g, '<time>'],
  [/\(node:\d+\)/g, '(node)'],
  [/\b(localhost|127\.0\.0\.1|\[::1\]):\d{4,5}\b/g, '$1:<port>'],
];
/** A failed test of mocha begins with its number among the failures. */
const FAILURE_NUMBER = /^(\s*)\d+\) /;
const AGENT_LINE = /"name":"wsguard"/;
const AGENT_START = /"name":"wsguard".*"msg":"watching /;

/** Summary lines of mocha, node:test, tape, Jest, tap and Vitest. */
const COUNTS = {
  passed: [/^\s*(\d+) passing\b/m, /^# pass +(\d+)/m, /^ℹ pass (\d+)/m, /^ *Tests:? .*?(\d+) passed/m],
  failed: [/^\s*(\d+) failing\b/m, /^# fail +(\d+)/m, /^ℹ fail (\d+)/m, /^ *Tests:? .*?(\d+) failed/m],
};

/** The sum over all summaries in the output; null when there is none. */
function countOf(output, patterns) {
  for (const pattern of patterns) {
    const found = [...output.matchAll(new RegExp(pattern, 'gm'))];
    if (found.length > 0) return found.reduce((sum, [, count]) => sum + Number(count), 0);
  }
  return null;
}

/** The lines of the output with the number of times that each occurs, without the lines of the agent. */
function countLines(stdout) {
  const lines = new Map();
  for (const written of stdout.split('\n')) {
    if (AGENT_LINE.test(written) || written.trim() === '') continue;
    let line = written.replace(FAILURE_NUMBER, '$1failed: ').trimEnd();
    for (const [pattern, text] of VARIABLE) line = line.replace(pattern, text);
    lines.set(line, (lines.get(line) ?? 0) + 1);
  }
  return lines;
}

/** @param {{ code: number | null, signal: string | null, isHung: boolean, stdout: string, stderr: string }} run */
function summarise(run) {
  const { code, signal, isHung, stdout, stderr } = run;
  const passed = countOf(stdout, COUNTS.passed);
  return {
    end: isHung ? 'hangs' : (signal ?? `exit code ${code}`),
    passed,
    // mocha prints no line for zero failures.
    failed: countOf(stdout, COUNTS.failed) ?? (passed === null ? null : 0),
    lines: countLines(stdout),
    agents: `${stdout}\n${stderr}`.split('\n').filter((line) => AGENT_START.test(line)).length,
  };
}

/** Lines that differ only in their numbers have the same shape. */
const shapeOf = (line) => line.replace(/\d+/g, '<n>');

/** The shapes of lines whose numbers the suite changes by itself: the runs without the agent do not agree about them. */
function unstableShapes(bareRuns) {
  const lines = new Set(bareRuns.flatMap((run) => [...run.lines.keys()]));
  const isStable = (line) => bareRuns.every((run) => run.lines.get(line) === bareRuns[0].lines.get(line));
  return new Set([...lines].filter((line) => /\d/.test(line) && !isStable(line)).map(shapeOf));
}

/** The named values of a summary that are compared. Lines of an unstable shape are counted together. */
function readings({ end, passed, failed, lines }, unstable) {
  const values = new Map([
    ['end', end],
    ['passed', passed],
    ['failed', failed],
  ]);
  for (const [line, count] of lines) {
    const name = `stdout: ${(unstable.has(shapeOf(line)) ? shapeOf(line) : line).trim()}`;
    values.set(name, (values.get(name) ?? 0) + count);
  }
  return values;
}

/**
 * The differences that every pair of runs has: no run without the agent gave a value that a run with the agent gave.
 * A test that depends on the load of the machine gives both values both ways, and is no difference.
 */
function differences(bareRuns, agentRuns) {
  const unstable = unstableShapes(bareRuns);
  const bare = bareRuns.map((run) => readings(run, unstable));
  const agent = agentRuns.map((run) => readings(run, unstable));
  const names = new Set([...bare, ...agent].flatMap((run) => [...run.keys()]));
  const missing = (name) => (name.startsWith('stdout: ') ? 0 : null);
  return [...names].flatMap((name) => {
    const valuesOf = (runs) => [...new Set(runs.map((run) => run.get(name) ?? missing(name)))];
    const [without, withAgent] = [valuesOf(bare), valuesOf(agent)];
    if (without.some((value) => withAgent.includes(value))) return [];
    return [{ name, bare: without.join(' or '), agent: withAgent.join(' or ') }];
  });
}

module.exports = { differences, summarise };
