/** Creates the private folders of the agent and removes its files. */
import { chmodSync, mkdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

/**
 * Creates a folder and the missing ones above it, readable by this user only. Returns false when it exists already.
 * `mkdirSync` with `recursive` is not safe: where a folder cannot be created below an existing one (/proc, a directory
 * that was removed), Node loops in native code, which no thread and no exit can end.
 */
export function makeFolder(path: string): boolean {
  const folder = resolve(path);
  if (isFolder(folder)) return false;
  if (!isFolder(dirname(folder))) makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: PRIVATE_FOLDER });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Another process was faster, or there is a file of that name.
    if (isFolder(folder)) return false;
    throw Object.assign(new Error(`${folder} is not a folder`), { code: 'ENOTDIR' });
  }
  return true;
}

/** Creates a folder of the agent and keeps it out of git. A folder that exists already is not changed. */
export function makePrivateFolder(path: string): void {
  if (!makeFolder(path)) return;
  // The umask applies to the mode of mkdir, but not to chmod.
  chmodSync(path, PRIVATE_FOLDER);
  writeFileSync(join(path, '.gitignore'), '*\n', { mode: PRIVATE_FILE });
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** Returns true when the file does not exist any more, even when another process removed it. */
export function removeFile(file: string): boolean {
  try {
    unlinkSync(file);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
