import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { failureFrom } from '../../../src/core/outcome.ts';
import { analysisRssBytes, childHeapMib, redactionRssBytes } from '../../../src/capture/memory-estimate.ts';
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

// Measured peaks: pairs of 18, 73, 225 and 678 MB together.
test.each([
  [[8.7e6, 9.5e6], 89e6],
  [[33.8e6, 39e6], 185e6],
  [[102.6e6, 122.5e6], 368e6],
  [[308e6, 370e6], 890e6],
])('an analysis of %j takes about what was measured', (sizes, peak) => {
  expect(analysisRssBytes(sizes) / peak).toBeGreaterThan(0.85);
  expect(analysisRssBytes(sizes) / peak).toBeLessThan(1.15);
  expect(childHeapMib(analysisRssBytes(sizes))).toBeGreaterThanOrEqual(96);
});

test('redaction takes little more than a process', () => {
  expect(redactionRssBytes(109e6)).toBeGreaterThan(88e6);
  expect(redactionRssBytes(109e6)).toBeLessThan(130e6);
});

test.each([
  ['EACCES', 'WSGUARD_CAPTURE_DENIED'],
  ['EROFS', 'WSGUARD_CAPTURE_DENIED'],
  ['ERR_ACCESS_DENIED', 'WSGUARD_CAPTURE_DENIED'],
  ['ENOSPC', 'WSGUARD_CAPTURE_DISK_FULL'],
  ['EDQUOT', 'WSGUARD_CAPTURE_DISK_FULL'],
  ['ENOTDIR', 'WSGUARD_CAPTURE_FAILED'],
  ['WSGUARD_SNAPSHOT_META', 'WSGUARD_SNAPSHOT_META'],
])('%s is %s', (code, ours) => {
  expect(failureFrom(Object.assign(new Error('why'), { code }))).toEqual({
    outcome: 'failed',
    code: ours,
    reason: 'why',
  });
});
