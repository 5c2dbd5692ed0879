/** The comparison of a foreign test suite without and with the agent. */
interface Run {
  code: number | null;
  signal: string | null;
  isHung: boolean;
  stdout: string;
  stderr: string;
}
interface Summary {
  end: string;
  passed: number | null;
  failed: number | null;
  agents: number;
}
const { differences, summarise } = require('../../foreign/compare.cjs') as {
  summarise: (run: Run) => Summary;
  differences: (bare: Summary[], agent: Summary[]) => { name: string; bare: string; agent: string }[];
};

const START = '{"level":30,"name":"wsguard","msg":"watching service: http on port 80"}';
const summary = (stdout: string, more: Partial<Run> = {}): Summary =>
  summarise({ code: 0, signal: null, isHung: false, stdout, stderr: '', ...more });

test.each([
  ['mocha', '  ✔ sends\n  77 passing (31s)\n', 77, 0],
  ['mocha with failures', '  1) sends\n\n  76 passing (31s)\n  1 failing\n', 76, 1],
  ['node:test as TAP', 'ok 1 - sends\n# tests 2\n# pass 1\n# fail 1\n', 1, 1],
  ['node:test as text', '✔ sends (1.2ms)\nℹ pass 1\nℹ fail 0\n', 1, 0],
  ['Jest', 'Tests:       1 failed, 12 passed, 13 total\n', 12, 1],
  ['no summary', 'hello\n', null, null],
])('counts of %s', (_, stdout, passed, failed) => {
  expect(summary(stdout)).toMatchObject({ passed, failed, end: 'exit code 0' });
});

test('durations, process ids and lines of the agent are no difference', () => {
  const bare = summary('✔ sends (87ms)\n# (node:12) Warning\nduration_ms: 3.2\n2 passing (1s)\n');
  const agent = summary(`✔ sends\n# (node:99) Warning\nduration_ms: 99.9\n# ${START}\n2 passing (12s)\n`, {
    stderr: START,
  });
  expect(differences([bare], [agent])).toEqual([]);
  expect(agent.agents).toBe(2);
});

test('a test that fails, a line that is missing, an exit code and a hang are differences', () => {
  const bare = summary('  ✔ sends\nserved\n1 passing\n');
  const failing = summary('  1) sends\n0 passing\n1 failing\n', { code: 1 });
  expect(differences([bare], [failing])).toEqual([
    { name: 'end', bare: 'exit code 0', agent: 'exit code 1' },
    { name: 'passed', bare: '1', agent: '0' },
    { name: 'failed', bare: '0', agent: '1' },
    { name: 'stdout: ✔ sends', bare: '1', agent: '0' },
    { name: 'stdout: served', bare: '1', agent: '0' },
    { name: 'stdout: 1 passing', bare: '1', agent: '0' },
    { name: 'stdout: failed: sends', bare: '0', agent: '1' },
    { name: 'stdout: 0 passing', bare: '0', agent: '1' },
    { name: 'stdout: 1 failing', bare: '0', agent: '1' },
  ]);
  const hung = summary('  ✔ sends\nserved\n1 passing\n', { code: null, signal: 'SIGKILL', isHung: true });
  expect(differences([bare], [hung])).toEqual([{ name: 'end', bare: 'exit code 0', agent: 'hangs' }]);
});

test('a difference that also occurs without the agent does not count', () => {
  const passing = summary('✔ sends\n1 passing\n');
  const failing = summary('1) sends\n0 passing\n1 failing\n', { code: 1 });
  expect(differences([passing, failing], [failing, passing])).toEqual([]);
  expect(differences([passing, passing], [failing, passing])).toEqual([]);
  expect(differences([passing, passing], [failing, failing])).not.toEqual([]);
});

test('numbers that differ between two runs without the agent are not compared, the lines themselves are', () => {
  const run = (...counts: number[]): Summary =>
    summary(`${counts.map((count) => `# sent / received ${count} 0`).join('\n')}\n1 passing\n`);
  expect(differences([run(3, 391), run(7, 12)], [run(0, 0), run(0, 0)])).toEqual([]);
  expect(differences([run(3), run(3)], [run(0), run(0)])).not.toEqual([]);
  expect(differences([run(3, 391), run(7, 12)], [run(0), run(0)])).not.toEqual([]);
});
