/** Creates and checks the private folders of the agent, and replaces and removes its files. */
import type * as Crypto from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
  type BigIntStats,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
const MODE_BITS = 0o7777;
const WRITABLE_BY_OTHERS = 0o022;
const OPEN_TO_OTHERS = 0o077;
const ROOT = 0;
/** Name of the private folder in a directory that other users can write to; the number of the user follows. */
const SHARED_PREFIX = 'wsguard-';

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
  // The umask applies to the mode of mkdir, but not to chmod. With 0177 this user could not enter the folder.
  if ((Number(lstatSync(folder, { bigint: true }).mode) & MODE_BITS) !== PRIVATE_FOLDER)
    chmodSync(folder, PRIVATE_FOLDER);
  return true;
}

/**
 * Creates a folder of the agent and keeps it out of git. A folder that exists already is not changed. Throws with the code
 * WSGUARD_DIR_UNSAFE when another user owns it or can write to it.
 */
export function makePrivateFolder(path: string): void {
  if (!makeFolder(path)) {
    const reason = unsafeFolderReason(path);
    if (reason !== null) throw Object.assign(new Error(reason), { code: 'WSGUARD_DIR_UNSAFE' });
    return;
  }
  writeFileSync(join(path, '.gitignore'), '*\n', { mode: PRIVATE_FILE });
}

/**
 * The reason why other users could read or replace what the agent writes into a folder; null when they cannot, or when there
 * is no such folder yet.
 */
export function unsafeFolderReason(path: string): string | null {
  const userId = process.geteuid?.();
  const stat = statOf(path);
  // Windows has no user ids.
  if (userId === undefined || stat === undefined) return null;
  const isTrusted = (owner: bigint): boolean => [userId, ROOT].includes(Number(owner));
  const link = lstatSync(path, { bigint: true });
  if (link.isSymbolicLink() && !isTrusted(link.uid)) return `it is a symbolic link of user ${link.uid}`;
  if (!isTrusted(stat.uid)) return `it belongs to user ${stat.uid}`;
  return (Number(stat.mode) & WRITABLE_BY_OTHERS) === 0
    ? null
    : `other users can write to it (mode ${octal(Number(stat.mode))})`;
}

/**
 * The folder that the agent uses for a configured directory: the directory itself, or a private folder in it where every user
 * can write to the directory, as to `/tmp` and to many volumes of containers. Its name has the user, so that processes of
 * two users do not meet. `unsafeFolderReason` says whether what stands there can be trusted.
 */
export function privateFolderIn(directory: string): string {
  const userId = process.geteuid?.();
  const stat = statOf(directory);
  if (userId === undefined || stat?.isDirectory() !== true) return directory;
  const isShared =
    [userId, ROOT].includes(Number(stat.uid)) && (Number(stat.mode) & WRITABLE_BY_OTHERS) !== 0;
  return isShared ? join(directory, `${SHARED_PREFIX}${userId}`) : directory;
}

/** The directory for which `privateFolderIn` returned this folder; null for any other folder. */
export const sharedDirectoryOf = (folder: string): string | null =>
  basename(folder) === `${SHARED_PREFIX}${process.geteuid?.()}` ? dirname(folder) : null;

/**
 * Creates a file with a random name in a folder that only this user can list. What writes to the path later, such as V8, can
 * then neither follow a link nor write into a file that another user has opened. The name has the pid of this process.
 */
export function createHiddenFile(folder: string): string {
  makeFolder(folder);
  const stat = lstatSync(folder, { bigint: true });
  const isPrivate = stat.isDirectory() && (Number(stat.mode) & OPEN_TO_OTHERS) === 0;
  const userId = process.geteuid?.();
  // Windows has no user ids and modes.
  if (userId !== undefined && (!isPrivate || Number(stat.uid) !== userId))
    throw Object.assign(new Error(`${folder} is not a folder of this user only`), {
      code: 'WSGUARD_DIR_UNSAFE',
    });
  const file = join(folder, `.wsguard-${randomName()}.${process.pid}.tmp`);
  writeFileSync(file, '', { mode: PRIVATE_FILE, flag: 'wx' });
  return file;
}

/** Replaces a file by a rename: a link in its place is removed and not followed, and no reader sees half of it. */
export function replaceFile(file: string, text: string): void {
  const temporary = join(dirname(file), `.wsguard-${randomName()}.${process.pid}.tmp`);
  try {
    writeFileSync(temporary, text, { mode: PRIVATE_FILE, flag: 'wx' });
    renameSync(temporary, file);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

const RANDOM_BYTES = 12;
/** Loads `node:crypto` with the first file: many servers never write one, and do not use it themselves. */
function randomName(): string {
  const { randomBytes } = require('node:crypto') as typeof Crypto;
  return randomBytes(RANDOM_BYTES).toString('hex');
}

/** Undefined where there is no such path, or where a file stands in the place of one of its folders. */
function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR' || code === 'EACCES' || code === 'ELOOP') return undefined;
    throw error;
  }
}

const octal = (mode: number): string => (mode & MODE_BITS).toString(8).padStart(4, '0');

const isFolder = (path: string): boolean =>
  statSync(path, { bigint: true, throwIfNoEntry: false })?.isDirectory() === true;

/** Removes a folder that is empty. Returns true when it does not exist any more. */
export function removeEmptyFolder(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** Returns true when the file does not exist any more, even when another process removed it. */
export function removeFile(file: string): boolean {
  try {
    unlinkSync(file);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
