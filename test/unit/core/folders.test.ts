import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder, makePrivateFolder, removeFile, unsafeFolderReason } from '../../../src/core/folders.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wsguard-folders-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

test('creates a private folder and keeps it out of git; does not change an existing one', () => {
  const made = join(dir, 'a', 'b');
  makePrivateFolder(made);
  expect(statSync(made).mode & 0o777).toBe(0o700);
  expect(statSync(join(dir, 'a')).mode & 0o077).toBe(0);
  expect(readdirSync(made)).toEqual(['.gitignore']);
  makePrivateFolder(dir);
  expect(readdirSync(dir)).toEqual(['a']);
  expect(makeFolder(made)).toBe(false);
});

test('throws when a file is in its place or above it', () => {
  writeFileSync(join(dir, 'file'), '');
  for (const path of ['file', 'file/below']) {
    expect(() => makeFolder(join(dir, path))).toThrow(expect.objectContaining({ code: 'ENOTDIR' }));
  }
});

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('throws at once where Node would loop for ever', () => {
  expect(() => makeFolder('/proc/nowhere/below')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});

// When this fails, Node is fixed, and makeFolder may use `recursive`.
onLinux('Node loops for ever', () => {
  const code = "require('node:fs').mkdirSync('/proc/nowhere', { recursive: true })";
  const { signal } = spawnSync(process.execPath, ['-e', code], { timeout: 1_500, killSignal: 'SIGKILL' });
  expect(signal).toBe('SIGKILL');
});

test('removeFile returns true when the file is gone, also when it was missing before, and false when it stays', () => {
  const file = join(dir, 'file');
  writeFileSync(file, '');
  expect([removeFile(file), removeFile(file), removeFile(dir)]).toEqual([true, true, false]);
});

onLinux.each([0o777, 0o775, 0o1777, 0o702])(
  'a folder with mode %o is refused, because others can write to it',
  (mode) => {
    const folder = join(dir, 'shared');
    mkdirSync(folder);
    chmodSync(folder, mode);
    expect(() => makePrivateFolder(folder)).toThrow(expect.objectContaining({ code: 'WSGUARD_DIR_UNSAFE' }));
    expect(readdirSync(folder)).toEqual([]);
    chmodSync(folder, 0o755);
    expect(() => makePrivateFolder(folder)).not.toThrow();
  },
);

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot('a folder and a symbolic link of another user are refused', () => {
  const [folder, link] = [join(dir, 'theirs'), join(dir, 'link')];
  mkdirSync(folder);
  symlinkSync(folder, link);
  expect(unsafeFolderReason(link)).toBeNull();
  lchownSync(link, 65_534, 65_534);
  expect(unsafeFolderReason(link)).toBe('it is a symbolic link of user 65534');
  chownSync(folder, 65_534, 65_534);
  expect(unsafeFolderReason(folder)).toBe('it belongs to user 65534');
});

test('a path below a file has no owner, so it is not unsafe: writing there fails and is reported', () => {
  expect(unsafeFolderReason('/dev/null/wsguard')).toBeNull();
});
