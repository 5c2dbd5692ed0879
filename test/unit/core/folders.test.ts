import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder, makePrivateFolder } from '../../../src/core/folders.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-folders-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test('a folder is made private and kept out of git; one that is there is left as it is', () => {
  const made = join(dir, 'a', 'b');
  makePrivateFolder(made);
  expect(statSync(made).mode & 0o777).toBe(0o700);
  expect(statSync(join(dir, 'a')).mode & 0o077).toBe(0);
  expect(readdirSync(made)).toEqual(['.gitignore']);
  makePrivateFolder(dir);
  expect(readdirSync(dir)).toEqual(['a']);
  expect(makeFolder(made)).toBe(false);
});

test('a file in its place or above it is said', () => {
  writeFileSync(join(dir, 'file'), '');
  for (const path of ['file', 'file/below']) {
    expect(() => makeFolder(join(dir, path))).toThrow(expect.objectContaining({ code: 'ENOTDIR' }));
  }
});

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('where Node would try for ever the answer comes at once', () => {
  expect(() => makeFolder('/proc/nowhere/below')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});

// The day this fails, Node is mended and the loop of our own may go.
onLinux('Node does try for ever', () => {
  const code = "require('node:fs').mkdirSync('/proc/nowhere', { recursive: true })";
  const { signal } = spawnSync(process.execPath, ['-e', code], { timeout: 1_500, killSignal: 'SIGKILL' });
  expect(signal).toBe('SIGKILL');
});
