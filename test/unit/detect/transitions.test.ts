import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { replaySamples } from '../../../src/cli/replay.ts';
import { createTraceReader } from '../../../src/cli/trace-sample.ts';

const TRACES = join(__dirname, '..', '..', '..', 'fixtures', 'traces');
const MB = 1024 ** 2;

async function* samplesOf(id: string, memoryLimitBytes: number | null) {
  const lines = gunzipSync(readFileSync(join(TRACES, `${id}.csv.gz`)))
    .toString()
    .trimEnd()
    .split('\n');
  const read = createTraceReader(lines[0] ?? '', { signals: 'all', memoryLimitBytes });
  for (const line of lines.slice(1)) {
    const sample = read(line);
    if (sample !== null) yield sample;
  }
}

/**
 * An optimisation of the detectors must not change a digit of these results. Answers without evidence have no digits and
 * are left out. After a change that is meant to change verdicts, run
 * `npx jest --selectProjects unit --testPathPatterns unit/detect/transitions -u` and review the difference.
 */
test.each([
  ['H08', null],
  ['L01', null],
  ['L04', null],
  ['L05', null],
  ['L07', null],
  ['L10', null],
  ['L13', 220 * MB],
  ['L20', null],
])('%s: every transition and every last answer with evidence is as stored', async (id, memoryLimitBytes) => {
  const { alerts, answers, timeToLimit } = await replaySamples(samplesOf(id, memoryLimitBytes), 60);
  const numbers = (evidence: readonly { value: number }[]) => evidence.map(({ value }) => value).join(' ');
  const kinds = (also: readonly { kind: string }[]) => also.map(({ kind }) => kind).join(' ');
  expect([
    ...alerts.map(({ tMs, event, kind, severity, title, evidence, also, against }) =>
      [tMs, event, kind, severity, title, numbers(evidence), kinds(also), kinds(against)].join(' | '),
    ),
    ...answers
      .filter(({ evidence }) => evidence.length > 0)
      .map(({ detector, answer, evidence }) => [detector, answer, numbers(evidence)].join(' | ')),
    `time to limit | ${timeToLimit.length} | ${timeToLimit.at(-1)?.ms}`,
  ]).toMatchSnapshot();
});
