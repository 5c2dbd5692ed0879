/**
 * Reads small files that the agent did not write itself: settings, package.json, state of earlier processes. Puts errors
 * of files into words.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { formatBytes } from './format.ts';

const MIN_CHUNK_BYTES = 64 * 1024;

/**
 * The text (UTF-8) of a regular file of at most `maxBytes`. Throws the error of the file system, or an `Error` that says
 * that the path is not a regular file or that the file is too large.
 *
 * O_NONBLOCK keeps the open of a FIFO without a writer from waiting forever, and the type is read from the descriptor:
 * the path could name another file between a `stat` and an `open`. The read itself is bounded too, because files of
 * /proc report a size of 0 and other files can grow.
 */
export function readSmallRegularFile(path: string, maxBytes: number): string {
  // Windows has no O_NONBLOCK.
  const descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stat = fstatSync(descriptor, { bigint: true });
    if (!stat.isFile()) throw new Error('not a regular file');
    if (stat.size > maxBytes) throw tooLarge(maxBytes);
    return readBounded(descriptor, Number(stat.size), maxBytes);
  } finally {
    closeSync(descriptor);
  }
}

function readBounded(descriptor: number, expectedBytes: number, maxBytes: number): string {
  const chunks: Buffer[] = [];
  const chunkBytes = Math.max(expectedBytes, MIN_CHUNK_BYTES);
  let totalBytes = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, maxBytes + 1 - totalBytes));
    const bytes = readSync(descriptor, chunk);
    if (bytes === 0) return Buffer.concat(chunks).toString('utf8');
    totalBytes += bytes;
    if (totalBytes > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk.subarray(0, bytes));
  }
}

const tooLarge = (maxBytes: number): Error => new Error(`larger than ${formatBytes(maxBytes)}`);

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'is a directory, not a file',
  ENOTDIR: 'a part of the path is not a directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOSPC: 'no space left on the disk',
  Z_BUF_ERROR: 'the gzip data is cut off',
  Z_DATA_ERROR: 'the gzip data is damaged',
};

/** The reason of a failed file operation in words. */
export function fileErrorText(error: unknown, operation: 'read' | 'write' = 'read'): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' && operation === 'write') return 'the directory does not exist';
  return FILE_ERRORS[code] ?? message;
}
