import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  diskFreeBytes,
  listSnapshots,
  refusedDirectory,
  safeLabel,
  sweepLeftovers,
  temporaryName,
  unpackedBytes,
  unusedName,
  snapshotsOfDay,
} from '../../../src/capture/snapshot-files.ts';
import { makePrivateFolder, privateFolderIn } from '../../../src/core/folders.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-store-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test.each([
  ['after deploy', 'after-deploy'],
  ['../../etc/passwd', 'etc-passwd'],
  ['a..b', 'a.b'],
  ['.hidden.', 'hidden'],
  ['é\u0000', 'snapshot'],
  ['', 'snapshot'],
  ['x'.repeat(200), 'x'.repeat(60)],
])('label %j becomes %j', (label, safe) => {
  expect(safeLabel(label)).toBe(safe);
  expect(unusedName(dir, 1_700_000_000_000.4, label)).toBe(
    join(dir, `heap-1700000000000-${safe}.heapsnapshot`),
  );
});

test('lists snapshots by the time in their names, and no other file', () => {
  for (const name of ['heap-30-b.heapsnapshot', 'heap-4-a.heapsnapshot.gz', 'mine.heapsnapshot', 'x.json']) {
    writeFileSync(join(dir, name), name);
  }
  mkdirSync(join(dir, 'heap-1-dir.heapsnapshot'));
  expect(listSnapshots(dir).map(({ wallMs, bytes }) => [wallMs, bytes])).toEqual([
    [4, 24],
    [30, 22],
  ]);
  expect(listSnapshots(join(dir, 'none'))).toEqual([]);
});

test('removes old temporary files of dead processes here and one level below; those of living processes stay', () => {
  const dead = 2 ** 30;
  const below = join(dir, 'alert');
  mkdirSync(below);
  const raw = join(below, '.raw');
  mkdirSync(raw);
  const gone = [
    join(dir, `.heap-1-a.heapsnapshot.${dead}.tmp`),
    join(dir, `.wsguard-captures.json.${dead}.tmp`),
    join(below, `.wsguard-heap-1-b.heapsnapshot.${dead}.tmp`),
    join(raw, `.wsguard-0a1b.${dead}.tmp`),
  ];
  const kept = [
    temporaryName(join(dir, 'heap-2-c.heapsnapshot')),
    join(dir, `.wsguard-heap-1-x.${process.ppid}.tmp`),
    join(dir, `.invoice-draft.${dead}.tmp`),
    join(below, `.heap-of-invoices.${dead}.tmp`),
  ];
  for (const file of [...gone, ...kept]) writeFileSync(file, '');
  expect(sweepLeftovers(dir, Date.now())).toEqual([]);
  expect(sweepLeftovers(dir, Date.now() + 31 * 60_000)).toEqual(gone);
  expect(sweepLeftovers(join(dir, 'none'), 0)).toEqual([]);
});

test('the unpacked size of a gzip file is in its last four bytes', () => {
  const plain = join(dir, 'plain');
  writeFileSync(plain, Buffer.alloc(5000));
  writeFileSync(`${plain}.gz`, gzipSync(Buffer.alloc(5000)));
  expect(unpackedBytes(plain)).toBe(5000);
  expect(unpackedBytes(`${plain}.gz`)).toBe(5000);
});

test('free disk space is that of the nearest directory that exists', () => {
  // Other processes write to the same disk meanwhile.
  const share = diskFreeBytes(join(dir, 'not', 'yet'))! / diskFreeBytes(dir)!;
  expect(share).toBeGreaterThan(0.9);
  expect(share).toBeLessThan(1.1);
});

test('a name is unused when neither the file nor its gzipped form exists', () => {
  writeFileSync(unusedName(dir, 1000, 'a'), '');
  writeFileSync(`${unusedName(dir, 1000, 'a')}.gz`, '');
  expect(unusedName(dir, 1000, 'a')).toBe(join(dir, 'heap-1002-a.heapsnapshot'));
});

describe('a directory for snapshots', () => {
  test('may be private, readable by others, or not there yet', () => {
    expect(refusedDirectory(dir)).toBeNull();
    chmodSync(dir, 0o755);
    expect(refusedDirectory(dir)).toBeNull();
    expect(refusedDirectory(join(dir, 'none'))).toBeNull();
  });

  test('must not be writable for others', () => {
    chmodSync(dir, 0o777);
    expect(refusedDirectory(dir)).toBe(
      `${dir} is not safe for snapshots: other users can write to it (mode 0777)`,
    );
  });

  test('with a file snapshots-off takes none, at once', () => {
    writeFileSync(join(dir, 'snapshots-off'), '');
    expect(refusedDirectory(dir)).toBe(
      `snapshots are switched off by the file ${join(dir, 'snapshots-off')}`,
    );
  });

  test('the file also counts in the shared directory around the private folder', () => {
    chmodSync(dir, 0o1777);
    const folder = privateFolderIn(dir);
    makePrivateFolder(folder);
    expect(refusedDirectory(folder)).toBeNull();
    writeFileSync(join(dir, 'snapshots-off'), '');
    expect(refusedDirectory(folder)).toContain('switched off');
  });
});

test('counts the snapshots of a day in the directory and one level below', () => {
  const nowMs = 10_000_000_000;
  mkdirSync(join(dir, 'alert-1'));
  for (const [folder, ageMs] of [
    ['.', 100],
    ['alert-1', 200],
    ['alert-1', 90_000],
  ] as const)
    writeFileSync(join(dir, folder, `heap-${nowMs - ageMs}-1.heapsnapshot.gz`), '');
  expect(snapshotsOfDay(dir, nowMs, 1000)).toHaveLength(2);
  expect(snapshotsOfDay(dir, nowMs, 100_000)).toHaveLength(3);
  expect(snapshotsOfDay(join(dir, 'none'), nowMs, 1000)).toEqual([]);
});
