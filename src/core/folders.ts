import { chmodSync, mkdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

/**
 * Makes a folder and those above it, for this user only; says whether it was missing. Not by `recursive`: where a
 * folder cannot be made below one that is there (/proc, a directory that was taken away), Node tries for ever, in
 * native code that no thread and no exit can end.
 */
export function makeFolder(path: string): boolean {
  const folder = resolve(path);
  if (isFolder(folder)) return false;
  if (!isFolder(dirname(folder))) makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: PRIVATE_FOLDER });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Another process of the service was faster; or there is a file.
    if (isFolder(folder)) return false;
    throw Object.assign(new Error(`${folder} is not a folder`), { code: 'ENOTDIR' });
  }
  return true;
}

/** The folder of all that the agent writes. Kept out of git when it is ours; one that was there stays as it is. */
export function makePrivateFolder(path: string): void {
  if (!makeFolder(path)) return;
  // mkdir's mode passes through the umask, chmod's does not.
  chmodSync(path, PRIVATE_FOLDER);
  writeFileSync(join(path, '.gitignore'), '*\n', { mode: PRIVATE_FILE });
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** Returns true when the file does not exist any more, whoever removed it. */
export function removeFile(file: string): boolean {
  try {
    unlinkSync(file);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
