import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBlackBox } from '../../../src/deliver/black-box.ts';
import { claimDeadBoxes, claimOpenAlerts } from '../../../src/deliver/black-box-recovery.ts';
import { alertOf } from '../../support/alerts.ts';
import { IDENTITY } from '../../support/run.ts';
import { sampleOf } from '../../support/samples.ts';

let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-box-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** No process has this pid: Linux stops at 4,194,304. */
const gone = { ...IDENTITY, instance: 'gone', pid: 4_999_999 };
const next = { ...IDENTITY, instance: 'next', pid: process.pid };
const NOW = Date.UTC(2026, 10, 22, 3);

test('the box of a dead process is found once, with its samples in order and its open alerts', () => {
  const box = openBlackBox(dir, gone, NOW);
  for (let seq = 0; seq < 3; seq += 1) box.writeSample(sampleOf({ seq }));
  box.writeOpenAlerts([alertOf({ service: 'chat' })]);
  appendFileSync(join(dir, 'gone', 'box-0.ndjson'), '{"seq":3,"atMs":1,"mem');

  const [found] = claimDeadBoxes(dir, next, NOW);
  expect(found?.samples.map(({ seq }) => seq)).toEqual([0, 1, 2]);
  expect(found?.openAlerts).toHaveLength(1);
  expect(found?.owner.identity.pid).toBe(gone.pid);
  expect(claimDeadBoxes(dir, next, NOW)).toEqual([]);
});

test('a directory that the box makes is private and out of git; one that is there stays as it is', () => {
  const made = join(dir, 'new');
  openBlackBox(made, gone, NOW);
  expect(readFileSync(join(made, '.gitignore'), 'utf8')).toBe('*\n');
  expect(statSync(made).mode & 0o777).toBe(0o700);
  openBlackBox(dir, gone, NOW);
  expect(existsSync(join(dir, '.gitignore'))).toBe(false);
});

test('a living process keeps its box, another service does not see it', () => {
  openBlackBox(dir, { ...IDENTITY, instance: 'alive', pid: process.pid }, NOW).writeSample(sampleOf());
  openBlackBox(dir, { ...gone, service: 'other' }, NOW).writeSample(sampleOf());
  expect(claimDeadBoxes(dir, next, NOW)).toEqual([]);
});

test('a pid that is used again is not taken for the process that died', () => {
  openBlackBox(dir, { ...gone, pid: process.pid }, NOW).writeSample(sampleOf());
  const file = join(dir, 'gone', 'owner.json');
  const owner = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...owner, startTicks: '1' }));
  expect(claimDeadBoxes(dir, next, NOW)).toHaveLength(1);
});

test('beside another host a box that was just written is alive', () => {
  openBlackBox(dir, { ...gone, host: 'elsewhere' }, NOW).writeSample(sampleOf());
  const writtenMs = statSync(join(dir, 'gone', 'box-0.ndjson')).mtimeMs;
  expect(claimDeadBoxes(dir, next, writtenMs + 60_000)).toEqual([]);
  expect(claimDeadBoxes(dir, next, writtenMs + 10 * 60_000)).toHaveLength(1);
});

test('it stays bounded and keeps the newest', () => {
  const box = openBlackBox(dir, gone, NOW);
  for (let seq = 0; seq < 1_000; seq += 1) box.writeSample(sampleOf({ seq }));
  const [found] = claimDeadBoxes(dir, next, NOW);
  const kept = found?.samples.map(({ seq }) => seq) ?? [];
  expect(kept.length).toBeGreaterThan(120);
  expect(kept.length).toBeLessThanOrEqual(240);
  expect(kept.at(-1)).toBe(999);
  expect(kept[0]).toBe(1_000 - kept.length);
});

test('after a goodbye there is no death, and open alerts are handed on', () => {
  const box = openBlackBox(dir, gone, NOW);
  box.writeSample(sampleOf());
  box.writeOpenAlerts([alertOf({ service: 'chat' })]);
  box.close();
  expect(claimDeadBoxes(dir, next, NOW)).toEqual([]);
  expect(claimOpenAlerts(dir, next)).toHaveLength(1);
  expect(claimOpenAlerts(dir, next)).toEqual([]);
});

test('files are private, and damaged ones are no box', () => {
  openBlackBox(dir, gone, NOW).writeSample(sampleOf());
  for (const name of readdirSync(join(dir, 'gone')))
    expect(statSync(join(dir, 'gone', name)).mode & 0o077).toBe(0);
  writeFileSync(join(dir, 'gone', 'owner.json'), '{');
  expect(claimDeadBoxes(dir, next, NOW)).toEqual([]);
  expect(claimDeadBoxes(join(dir, 'absent'), next, NOW)).toEqual([]);
  expect(existsSync(join(dir, 'gone', 'owner.json'))).toBe(true);
});

test.each([
  'null',
  '{}',
  '"text"',
  '[null, 1, {}]',
  JSON.stringify([{ ...alertOf(), evidence: null }]),
  JSON.stringify([{ ...alertOf(), also: [null] }]),
  JSON.stringify([{ ...alertOf(), id: '../../elsewhere' }]),
  JSON.stringify([{ ...alertOf(), kind: 'constructor' }]),
])('what is no alert of ours is not continued: %s', (text) => {
  const alert = alertOf();
  openBlackBox(dir, { ...gone, service: alert.service }, NOW).writeSample(sampleOf());
  writeFileSync(join(dir, 'gone', 'open-alerts.json'), text);
  const [found] = claimDeadBoxes(dir, { ...next, service: alert.service }, NOW);
  expect(found?.samples).toHaveLength(1);
  expect(found?.openAlerts).toEqual([]);
});

test('samples of another version, without what a death is judged by, are left out', () => {
  openBlackBox(dir, gone, NOW).writeSample(sampleOf({ seq: 7 }));
  const { limits: _, ...other } = sampleOf({ seq: 8 });
  for (const line of [other, null, { atMs: 1, memory: {} }])
    appendFileSync(join(dir, 'gone', 'box-0.ndjson'), `${JSON.stringify(line)}\n`);
  const [found] = claimDeadBoxes(dir, next, NOW);
  expect(found?.samples.map(({ seq }) => seq)).toEqual([7]);
});
