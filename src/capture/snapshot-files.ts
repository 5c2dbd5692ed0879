/** Names, sizes and leftovers of the snapshot files in a directory. */

import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readSync,
  readdirSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  createHiddenFile,
  removeEmptyFolder,
  removeFile,
  sharedDirectoryOf,
  unsafeFolderReason,
} from '../core/folders.ts';
import { isProcessAlive } from '../core/process.ts';

const MAX_LABEL_LENGTH = 60;
/** Chosen: longer than any redaction runs. */
const MIN_LEFTOVER_AGE_MS = 30 * 60_000;
const GZIP_MAGIC = 0x1f8b;
/** Header and trailer of an empty gzip file. */
const MIN_GZIP_BYTES = 18;
/** Snapshots compress to a seventh to a fifteenth (measured). */
const MAX_GZIP_RATIO = 15;
const SNAPSHOT = /^heap-(\d+)-.+\.heapsnapshot(\.gz)?$/;
/** Files of other programs can end in `.tmp` too. Earlier versions left the prefix out. */
const TEMPORARY = /^\.(?:wsguard-.+|heap-\d+-.+\.heapsnapshot.*|captures\.json)\.(\d+)\.tmp$/;
/** A folder beside the snapshots, readable by this user only. */
const RAW_FOLDER = '.raw';

/** `heap-<epoch ms>-<label>.heapsnapshot`. A label has letters, digits, `-`, `_` and `.` only. */
const snapshotName = (wallMs: number, label: string): string =>
  `heap-${Math.round(wallMs)}-${safeLabel(label)}.heapsnapshot`;

/** Two snapshots within a millisecond would have the same name. */
export function unusedName(dir: string, wallMs: number, label: string): string {
  for (let nameMs = wallMs; ; nameMs += 1) {
    const file = join(dir, snapshotName(nameMs, label));
    if (!existsSync(file) && !existsSync(`${file}.gz`)) return file;
  }
}

/** Other characters become dashes, and `..` and a dot at either end are removed. */
export function safeLabel(label: string): string {
  const safe = label
    .replace(/[^\w.-]+/g, '-')
    .replace(/\.{2,}/g, '.')
    .replace(/^[-.]+|[-.]+$/g, '')
    .slice(0, MAX_LABEL_LENGTH);
  return safe === '' ? 'snapshot' : safe;
}

/** A hidden name beside the file, with the pid of this process: `sweepLeftovers` finds it when the process is dead. */
export const temporaryName = (file: string): string =>
  join(dirname(file), `.wsguard-${basename(file)}.${process.pid}.tmp`);

/** An empty file for a raw snapshot, with a name that nobody can predict. `sweepLeftovers` finds it too. */
export const createRawFile = (folder: string): string => createHiddenFile(join(folder, RAW_FOLDER));

/** Also removes its folder when nothing else is in it. */
export function removeRawFile(file: string): void {
  removeFile(file);
  if (basename(dirname(file)) === RAW_FOLDER) removeEmptyFolder(dirname(file));
}

/** The directory, or its nearest ancestor that exists. */
export function nearestFolder(dir: string): string {
  let folder = dir;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

/** Disk space that this user may use in the directory; null when unknown. */
export function diskFreeBytes(dir: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(nearestFolder(dir));
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** An operator who creates this file stops all captures at once, without a restart. */
const OFF_FILE = 'snapshots-off';

/** Why no snapshot may be written to the directory; null when one may, also when it does not exist yet. */
export function refusedDirectory(dir: string): string | null {
  const unsafe = unsafeFolderReason(dir);
  if (unsafe !== null) return `${dir} is not safe for snapshots: ${unsafe}`;
  const offFile = [dir, sharedDirectoryOf(dir)]
    .flatMap((folder) => (folder === null ? [] : [join(folder, OFF_FILE)]))
    .find((file) => existsSync(file));
  return offFile === undefined ? null : `snapshots are switched off by the file ${offFile}`;
}

/** The snapshots of the last day in the directory and one level below. */
export const snapshotsOfDay = (dir: string, wallMs: number, dayMs: number): SnapshotFile[] =>
  [dir, ...namesIn(dir).map((name) => join(dir, name))]
    .flatMap(listSnapshots)
    .filter((snapshot) => wallMs - snapshot.wallMs < dayMs);

export interface SnapshotFile {
  readonly file: string;
  readonly bytes: number;
  /** The time in its name, epoch milliseconds. */
  readonly wallMs: number;
}

/** The snapshots in the directory, oldest first. */
export function listSnapshots(dir: string): SnapshotFile[] {
  const snapshots: SnapshotFile[] = [];
  for (const name of namesIn(dir)) {
    const wallMs = SNAPSHOT.exec(name)?.[1];
    if (wallMs === undefined) continue;
    const file = join(dir, name);
    const stat = lstatSync(file, { bigint: true, throwIfNoEntry: false });
    if (stat?.isFile() === true) snapshots.push({ file, bytes: Number(stat.size), wallMs: Number(wallMs) });
  }
  return snapshots.sort((a, b) => a.wallMs - b.wallMs);
}

/**
 * Removes temporary files whose process is dead, in the directory and one level below: they may contain secrets. Young
 * files stay, because the process of another container that shares the directory looks dead here. Returns what it removed.
 */
export function sweepLeftovers(dir: string, wallMs: number): string[] {
  const removed: string[] = [];
  const folders = [dir, ...namesIn(dir).map((name) => join(dir, name))];
  for (const folder of folders.flatMap((each) => [each, join(each, RAW_FOLDER)])) {
    for (const name of namesIn(folder)) {
      const file = join(folder, name);
      if (isLeftover(file, wallMs) && removeFile(file)) removed.push(file);
    }
  }
  return removed;
}

function isLeftover(file: string, wallMs: number): boolean {
  const pid = Number(TEMPORARY.exec(basename(file))?.[1] ?? 0);
  if (pid === 0 || pid === process.pid || isProcessAlive(pid)) return false;
  const stat = lstatSync(file, { bigint: true, throwIfNoEntry: false });
  return stat?.isFile() === true && wallMs - Number(stat.mtimeMs) > MIN_LEFTOVER_AGE_MS;
}

/** Size of the file without compression. The last four bytes of a gzip file are that size modulo 4 GiB. */
export function unpackedBytes(file: string): number {
  const size = Number(statSync(file, { bigint: true }).size);
  const descriptor = openSync(file, 'r');
  try {
    const magic = Buffer.alloc(2);
    readSync(descriptor, magic, 0, 2, 0);
    if (magic.readUInt16BE() !== GZIP_MAGIC || size < MIN_GZIP_BYTES) return size;
    const trailer = Buffer.alloc(4);
    readSync(descriptor, trailer, 0, 4, size - 4);
    const bytes = trailer.readUInt32LE();
    // Smaller than the compressed file: the size is beyond 4 GiB.
    return bytes < size ? size * MAX_GZIP_RATIO : bytes;
  } finally {
    closeSync(descriptor);
  }
}

/** Empty when the folder cannot be read. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
