/**
 * Stores a snapshot in the redaction process: from a file or from the pipe of a forked child, without its secrets, and
 * checked to its last byte.
 */

import { closeSync, read } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { removeFile } from '../core/folders.ts';
import { openSnapshot } from '../heapsnapshot/open-snapshot.ts';
import { readToEnd, syncFile } from '../heapsnapshot/written-file.ts';
import { redact } from './redact-file.ts';
import { writeChunks } from './write-chunks.ts';

const readAsync = promisify(read);
/** The capacity of a pipe (pipe(7)). */
const PIPE_BYTES = 1 << 16;

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
    await syncFile(job.to);
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
      : await openSnapshot('-', readDescriptor(from));
  const source = isRedacted ? redact(chunks).copy : chunks;
  await writeChunks(source, handle.createWriteStream(), { gzip });
}

/** A read stream would allocate a buffer for each chunk. */
async function* readDescriptor(descriptor: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(PIPE_BYTES);
  try {
    for (;;) {
      const { bytesRead } = await readAsync(descriptor, buffer, 0, PIPE_BYTES, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    closeSync(descriptor);
  }
}
