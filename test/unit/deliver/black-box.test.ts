import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBlackBox } from '../../../src/deliver/black-box.ts';
import { claimCrashRecords, claimOpenAlerts } from '../../../src/deliver/black-box-recovery.ts';
import { alertOf } from '../../support/alerts.ts';
import { IDENTITY } from '../../support/run.ts';
import { sampleOf } from '../../support/samples.ts';

let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-box-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** No process can have this pid: the maximum on Linux is 4,194,304. */
const killed = { ...IDENTITY, instance: 'killed', pid: 4_999_999 };
const next = { ...IDENTITY, instance: 'next', pid: process.pid };
const NOW = Date.UTC(2026, 10, 22, 3);

test('the box of a killed process is claimed once, with its samples in order and its open alerts', () => {
  const box = openBlackBox(dir, killed, NOW);
  for (let seq = 0; seq < 3; seq += 1) box.writeSample(sampleOf({ seq }));
  box.writeOpenAlerts([alertOf({ service: 'chat' })]);
  appendFileSync(join(dir, 'killed', 'box-0.ndjson'), '{"seq":3,"atMs":1,"mem');

  const [crash] = claimCrashRecords(dir, next, NOW);
  expect(crash?.samples.map(({ seq }) => seq)).toEqual([0, 1, 2]);
  expect(crash?.openAlerts).toHaveLength(1);
  expect(crash?.owner.identity.pid).toBe(killed.pid);
  expect(claimCrashRecords(dir, next, NOW)).toEqual([]);
});

const pointOf = (n: number) => ({
  wallMs: NOW + n * 250,
  rssBytes: 1e9 + n,
  heapUsedBytes: 5e8,
  externalBytes: 1e6,
  containerUsedBytes: null,
  containerOomKills: 0,
  pressureShare: 0.123456789,
});

test('the last minute keeps the newest 240 points in order, and a damaged line is left out', () => {
  const box = openBlackBox(dir, killed, NOW);
  for (let n = 0; n < 500; n += 1) box.writeMemoryPoint(pointOf(n));
  const file = join(dir, 'killed', 'last-minute.ndjson');
  const bytes = statSync(file).size;
  expect(bytes).toBe(240 * 320);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, `${text.slice(0, 20)}#${text.slice(21)}`);
  const points = claimCrashRecords(dir, next, NOW)[0]?.lastMinute ?? [];
  expect(points).toHaveLength(239);
  expect(points[0]).toEqual(pointOf(260));
  expect(points.at(-1)).toEqual(pointOf(499));
});

test('a new directory is private and ignored by git; an existing one keeps its mode', () => {
  const made = join(dir, 'new');
  openBlackBox(made, killed, NOW);
  expect(readFileSync(join(made, '.gitignore'), 'utf8')).toBe('*\n');
  expect(statSync(made).mode & 0o777).toBe(0o700);
  openBlackBox(dir, killed, NOW);
  expect(existsSync(join(dir, '.gitignore'))).toBe(false);
});

test('boxes of running processes and of other services are not claimed', () => {
  openBlackBox(dir, { ...IDENTITY, instance: 'alive', pid: process.pid }, NOW).writeSample(sampleOf());
  openBlackBox(dir, { ...killed, service: 'other' }, NOW).writeSample(sampleOf());
  expect(claimCrashRecords(dir, next, NOW)).toEqual([]);
});

test('a pid that was assigned again does not hide the crash', () => {
  openBlackBox(dir, { ...killed, pid: process.pid }, NOW).writeSample(sampleOf());
  const file = join(dir, 'killed', 'owner.json');
  const owner = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...owner, startTicks: '1' }));
  expect(claimCrashRecords(dir, next, NOW)).toHaveLength(1);
});

test('a box of another host counts as alive while it is being written', () => {
  openBlackBox(dir, { ...killed, host: 'elsewhere' }, NOW).writeSample(sampleOf());
  const writtenMs = statSync(join(dir, 'killed', 'box-0.ndjson')).mtimeMs;
  expect(claimCrashRecords(dir, next, writtenMs + 60_000)).toEqual([]);
  expect(claimCrashRecords(dir, next, writtenMs + 10 * 60_000)).toHaveLength(1);
});

test('the number of samples is bounded and the newest stay', () => {
  const box = openBlackBox(dir, killed, NOW);
  for (let seq = 0; seq < 1_000; seq += 1) box.writeSample(sampleOf({ seq }));
  const [crash] = claimCrashRecords(dir, next, NOW);
  const seqs = crash?.samples.map(({ seq }) => seq) ?? [];
  expect(seqs.length).toBeGreaterThan(120);
  expect(seqs.length).toBeLessThanOrEqual(240);
  expect(seqs.at(-1)).toBe(999);
  expect(seqs[0]).toBe(1_000 - seqs.length);
});

