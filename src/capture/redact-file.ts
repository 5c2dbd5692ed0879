/** Copies a snapshot file without its secrets, chunk by chunk: plain or gzipped, from a pipe or into one. */

import { renameSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { causeOfReadError, openSnapshot } from '../heapsnapshot/open-snapshot.ts';
import { Rewriter } from '../heapsnapshot/rewriter.ts';
import type { RewriteCounts } from '../heapsnapshot/rewriter.ts';
import { REDACTION_RULES } from './redaction-rules.ts';
import { removeFile } from '../core/folders.ts';
import { temporaryName } from './snapshot-files.ts';
import { writeChunks } from './write-chunks.ts';

export interface RedactionJob {
  /** A path; `-` is standard input or output. */
  readonly from: string;
  readonly to: string;
}

/**
 * The output gets its name when it is complete. Rejects with a `SnapshotError` when the input is not a snapshot, and with
 * the error of the file system when the output cannot be written.
 */
export async function redactFile({ from, to }: RedactionJob): Promise<RewriteCounts> {
  if (to === '-') return copyRedacted(from, (copy) => pipeline(copied(copy), process.stdout, { end: false }));
  const temporary = temporaryName(to);
  // Opened first: an output that cannot be opened must not leave the input open. A write stream of a path would open its
  // file in a later turn, even when it was destroyed before.
  const handle = await open(temporary, 'wx', 0o600);
  try {
    const gzip = to.endsWith('.gz');
    const counts = await copyRedacted(from, (copy) =>
      writeChunks(copy, handle.createWriteStream(), { gzip }),
    );
    renameSync(temporary, to);
    return counts;
  } finally {
    await handle.close();
    removeFile(temporary);
  }
}

async function copyRedacted(
  from: string,
  write: (copy: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<RewriteCounts> {
  const { chunks } = await openSnapshot(from, process.stdin);
  const { copy, counts } = redact(chunks);
  try {
    await write(copy);
  } catch (error) {
    throw await causeOfReadError(from, error);
  }
  return counts;
}

/** A stream keeps more than one chunk. */
async function* copied(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

/**
 * Masks the strings of an unpacked snapshot. A chunk of `copy` is valid until the next one is read. The counts are complete
 * when `copy` has ended.
 */
export function redact(chunks: AsyncIterable<Uint8Array>): {
  readonly copy: AsyncGenerator<Uint8Array>;
  readonly counts: RewriteCounts;
} {
  // One buffer for all chunks: V8 frees buffers late, and 30 MB of them waited for that (measured).
  const output = new ReusedBuffer();
  const rewriter = new Rewriter(REDACTION_RULES, (bytes) => output.append(bytes));
  async function* copy(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      rewriter.write(chunk);
      yield output.take();
    }
    rewriter.end();
    yield output.take();
  }
  return { copy: copy(), counts: rewriter.counts };
}

class ReusedBuffer {
  #bytes = new Uint8Array(1 << 18);
  #filled = 0;

  append(bytes: Uint8Array): void {
    const end = this.#filled + bytes.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#filled));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#filled);
    this.#filled = end;
  }

  /** Valid until the next call of `append`. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#filled);
    this.#filled = 0;
    return taken;
  }
}
