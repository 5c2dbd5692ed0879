import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planRemoval, removeExpired, type KeptFolder } from '../../../src/deliver/retention.ts';

const DAY_MS = 24 * 3_600_000;
const NOW = Date.UTC(2026, 10, 28);
const NONE = new Set<string>();

const folderOf = (name: string, ageDays: number, more: Partial<KeptFolder> = {}): KeptFolder => ({
  path: name,
  content: 'report',
  writtenMs: NOW - ageDays * DAY_MS,
  fingerprint: null,
  files: [],
  snapshots: [],
  ...more,
});
const reportsOf = (fingerprint: string | null, count: number, ageDays: number): KeptFolder[] =>
  Array.from({ length: count }, (_, n) =>
    folderOf(`${fingerprint} ${n}`, ageDays - n * 0.01, { fingerprint }),
  );
const snapshotOf = (path: string, ageDays: number, bytes = 1): KeptFolder['snapshots'][number] => ({
  path,
  bytes,
  writtenMs: NOW - ageDays * DAY_MS,
});
const removedFolders = (folders: KeptFolder[]): string[] =>
  planRemoval(folders, NOW).folders.map(({ path }) => path);

describe('the plan', () => {
  test('200 reports of the last 30 days stay', () => {
    expect(planRemoval(reportsOf('a', 200, 29), NOW)).toEqual({ folders: [], snapshots: [] });
  });

  test('after 30 days the first and the last report of a fingerprint stay', () => {
    expect(removedFolders([...reportsOf('a', 4, 40), ...reportsOf(null, 1, 40)])).toEqual(['a 1', 'a 2']);
  });

  test('of more than 200 the oldest between the first and the last of a fingerprint go', () => {
    expect(removedFolders([...reportsOf('a', 2, 20), ...reportsOf('b', 203, 10)])).toEqual([
      'b 1',
      'b 2',
      'b 3',
      'b 4',
      'b 5',
    ]);
  });

  test('more than 200 fingerprints: the oldest go', () => {
    const reports = Array.from({ length: 205 }, (_, n) =>
      folderOf(`${n}`, 20 - n * 0.01, { fingerprint: `f${n}` }),
    );
    expect(removedFolders(reports)).toEqual(['0', '1', '2', '3', '4']);
  });

  test('what was written within a day stays, however much it is', () => {
    const reports = Array.from({ length: 500 }, (_, n) => folderOf(`${n}`, 0.5, { fingerprint: 'a' }));
    const snapshots = Array.from({ length: 500 }, (_, n) => snapshotOf(`${n}`, 0.5, 1e9));
    expect(planRemoval([...reports, folderOf('s', 0.5, { snapshots })], NOW)).toEqual({
      folders: [],
      snapshots: [],
    });
  });

  test('of ended processes 200 stay for 30 days', () => {
    const processes = Array.from({ length: 202 }, (_, n) =>
      folderOf(`${n}`, 20 - n * 0.01, { content: 'process' }),
    );
    expect(removedFolders([...processes, folderOf('old', 31, { content: 'process' })])).toEqual([
      'old',
      '0',
      '1',
    ]);
  });

  test.each([
    ['100 files', Array.from({ length: 103 }, (_, n) => snapshotOf(`${n}`, 20 - n * 0.01)), ['0', '1', '2']],
    ['2 GiB', [20, 19, 18].map((age) => snapshotOf(`${age}`, age, 900 * 1024 ** 2)), ['20']],
    ['30 days', [snapshotOf('old', 31), snapshotOf('new', 29)], ['old']],
  ])('of the snapshots those within %s stay', (_, snapshots, removed) => {
    const plan = planRemoval([folderOf('snapshots', 20, { content: 'snapshots', snapshots })], NOW);
    expect(plan.snapshots.map(({ path }) => path)).toEqual(removed);
  });
});

describe('in a directory', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-retention-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const write = (path: string, text = '', ageDays = 40): void => {
    const file = join(dir, path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, text);
    utimesSync(file, new Date(NOW - ageDays * DAY_MS), new Date(NOW - ageDays * DAY_MS));
  };
  const report = (ageDays: number): [string, number] => ['{"alert":{"fingerprint":"f"}}', ageDays];

  test('old files of the agent go, with their folders; the others stay', async () => {
    write('a/report.json', ...report(50));
    write('b/report.json', ...report(45));
    write('b/report.html');
    write('b/report.txt.77.tmp');
    write('b/heap-1-x.heapsnapshot.gz');
    write('b/.raw/.wsguard-0a.77.tmp');
    write('c/report.json', ...report(40));
    write('chat-77-x/open-alerts.json');
    write('chat-77-x/last-minute.ndjson');
    write('snapshots/heap-1-x.heapsnapshot');
    write('mixed/report.json', ...report(44));
    write('mixed/notes.md');
    write('invoices/.invoice-draft.99999.tmp');
    write('invoices/report.pdf');
    write('report.json');
    expect(await removeExpired(dir, NONE, NOW)).toBe(8);
    expect(readdirSync(dir).toSorted()).toEqual([
      'a',
      'b',
      'c',
      'invoices',
      'mixed',
      'report.json',
      'snapshots',
    ]);
    expect(readdirSync(join(dir, 'invoices')).toSorted()).toEqual(['.invoice-draft.99999.tmp', 'report.pdf']);
    expect(readdirSync(join(dir, 'mixed'))).toEqual(['notes.md']);
    // The raw snapshot of a living process may be there: `sweepLeftovers` decides about it.
    expect(readdirSync(join(dir, 'b'))).toEqual(['.raw']);
  });

  test('open alerts stay', async () => {
    for (const [index, name] of ['a', 'b', 'c'].entries())
      write(`${name}/report.json`, ...report(50 - index));
    expect(await removeExpired(dir, new Set(['b']), NOW)).toBe(0);
  });

  test('no link is followed', async () => {
    write('elsewhere/open-alerts.json', '', 0);
    const target = mkdtempSync(join(tmpdir(), 'wsguard-target-'));
    writeFileSync(join(target, 'open-alerts.json'), '');
    utimesSync(join(target, 'open-alerts.json'), new Date(0), new Date(0));
    symlinkSync(target, join(dir, 'link'));
    symlinkSync(join(target, 'open-alerts.json'), join(dir, 'elsewhere', 'owner.json'));
    expect(await removeExpired(dir, NONE, NOW)).toBe(0);
    expect(existsSync(join(target, 'open-alerts.json'))).toBe(true);
    rmSync(target, { recursive: true });
  });

  test('a directory that is not there has nothing to remove', async () => {
    expect(await removeExpired(join(dir, 'none'), NONE, NOW)).toBe(0);
  });
});
