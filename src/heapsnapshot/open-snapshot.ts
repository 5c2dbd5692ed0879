/** Opens a heap snapshot, plain or gzipped, as a stream of unpacked bytes. */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { fileErrorText } from '../core/files.ts';
import { SnapshotError } from './snapshot-error.ts';
import type { SnapshotErrorCode } from './snapshot-error.ts';

export interface SnapshotBytes {
  /** Maximum size of the unpacked bytes; Infinity for a pipe. */
  readonly sizeBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Share of the file that was read, 0 to 1; null for a pipe. */
  readShare(): number | null;
  /** False for a pipe, whose first bytes are not known before it is read. */
  readonly isGzipped: boolean;
}

const CHUNK_BYTES = 1 << 20;
/** The highest ratio of deflate. Snapshots reach 7 to 14. */
const MAX_DEFLATE_RATIO = 1032;
/** A gzipped file with a higher ratio is refused: somebody made it to fill the memory. */
const MAX_GZIP_RATIO = 300;
const MIN_CHECKED_BYTES = 64 << 20;
/** After an error at most this many unpacked bytes are checked: about ten seconds. */
const MAX_CHECKED_BYTES = 4 * 2 ** 30;
const MAY_BE_GZIP_DAMAGE: ReadonlySet<SnapshotErrorCode> = new Set([
  'WSGUARD_SNAPSHOT_COUNTS',
  'WSGUARD_SNAPSHOT_EDGES',
  'WSGUARD_SNAPSHOT_META',
  'WSGUARD_SNAPSHOT_STRINGS',
  'WSGUARD_SNAPSHOT_SYNTAX',
]);

/**
 * `-` is standard input. Gzip is recognised by the first bytes, not by the name. `chunkBytes` is the size of the chunks of a
 * file. Throws `SnapshotError`.
 */
export async function openSnapshot(
  file: string,
  stdin: AsyncIterable<Uint8Array>,
  chunkBytes = CHUNK_BYTES,
): Promise<SnapshotBytes> {
  if (file === '-') {
    return {
      sizeBytes: Infinity,
      readShare: () => null,
      chunks: unpacked(stdin, chunkBytes),
      isGzipped: false,
    };
  }
  let handle: FileHandle;
  let sizeBytes: number;
  try {
    handle = await open(file, 'r');
    const stat = await handle.stat();
    if (stat.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' });
    // A named pipe has no size.
    sizeBytes = stat.isFile() ? stat.size : Infinity;
  } catch (error) {
    throw new SnapshotError('WSGUARD_SNAPSHOT_UNREADABLE', `cannot read ${file}: ${fileErrorText(error)}`);
  }
  const progress = { readBytes: 0 };
  const first = Buffer.alloc(2);
  if (Number.isFinite(sizeBytes)) await handle.read(first, 0, 2, 0);
  const isGzipped = isGzip(first);
  return {
    isGzipped,
    sizeBytes: isGzipped ? sizeBytes * MAX_DEFLATE_RATIO : sizeBytes,
    readShare: () => (Number.isFinite(sizeBytes) ? progress.readBytes / Math.max(1, sizeBytes) : null),
    chunks: unpacked(rawChunks(file, handle, { progress, chunkBytes }), chunkBytes),
  };
}

/**
 * The error to report after `error` stopped the reading of `file`. Damaged gzip often unpacks to wrong bytes for a while, so
 * the reader stops at their content, before zlib compares the checksum at the end. The rest of a gzipped file is therefore
 * unpacked here: if zlib refuses it, its error is the cause. The returned error names the file.
 */
export async function causeOfReadError(file: string, error: unknown): Promise<unknown> {
  const cause = await damageOf(file, error);
  if (!(cause instanceof SnapshotError) || cause.message.includes(file)) return cause;
  return new SnapshotError(cause.code, `${file === '-' ? 'standard input' : file}: ${cause.message}`);
}

async function damageOf(file: string, error: unknown): Promise<unknown> {
  if (!(error instanceof SnapshotError) || file === '-' || !MAY_BE_GZIP_DAMAGE.has(error.code)) return error;
  try {
    const { chunks, isGzipped } = await openSnapshot(file, process.stdin);
    if (!isGzipped) return error;
    let bytes = 0;
    for await (const chunk of chunks) if ((bytes += chunk.length) > MAX_CHECKED_BYTES) break;
    return error;
  } catch (cause) {
    return cause;
  }
}

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Reads the next chunk while the consumer works on the current one. */
async function* rawChunks(
  file: string,
  handle: FileHandle,
  { progress, chunkBytes }: { readonly progress: { readBytes: number }; readonly chunkBytes: number },
): AsyncGenerator<Uint8Array> {
  try {
    let buffers = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)] as const;
    let next = handle.read(buffers[0], 0, chunkBytes);
    for (;;) {
      const { bytesRead, buffer } = await next;
      if (bytesRead === 0) return;
      buffers = [buffers[1], buffers[0]];
      next = handle.read(buffers[0], 0, chunkBytes);
      // The next iteration throws the error. If the consumer stops before that, the rejection must not end the process.
      next.catch(() => {});
      progress.readBytes += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw new SnapshotError('WSGUARD_SNAPSHOT_UNREADABLE', `cannot read ${file}: ${fileErrorText(error)}`);
  } finally {
    await handle.close().catch(() => {});
  }
}

async function* unpacked(source: AsyncIterable<Uint8Array>, chunkBytes: number): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) return;
  const chunks = withFirst(first.value, iterator);
  if (isGzip(first.value)) yield* gunzip(chunks, chunkBytes);
  else yield* chunks;
}

async function* withFirst(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield first;
    for (;;) {
      const { done, value } = await rest.next();
      if (done === true) return;
      yield value;
    }
  } finally {
    await rest.return?.();
  }
}

async function* gunzip(packed: AsyncIterable<Uint8Array>, chunkBytes: number): AsyncGenerator<Uint8Array> {
  const stream = createGunzip({ chunkSize: chunkBytes });
  let bytesIn = 0;
  let bytesOut = 0;
  const feeding = (async () => {
    for await (const chunk of packed) {
      bytesIn += chunk.length;
      // `rawChunks` reuses its two buffers, but zlib reads them later, so it gets a copy.
      if (!stream.write(Buffer.from(chunk))) await new Promise((resolve) => stream.once('drain', resolve));
      if (stream.destroyed) return;
    }
    stream.end();
  })().catch((error: unknown) => stream.destroy(error as Error));
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      bytesOut += chunk.length;
      if (bytesOut > MIN_CHECKED_BYTES && bytesOut > bytesIn * MAX_GZIP_RATIO) {
        throw new SnapshotError(
          'WSGUARD_SNAPSHOT_GZIP',
          `the file unpacks to more than ${MAX_GZIP_RATIO} times its size`,
        );
      }
      yield chunk;
    }
    await feeding;
  } catch (error) {
    if (error instanceof SnapshotError) throw error;
    const isTruncated = (error as { code?: string }).code === 'Z_BUF_ERROR';
    throw new SnapshotError(
      isTruncated ? 'WSGUARD_SNAPSHOT_TRUNCATED' : 'WSGUARD_SNAPSHOT_GZIP',
      isTruncated ? 'the gzipped file ends too early' : messageOf(error),
    );
  } finally {
    stream.destroy();
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
