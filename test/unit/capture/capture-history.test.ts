import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureHistory } from '../../../src/capture/capture-history.ts';
import type { CaptureCost, LearnedCost } from '../../../src/types/index.ts';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-history-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const PREDICTED: CaptureCost = { nodes: 100_000, pauseMs: 10, cpuMs: 400, rssBytes: 5e7, fileBytes: 1e7 };
const learned = (nodes: number): LearnedCost => ({
  nodes,
  smallObjectBytes: 4e6,
  residentBytes: 6e7,
  pauseMs: 9,
  cpuMs: 300,
  fileBytes: 8e6,
  rssGrowthBytes: 4e7,
});

const historyOf = (folder: string | null): CaptureHistory =>
  new CaptureHistory(folder, { wallMs: () => 1_000 });

test('the next process of the directory knows the costs', () => {
  const first = historyOf(dir);
  first.addForked(learned(90_000), PREDICTED);
  first.addInProcess(learned(91_000));
  const second = historyOf(dir);
  expect(second.learned).toEqual({ fork: learned(90_000), inprocess: learned(91_000) });
  expect(statSync(join(dir, 'captures.json')).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir)).toEqual(['captures.json']);
});

test.each([
  ['far fewer', 5_000],
  ['far more', 250_000],
])('a first forked snapshot with %s nodes than expected switches the fork off', (_, nodes) => {
  const history = historyOf(dir);
  history.addForked(learned(nodes), PREDICTED);
  const reason = `its first forked snapshot had ${nodes} nodes, about 100000 were expected`;
  const expected = `${reason}; delete ${join(dir, 'captures.json')} to try again`;
  expect(history.forkOffBecause).toBe(expected);
  expect(historyOf(dir).forkOffBecause).toBe(expected);
});

test('a later snapshot may have any number of nodes', () => {
  const history = historyOf(null);
  history.addForked(learned(90_000), PREDICTED);
  history.addForked(learned(900_000), PREDICTED);
  expect(history.forkOffBecause).toBeNull();
  expect(history.learned.fork?.nodes).toBe(900_000);
});

test('one long pause does not count in full, a second one does', () => {
  const history = historyOf(null);
  const delayed = { ...learned(90_000), pauseMs: 453 };
  history.addForked(delayed, PREDICTED);
  expect(history.learned.fork?.pauseMs).toBe(40);
  history.addForked(delayed, { ...PREDICTED, pauseMs: 40 });
  history.addForked(delayed, { ...PREDICTED, pauseMs: 160 });
  expect(history.learned.fork?.pauseMs).toBe(453);
});

test('a long pause counts for half after an hour, also in the next process', () => {
  let wallMs = 1_000;
  const history = new CaptureHistory(dir, { wallMs: () => wallMs });
  history.addForked({ ...learned(90_000), pauseMs: 40 }, PREDICTED);
  expect(history.learned.fork?.pauseMs).toBe(40);
  wallMs += 3_600_000;
  expect(history.learned.fork?.pauseMs).toBe(20);
  history.addInProcess(learned(91_000));
  expect(new CaptureHistory(dir, { wallMs: () => wallMs }).learned.fork?.pauseMs).toBe(20);
});

test('two crashes in a row switch the fork off, two with a success between them do not', () => {
  const history = historyOf(null);
  history.addCrash('signal 11');
  history.addForked(learned(90_000), PREDICTED);
  history.addCrash('signal 11');
  expect(history.forkOffBecause).toBeNull();
  history.addCrash('signal 11');
  expect(history.forkOffBecause).toBe('2 forked captures in a row failed: signal 11');
});

test('another version of Node starts anew, and so does a damaged file', () => {
  const history = historyOf(dir);
  history.addCrash('signal 11');
  history.addCrash('signal 11');
  const file = join(dir, 'captures.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace(process.version, 'v19.0.0'));
  expect(historyOf(dir).forkOffBecause).toBeNull();
  for (const text of ['{', 'null', '[]', '{"node":1}']) {
    writeFileSync(file, text);
    expect(historyOf(dir).learned).toEqual({ fork: null, inprocess: null });
  }
});

test('a directory that does not exist is no error', () => {
  const history = historyOf(join(dir, 'none'));
  history.addInProcess(learned(1));
  expect(history.learned.inprocess?.nodes).toBe(1);
});
