/** What an analysis will need, predicted from its files. Pure but for reading sizes. */

import { closeSync, openSync, readSync, statSync } from 'node:fs';

const MIB = 1024 * 1024;
/** A node process before it does anything. */
const BASE_BYTES = 48 * MIB;
/** Peak RSS of the whole analysis was 1.16 to 1.2 times the file. */
const RSS_PER_FILE_BYTE = 1.25;
/** Snapshots compress 7 to 15 times; only for files over 4 GB, whose gzip trailer says nothing. */
const GZIP_RATIO = 15;

export interface FileNeed {
  readonly file: string;
  readonly bytes: number;
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

export function analysisRssBytes(sizes: readonly number[]): number {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return Math.round(BASE_BYTES + RSS_PER_FILE_BYTE * total);
}

/** Redaction holds a few bytes a node and streams the rest. */
export const redactionRssBytes = (size: number): number => Math.round(BASE_BYTES + 24 * MIB + 0.3 * size);
