import { closeSync, fstatSync, mkdtempSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSpillFile, spillUnavailableReason } from '../../../src/capture/spill-file.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-spill-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test('the file is writable for this user only and has no name', () => {
  const descriptor = openSpillFile(dir);
  try {
    writeSync(descriptor, 'memory');
    const { mode, size, nlink } = fstatSync(descriptor);
    expect({ mode: mode & 0o777, size, nlink }).toEqual({ mode: 0o600, size: 6, nlink: 0 });
    expect(readdirSync(dir)).toEqual([]);
  } finally {
    closeSync(descriptor);
  }
});

test('a folder that is missing throws with its code', () => {
  expect(() => openSpillFile(join(dir, 'missing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  expect(spillUnavailableReason(join(dir, 'missing'))).toContain('cannot be read');
});

test('a folder in memory is named', () => {
  expect(spillUnavailableReason('/dev/shm')).toBe('/dev/shm is in memory itself (tmpfs)');
});
