import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createHiddenFile,
  makeFolder,
  makePrivateFolder,
  privateFolderIn,
  removeEmptyFolder,
  removeFile,
  replaceFile,
  sharedDirectoryOf,
  unsafeFolderReason,
} from '../../../src/core/folders.ts';
import { chooseFolder } from '../../../src/core/no-files.ts';
import { asRoot, onLinux } from '../../support/platform.ts';

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

test.each([0o177, 0o777])('under the umask %i every new folder is one that this user can use', (umask) => {
  const before = process.umask(umask);
  try {
    makePrivateFolder(join(dir, 'a', 'b'));
  } finally {
    process.umask(before);
  }
  for (const made of ['a', 'a/b']) expect(statSync(join(dir, made)).mode & 0o777).toBe(0o700);
});

test('throws when a file is in its place or above it', () => {
  writeFileSync(join(dir, 'file'), '');
  for (const path of ['file', 'file/below']) {
    expect(() => makeFolder(join(dir, path))).toThrow(expect.objectContaining({ code: 'ENOTDIR' }));
  }
});

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

describe('a directory that other users can write to', () => {
  const ownFolder = (shared: string): string => join(shared, `wsguard-${process.geteuid?.()}`);
  const createShared = (mode: number): string => {
    const shared = join(dir, 'shared');
    mkdirSync(shared);
    chmodSync(shared, mode);
    return shared;
  };

  onLinux.each([0o777, 0o1777, 0o775, 0o2775])('has a private folder of this user (mode %o)', (mode) => {
    const shared = createShared(mode);
    const folder = privateFolderIn(shared);
    expect(folder).toBe(ownFolder(shared));
    expect(sharedDirectoryOf(folder)).toBe(shared);
    makePrivateFolder(folder);
    expect(statSync(folder).mode & 0o7777).toBe(0o700);
    expect(unsafeFolderReason(folder)).toBeNull();
    expect(statSync(shared).mode & 0o7777).toBe(mode);
  });

  onLinux('a private directory, and one that does not exist yet, are used as they are', () => {
    expect([privateFolderIn(dir), privateFolderIn(join(dir, 'none'))]).toEqual([dir, join(dir, 'none')]);
    expect(sharedDirectoryOf(dir)).toBeNull();
  });

  asRoot.each<[string, (folder: string) => void]>([
    [
      'a folder of another user',
      (folder) => {
        mkdirSync(folder);
        chownSync(folder, 65_534, 65_534);
      },
    ],
    [
      'a link of another user',
      (folder) => {
        symlinkSync(dir, folder);
        lchownSync(folder, 65_534, 65_534);
      },
    ],
    [
      'a folder that others can write to',
      (folder) => {
        mkdirSync(folder);
        chmodSync(folder, 0o777);
      },
    ],
  ])('%s in its place is refused', (_, plant) => {
    const shared = createShared(0o777);
    plant(ownFolder(shared));
    const { dir: chosen, noFilesReason } = chooseFolder({ dir: shared, networkDir: 'off' }, null);
    expect(chosen).toBe(ownFolder(shared));
    expect(noFilesReason).toContain('is not private');
    expect(() => makePrivateFolder(chosen)).toThrow(expect.objectContaining({ code: 'WSGUARD_DIR_UNSAFE' }));
  });

  asRoot('a folder that was replaced after the start is noticed at the next write', () => {
    const folder = privateFolderIn(createShared(0o777));
    makePrivateFolder(folder);
    renameSync(folder, `${folder}-moved`);
    mkdirSync(folder);
    chownSync(folder, 65_534, 65_534);
    expect(() => makePrivateFolder(folder)).toThrow(expect.objectContaining({ code: 'WSGUARD_DIR_UNSAFE' }));
  });
});

test.each([
  ['a name that is too long', join(tmpdir(), 'x'.repeat(5_000))],
  ['a name with a null byte', join(tmpdir(), 'x\0y')],
])('%s: the agent writes no files', (_, name) => {
  const { noFilesReason } = chooseFolder({ dir: name, networkDir: 'off' }, null);
  expect(noFilesReason).toMatch(/^WSGUARD_DIR cannot be used: .{1,200}$/s);
});

test('without a working directory the agent writes no files', () => {
  const { noFilesReason } = chooseFolder({ dir: '', networkDir: 'off' }, null);
  expect(noFilesReason).toContain('the working directory was deleted');
});

describe('a hidden file', () => {
  test('has a random name, in a folder of this user only', () => {
    const [first, second] = [createHiddenFile(join(dir, 'raw')), createHiddenFile(join(dir, 'raw'))];
    expect(first).not.toBe(second);
    expect(statSync(first).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, 'raw')).mode & 0o777).toBe(0o700);
  });

  onLinux('is not created in a folder that others can list, nor through a link', () => {
    mkdirSync(join(dir, 'open'));
    chmodSync(join(dir, 'open'), 0o755);
    symlinkSync(dir, join(dir, 'link'));
    for (const name of ['open', 'link'])
      expect(() => createHiddenFile(join(dir, name))).toThrow(
        expect.objectContaining({ code: 'WSGUARD_DIR_UNSAFE' }),
      );
    expect(readdirSync(join(dir, 'open'))).toEqual([]);
  });
});

test('replaceFile replaces a link, does not follow it, and leaves nothing behind when it fails', () => {
  writeFileSync(join(dir, 'victim'), 'precious');
  symlinkSync('victim', join(dir, 'state'));
  replaceFile(join(dir, 'state'), 'new');
  expect([readFileSync(join(dir, 'victim'), 'utf8'), readFileSync(join(dir, 'state'), 'utf8')]).toEqual([
    'precious',
    'new',
  ]);
  mkdirSync(join(dir, 'folder', 'below'), { recursive: true });
  expect(() => replaceFile(join(dir, 'folder'), 'text')).toThrow(expect.objectContaining({ code: 'EISDIR' }));
  expect(readdirSync(dir).toSorted()).toEqual(['folder', 'state', 'victim']);
});

test('an empty folder is removed, one with a file stays', () => {
  mkdirSync(join(dir, 'empty'));
  mkdirSync(join(dir, 'full'));
  writeFileSync(join(dir, 'full', 'file'), '');
  expect(['empty', 'full', 'none'].map((name) => removeEmptyFolder(join(dir, name)))).toEqual([
    true,
    false,
    true,
  ]);
});