test('a segment that cannot be created is no longer written: its descriptor can belong to a socket', () => {
  const box = openBlackBox(dir, killed, NOW);
  for (let seq = 0; seq < 120; seq += 1) box.writeSample(sampleOf({ seq }));
  rmSync(join(dir, 'killed'), { recursive: true });
  for (let attempt = 0; attempt < 2; attempt += 1) {
    expect(() => box.writeSample(sampleOf({ seq: 120 }))).toThrow('ENOENT');
    // The descriptor of the closed segment has this number now.
    const file = join(dir, `other-${attempt}`);
    writeFileSync(file, '');
    const other = openSync(file, 'r+');
    expect(() => box.writeSample(sampleOf({ seq: 120 }))).toThrow('ENOENT');
    closeSync(other);
    expect(readFileSync(file, 'utf8')).toBe('');
  }
  mkdirSync(join(dir, 'killed'));
  box.writeSample(sampleOf({ seq: 121 }));
  expect(readdirSync(join(dir, 'killed'))).toEqual(['box-1.ndjson']);
  box.close();
});

test('after a regular exit there is no crash, and open alerts are claimed once', () => {
  const box = openBlackBox(dir, killed, NOW);
  box.writeSample(sampleOf());
  box.writeOpenAlerts([alertOf({ service: 'chat' })]);
  box.close();
  expect(claimCrashRecords(dir, next, NOW)).toEqual([]);
  expect(claimOpenAlerts(dir, next)).toHaveLength(1);
  expect(claimOpenAlerts(dir, next)).toEqual([]);
});

test('files are private, and a damaged owner file is skipped', () => {
  openBlackBox(dir, killed, NOW).writeSample(sampleOf());
  for (const name of readdirSync(join(dir, 'killed')))
    expect(statSync(join(dir, 'killed', name)).mode & 0o077).toBe(0);
  writeFileSync(join(dir, 'killed', 'owner.json'), '{');
  expect(claimCrashRecords(dir, next, NOW)).toEqual([]);
  expect(claimCrashRecords(join(dir, 'absent'), next, NOW)).toEqual([]);
  expect(existsSync(join(dir, 'killed', 'owner.json'))).toBe(true);
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
])('invalid open alerts are skipped: %s', (text) => {
  const alert = alertOf();
  openBlackBox(dir, { ...killed, service: alert.service }, NOW).writeSample(sampleOf());
  writeFileSync(join(dir, 'killed', 'open-alerts.json'), text);
  const [crash] = claimCrashRecords(dir, { ...next, service: alert.service }, NOW);
  expect(crash?.samples).toHaveLength(1);
  expect(crash?.openAlerts).toEqual([]);
});

test('incomplete samples of another version are skipped', () => {
  openBlackBox(dir, killed, NOW).writeSample(sampleOf({ seq: 7 }));
  const { limits: _, ...other } = sampleOf({ seq: 8 });
  for (const line of [other, null, { atMs: 1, memory: {} }])
    appendFileSync(join(dir, 'killed', 'box-0.ndjson'), `${JSON.stringify(line)}\n`);
  const [crash] = claimCrashRecords(dir, next, NOW);
  expect(crash?.samples.map(({ seq }) => seq)).toEqual([7]);
});

test('a death is found among any number of folders of alerts', () => {
  for (let n = 0; n < 300; n += 1) mkdirSync(join(dir, `alert-${n}`));
  openBlackBox(dir, { ...killed, instance: 'zz-killed' }, NOW).writeSample(sampleOf());
  expect(claimCrashRecords(dir, next, NOW)).toHaveLength(1);
});

test('the samples of one start are bounded; further boxes wait for the next start', () => {
  for (const name of ['a', 'b', 'c']) {
    openBlackBox(dir, { ...killed, instance: name }, NOW).writeSample(sampleOf());
    writeFileSync(
      join(dir, name, 'box-0.ndjson'),
      `${JSON.stringify(sampleOf())}\n${' '.repeat(3 * 1024 ** 2)}`,
    );
  }
  expect(claimCrashRecords(dir, next, NOW)).toHaveLength(2);
  expect(claimCrashRecords(dir, next, NOW)).toHaveLength(1);
  expect(readdirSync(dir)).toEqual([]);
});

test('a regular exit leaves no folder unless alerts are open', () => {
  openBlackBox(dir, killed, NOW).close();
  expect(readdirSync(dir)).toEqual([]);
  const box = openBlackBox(dir, killed, NOW);
  box.writeOpenAlerts([alertOf({ service: IDENTITY.service })]);
  box.close();
  expect(readdirSync(join(dir, 'killed'))).toEqual(['open-alerts.json']);
  expect(claimOpenAlerts(dir, next)).toHaveLength(1);
  expect(readdirSync(dir)).toEqual([]);
});
