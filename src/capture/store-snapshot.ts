/**
 * Stores a snapshot in the redaction process: from a file or from the pipe of a forked child, without its secrets, and
 * checked to its last byte.
 */

import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { removeFile } from '../core/folders.ts';
import type { SnapshotHeader } from '../heapsnapshot/header.ts';
import { openSnapshot } from '../heapsnapshot/open-snapshot.ts';
import { Tokenizer } from '../heapsnapshot/tokenizer.ts';
import { GZIP_LEVEL, redact } from './redact-file.ts';

export interface StoreJob {
  /** A path, or the descriptor of a pipe. */
  readonly from: string | number;
  /** A temporary name: the file gets its final one from the caller. */
  readonly to: string;
  readonly redact: boolean;
  readonly gzip: boolean;
  /** The pid of the parent. */
  readonly owner: number;
}

export interface StoredSnapshot {
  readonly nodes: number;
  /** Size before compression. */
  readonly unpackedBytes: number;
}

/**
 * Resolves when all of the file is on the disk and was read again to its end; the caller then gives it its final name.
 * `onReady` is called when the output is open, before the first byte of the input is read. Rejects as `redactFile` does, and
 * leaves no file then.
 */
export async function storeSnapshot(job: StoreJob, onReady: () => void): Promise<StoredSnapshot> {
  const handle = await open(job.to, 'wx', 0o600);
  try {
    onReady();
    await copyInto(handle, job);
    // Without this a crash of the machine could leave a file with its final name and no content.
    await sync(job.to);
    return await readToEnd(job.to);
  } catch (error) {
    removeFile(job.to);
    throw error;
  } finally {
    await handle.close();
  }
}

async function copyInto(handle: FileHandle, { from, redact: isRedacted, gzip }: StoreJob): Promise<void> {
  const { chunks } =
    typeof from === 'string'
      ? await openSnapshot(from, process.stdin)
      : await openSnapshot('-', createReadStream('', { fd: from }));
  const source = Readable.from(isRedacted ? redact(chunks).copy : copied(chunks));
  const gzips = gzip ? [createGzip({ level: GZIP_LEVEL })] : [];
  await pipeline([source, ...gzips, handle.createWriteStream()]);
}

/** The reader reuses its two buffers, and a stream keeps more than two chunks. */
async function* copied(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

/** The tokenizer throws unless every row and every string is there. */
async function readToEnd(file: string): Promise<StoredSnapshot> {
  let header: SnapshotHeader | null = null;
  const tokenizer = new Tokenizer({
    header: (value) => void (header = value),
    numbers: () => undefined,
    string: () => undefined,
  });
  let unpackedBytes = 0;
  const { chunks } = await openSnapshot(file, process.stdin);
  for await (const chunk of chunks) {
    unpackedBytes += chunk.length;
    tokenizer.write(chunk);
  }
  tokenizer.end();
  return { nodes: (header as SnapshotHeader | null)?.nodeCount ?? 0, unpackedBytes };
}

async function sync(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
