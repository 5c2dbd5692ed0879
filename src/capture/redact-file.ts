/** A redacted copy of a snapshot file: plain or gzipped, from a pipe or into one, a chunk at a time. */

import { createReadStream, createWriteStream, renameSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { SnapshotError } from '../heapsnapshot/errors.ts';
import { Rewriter } from '../heapsnapshot/rewrite.ts';
import type { RewriteCounts } from '../heapsnapshot/rewrite.ts';
import { REDACTION } from './redact.ts';
import { remove, temporaryName } from './store.ts';

export interface RedactFileOrder {
  /** A path; `-` is standard input or output. */
  readonly from: string;
  readonly to: string;
}
type Chunks = AsyncIterable<Uint8Array>;

const CHUNK_BYTES = 1 << 20;
const GZIP_LEVEL = 1;

export async function redactFile({ from, to }: RedactFileOrder): Promise<RewriteCounts> {
  const source = from === '-' ? process.stdin : createReadStream(from, { highWaterMark: CHUNK_BYTES });
  let counts: RewriteCounts = { strings: 0, masked: 0, bytes: 0 };
  async function* redacted(chunks: Chunks): AsyncGenerator<Uint8Array> {
    const ready: Uint8Array[] = [];
    const rewriter = new Rewriter(REDACTION, (bytes) => ready.push(bytes));
    counts = rewriter.counts;
    for await (const chunk of unpacked(chunks)) {
      rewriter.write(chunk);
      yield* ready.splice(0);
    }
    rewriter.end();
    yield* ready.splice(0);
  }
  if (to === '-') {
    await translated(() => pipeline(Readable.from(redacted(source)), process.stdout, { end: false }));
    return counts;
  }
  const temporary = temporaryName(to);
  const sink = createWriteStream(temporary, { flags: 'wx', mode: 0o600 });
  try {
    const gzip = to.endsWith('.gz') ? [createGzip({ level: GZIP_LEVEL })] : [];
    await translated(() => pipeline([Readable.from(redacted(source)), ...gzip, sink]));
    renameSync(temporary, to);
    return counts;
  } finally {
    remove(temporary);
  }
}

/** Gzip is told by its first two bytes, as a pipe has no name. */
async function* unpacked(chunks: Chunks): Chunks {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) return;
  const rest = (async function* () {
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  })();
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) return yield* rest;
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const packed = Readable.from(rest);
  packed.on('error', (error) => gunzip.destroy(error)).pipe(gunzip);
  yield* gunzip as Chunks;
}

/** Faults of the file system and of zlib under the codes that users look up. */
async function translated(task: () => Promise<unknown>): Promise<void> {
  try {
    await task();
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith('Z_') === true) throw new SnapshotError('WSGUARD_SNAPSHOT_GZIP', message);
    const isOfInput = syscall === 'read' || (syscall === 'open' && !message.includes('.tmp'));
    if (isOfInput) throw new SnapshotError('WSGUARD_SNAPSHOT_UNREADABLE', message);
    throw error;
  }
}
