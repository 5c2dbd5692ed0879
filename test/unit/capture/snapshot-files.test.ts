import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  diskFreeBytes,
  listSnapshots,
  sanitiseLabel,
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
  expect(sanitiseLabel(label)).toBe(safe);
  expect(snapshotName(1_700_000_000_000.4, label)).toBe(`heap-1700000000000-${safe}.heapsnapshot`);
});

test('snapshots are listed by the time in their names, and nothing else is', () => {
  for (const name of ['heap-30-b.heapsnapshot', 'heap-4-a.heapsnapshot.gz', 'mine.heapsnapshot', 'x.json']) {
    writeFileSync(join(dir, name), name);
  }
  mkdirSync(join(dir, 'heap-1-dir.heapsnapshot'));
  expect(listSnapshots(dir).map(({ atMs, bytes }) => [atMs, bytes])).toEqual([
    [4, 24],
    [30, 22],
  ]);
  expect(listSnapshots(join(dir, 'none'))).toEqual([]);
});

test('leftovers of dead processes go when they are old, here and one level below; work in progress stays', () => {
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

test('the unpacked size of gzip is in its last bytes', () => {
  const plain = join(dir, 'plain');
  writeFileSync(plain, Buffer.alloc(5000));
  writeFileSync(`${plain}.gz`, gzipSync(Buffer.alloc(5000)));
  expect(unpackedBytes(plain)).toBe(5000);
  expect(unpackedBytes(`${plain}.gz`)).toBe(5000);
});

test('disk space is that of the nearest directory there is', () => {
  // Others write to the same disk meanwhile.
  const share = diskFreeBytes(join(dir, 'not', 'yet'))! / diskFreeBytes(dir)!;
  expect(share).toBeGreaterThan(0.9);
  expect(share).toBeLessThan(1.1);
});
