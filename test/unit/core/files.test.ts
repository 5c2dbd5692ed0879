import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSmallRegularFile } from '../../../src/core/files.ts';
import { onLinux } from '../../support/platform.ts';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'wsguard-files-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const write = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

test('reads a file up to its limit, through a symbolic link too', () => {
  const text = 'ü'.repeat(100_000);
  const file = write('file', text);
  symlinkSync(file, join(dir, 'link'));
  expect(readSmallRegularFile(file, 200_000)).toBe(text);
  expect(readSmallRegularFile(join(dir, 'link'), 1024 ** 2)).toBe(text);
  expect(readSmallRegularFile(write('empty', ''), 0)).toBe('');
});

test('refuses a file over its limit and names the limit', () => {
  expect(() => readSmallRegularFile(write('file', 'x'.repeat(2049)), 2048)).toThrow('larger than 2.0 KiB');
});

test('passes on the error of a missing file and refuses a directory', () => {
  expect(() => readSmallRegularFile(join(dir, 'none'), 10)).toThrow(
    expect.objectContaining({ code: 'ENOENT' }),
  );
  expect(() => readSmallRegularFile(dir, 10)).toThrow('not a regular file');
});

onLinux('does not wait for the writer of a FIFO and does not read a device', () => {
  const fifo = join(dir, 'fifo');
  expect(spawnSync('mkfifo', [fifo]).status).toBe(0);
  expect(() => readSmallRegularFile(fifo, 10)).toThrow('not a regular file');
  expect(() => readSmallRegularFile('/dev/zero', 10)).toThrow('not a regular file');
});

onLinux('bounds the read of a file of /proc, which reports a size of 0', () => {
  expect(readSmallRegularFile('/proc/self/status', 64 * 1024)).toContain('VmRSS');
  expect(() => readSmallRegularFile('/proc/self/status', 100)).toThrow('larger than 100 B');
});
