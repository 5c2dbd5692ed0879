/** The directory of the files: made private, bounded, and cleared of what a dead process left half done. */

import { closeSync, existsSync, openSync, readSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { removeFile } from '../core/folders.ts';
import { isProcessAlive } from '../core/process.ts';

const MAX_LABEL_LENGTH = 60;
const LEFTOVER_MS = 30 * 60_000;
/** Snapshots compress 7 to 15 times; only for files over 4 GB, whose gzip trailer says nothing. */
const GZIP_RATIO = 15;
const SNAPSHOT = /^heap-\d+-.+\.heapsnapshot(\.gz)?$/;
const TEMPORARY = /^\..+\.(\d+)\.tmp$/;

/** A file name's part: what is not a letter, digit, dash, dot or underscore becomes a dash. */
export function sanitiseLabel(label: string): string {
  const safe = label
    .replace(/[^\w.-]+/g, '-')
    .replace(/\.{2,}/g, '.')
    .replace(/^[-.]+|[-.]+$/g, '')
    .slice(0, MAX_LABEL_LENGTH);
  return safe === '' ? 'snapshot' : safe;
}

export const snapshotName = (wallMs: number, label: string): string =>
  `heap-${Math.round(wallMs)}-${sanitiseLabel(label)}.heapsnapshot`;

/** Beside the file, hidden, with our pid: the next process can tell leftovers from work in progress. */
export const temporaryName = (file: string): string =>
  join(dirname(file), `.${basename(file)}.${process.pid}.tmp`);

/** Bytes that we may still write there, of the nearest ancestor that exists; null where it cannot be told. */
export function diskFreeBytes(dir: string): number | null {
  let at = dir;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  try {
    const { bavail, bsize } = statfsSync(at);
    return bavail * bsize;
  } catch {
    return null;
  }
}

export interface Kept {
  readonly file: string;
  readonly bytes: number;
  readonly atMs: number;
}

/** Snapshots in the directory, oldest first. */
export function listSnapshots(dir: string): Kept[] {
  const kept: Kept[] = [];
  for (const name of namesIn(dir)) {
    if (!SNAPSHOT.test(name)) continue;
    const file = join(dir, name);
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat?.isFile() === true) kept.push({ file, bytes: stat.size, atMs: Number(/\d+/.exec(name)?.[0]) });
  }
  return kept.sort((a, b) => a.atMs - b.atMs);
}

/**
 * Takes away temporary files, there and one level below, whose process is gone: they may hold raw values. Young ones
 * stay: where containers share the directory a pid of another one looks dead.
 */
export function sweepLeftovers(dir: string, nowMs: number): string[] {
  const swept: string[] = [];
  for (const folder of [dir, ...namesIn(dir).map((name) => join(dir, name))]) {
    for (const name of namesIn(folder)) {
      const file = join(folder, name);
      if (isLeftover(file, nowMs) && removeFile(file)) swept.push(file);
    }
  }
  return swept;
}

function isLeftover(file: string, nowMs: number): boolean {
  const pid = Number(TEMPORARY.exec(basename(file))?.[1] ?? 0);
  if (pid === 0 || pid === process.pid || isProcessAlive(pid)) return false;
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() === true && nowMs - stat.mtimeMs > LEFTOVER_MS;
}

/** Unpacked size: a gzip file says it modulo 4 GiB in its last four bytes. */
export function unpackedBytes(file: string): number {
  const { size } = statSync(file);
  const descriptor = openSync(file, 'r');
  try {
    const magic = Buffer.alloc(2);
    readSync(descriptor, magic, 0, 2, 0);
    if (magic.readUInt16BE() !== 0x1f8b || size < 18) return size;
    const trailer = Buffer.alloc(4);
    readSync(descriptor, trailer, 0, 4, size - 4);
    const said = trailer.readUInt32LE();
    return said < size ? size * GZIP_RATIO : said;
  } finally {
    closeSync(descriptor);
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
