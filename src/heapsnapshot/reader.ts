import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import type { Readable } from 'node:stream';
import { SnapshotError } from './errors.ts';

/** A snapshot's bytes, unpacked; `sizeBytes` is the most they can be. */
export interface SnapshotBytes {
  readonly sizeBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Of the bytes on disk, 0 to 1; null for a pipe. */
  readShare(): number | null;
}

const CHUNK_BYTES = 1 << 20;
/** deflate cannot pack better than this, and snapshots reach 7 to 14. */
const MOST_DEFLATE = 1032;
const BOMB_RATIO = 300;
const BOMB_FLOOR_BYTES = 64 << 20;

/** `-` is standard input. A gzipped file is known by its first bytes, not by its name. */
export async function readSnapshot(file: string, stdin: Readable): Promise<SnapshotBytes> {
  if (file === '-') return { sizeBytes: Infinity, readShare: () => null, chunks: unpacked(stdin) };
  let handle: FileHandle;
  let sizeBytes: number;
  try {
    handle = await open(file, 'r');
    const stat = await handle.stat();
    if (stat.isDirectory()) throw new Error('is a directory');
    // A named pipe has no size.
    sizeBytes = stat.isFile() ? stat.size : Infinity;
  } catch (error) {
    throw new SnapshotError('WSGUARD_SNAPSHOT_UNREADABLE', `${file}: ${messageOf(error)}`);
  }
  const read = { bytes: 0 };
  const first = Buffer.alloc(2);
  if (Number.isFinite(sizeBytes)) await handle.read(first, 0, 2, 0);
  return {
    sizeBytes: isGzip(first) ? sizeBytes * MOST_DEFLATE : sizeBytes,
    readShare: () => (Number.isFinite(sizeBytes) ? read.bytes / Math.max(1, sizeBytes) : null),
    chunks: unpacked(rawChunks(handle, read)),
  };
}

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** The next piece is fetched while the one before it is worked on. */
async function* rawChunks(handle: FileHandle, read: { bytes: number }): AsyncGenerator<Uint8Array> {
  try {
    let buffers = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)] as const;
    let next = handle.read(buffers[0], 0, CHUNK_BYTES);
    for (;;) {
      const { bytesRead, buffer } = await next;
      if (bytesRead === 0) return;
      buffers = [buffers[1], buffers[0]];
      next = handle.read(buffers[0], 0, CHUNK_BYTES);
      // A fault surfaces when it is awaited; not awaited because the consumer left, it must not kill the process.
      next.catch(() => {});
      read.bytes += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw new SnapshotError('WSGUARD_SNAPSHOT_UNREADABLE', messageOf(error));
  } finally {
    await handle.close().catch(() => {});
  }
}

async function* unpacked(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) return;
  const all = resume(first.value, iterator);
  if (isGzip(first.value)) yield* gunzip(all);
  else yield* all;
}

async function* resume(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
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

async function* gunzip(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const stream = createGunzip({ chunkSize: CHUNK_BYTES });
  let bytesIn = 0;
  let bytesOut = 0;
  const feeding = (async () => {
    for await (const chunk of packed) {
      bytesIn += chunk.length;
      // The reader uses its two buffers again, zlib reads them later: hence a copy.
      if (!stream.write(Buffer.from(chunk))) await new Promise((resolve) => stream.once('drain', resolve));
      if (stream.destroyed) return;
    }
    stream.end();
  })().catch((error: unknown) => stream.destroy(error as Error));
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      bytesOut += chunk.length;
      if (bytesOut > BOMB_FLOOR_BYTES && bytesOut > bytesIn * BOMB_RATIO) {
        throw new SnapshotError('WSGUARD_SNAPSHOT_GZIP', `unpacks to more than ${BOMB_RATIO} times its size`);
      }
      yield chunk;
    }
    await feeding;
  } catch (error) {
    if (error instanceof SnapshotError) throw error;
    const isCut = (error as { code?: string }).code === 'Z_BUF_ERROR';
    throw new SnapshotError(
      isCut ? 'WSGUARD_SNAPSHOT_TRUNCATED' : 'WSGUARD_SNAPSHOT_GZIP',
      isCut ? 'the gzipped file ends too early' : messageOf(error),
    );
  } finally {
    stream.destroy();
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
