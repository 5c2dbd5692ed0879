import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  diskFreeBytes,
  listSnapshots,
  safeLabel,
  snapshotName,
  sweepLeftovers,
  temporaryName,
  unpackedBytes,
} from '../../../src/capture/snapshot-files.ts';

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
  expect(snapshotName(1_700_000_000_000.4, label)).toBe(`heap-1700000000000-${safe}.heapsnapshot`);
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
  const gone = [
    join(dir, `.heap-1-a.heapsnapshot.${dead}.tmp`),
    join(below, `.heap-1-b.heapsnapshot.${dead}.tmp`),
  ];
  const kept = [
    temporaryName(join(dir, 'heap-2-c.heapsnapshot')),
    join(dir, `.heap-1-x.${process.ppid}.tmp`),
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
