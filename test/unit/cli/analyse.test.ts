import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orderWarning, withServed } from '../../../src/cli/analyse.ts';
import { analysisText } from '../../../src/report/analysis-text.ts';
import type { Analysis, ReportPoint } from '../../../src/types/index.ts';
import { analysisOf, suspectOf } from '../../support/analyses.ts';

const START_MS = 1_795_337_700_000;
const folder = mkdtempSync(join(tmpdir(), 'wsguard-beside-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fileAt = (ms: number, into = folder): string => join(into, `heap-${START_MS + ms}-x.heapsnapshot`);
const point = (at: number, more: Partial<ReportPoint> = {}): ReportPoint => ({
  wallMs: START_MS + at * 15_000,
  heapUsedBytes: 1,
  floorBytes: 1,
  rssBytes: 1,
  externalBytes: 1,
  connections: 10,
  unanswering: 0,
  opened: 100 + at * 20,
  closed: 90 + at * 20,
  ...more,
});
const points = Array.from({ length: 30 }, (_, at) => point(at));

function served(report: unknown, files = [fileAt(30_000), fileAt(240_000)]): Analysis['served'] {
  writeFileSync(join(folder, 'report.json'), typeof report === 'string' ? report : JSON.stringify(report));
  return withServed(analysisOf(), files).served;
}
const report = (samples: unknown): unknown => ({ schema: 'wsguard.report/1', samples });

test('adds the connections that the agent counted between two snapshots of an alert', () => {
  expect(served(report(points))).toEqual({ opened: 280, closed: 280 });
});

test.each([
  ['a file of another schema', { schema: 'other/1', samples: points }],
  ['invalid JSON', '{"schema":'],
  ['no samples', report(null)],
  ['samples of an earlier agent', report(points.map((each) => ({ ...each, opened: undefined })))],
  ['samples that end before the second', report(points.slice(0, 8))],
  [
    'a process that restarted',
    report(points.map((each, at) => (at < 9 ? each : point(0, { wallMs: each.wallMs })))),
  ],
])('%s: adds nothing', (_, content) => {
  expect(served(content)).toBeUndefined();
});

test('other names, one file, a pipe, two folders: adds nothing', () => {
  const good = report(points);
  for (const files of [
    [join(folder, 'a.heapsnapshot'), join(folder, 'b.heapsnapshot')],
    [fileAt(30_000)],
    [fileAt(30_000), '-'],
    [fileAt(30_000), fileAt(240_000, tmpdir())],
  ])
    expect(served(good, files)).toBeUndefined();
});

test('the text shows the counts, also per suspect, instead of the note about missing counts', () => {
  const suspects = [suspectOf({ growth: { objects: 300, bytes: 1 } })];
  const counts = { open: 10, closed: 0, before: { open: 10, closed: 0 } };
  const since = { opened: 10, openedAndClosed: 0, closed: 0, released: 10 };
  const analysis = analysisOf({ suspects, connections: { ...counts, since } });
  const text = analysisText({ ...analysis, served: { opened: 290, closed: 280 } });
  expect(text).toContain('the agent counted 290 connections opened and 280 closed');
  expect(text).toContain(
    '+300 entries: 1.03 for each of the 290 connections that the agent saw open meanwhile',
  );
  expect(text).not.toContain('in neither');
  expect(analysisText(analysis)).toContain(
    'were freed between the snapshots are in neither and are not counted',
  );
});

test('snapshots of the agent in the wrong order get a warning, other names none', () => {
  const [first, second] = [fileAt(0), fileAt(60_000)];
  expect(orderWarning([second, first])).toBe(
    `by its name ${first} is older than ${second}; give snapshots in the order in which they were taken`,
  );
  for (const files of [
    [first],
    [first, second],
    [first, first],
    ['b.heapsnapshot', 'a.heapsnapshot'],
    [second, '-'],
  ])
    expect(orderWarning(files)).toBeNull();
});
