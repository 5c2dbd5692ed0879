/** Copies a snapshot file without its secrets, chunk by chunk: plain or gzipped, from a pipe or into one. */

import { renameSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { causeOfReadError, openSnapshot } from '../heapsnapshot/open-snapshot.ts';
import { Rewriter } from '../heapsnapshot/rewriter.ts';
import type { RewriteCounts } from '../heapsnapshot/rewriter.ts';
import { REDACTION_RULES } from './redaction-rules.ts';
import { removeFile } from '../core/folders.ts';
import { temporaryName } from './snapshot-files.ts';

export interface RedactionJob {
  /** A path; `-` is standard input or output. */
  readonly from: string;
  readonly to: string;
}

/** Chosen: the fastest level. */
export const GZIP_LEVEL = 1;

/**
 * The output gets its name when it is complete. Rejects with a `SnapshotError` when the input is not a snapshot, and with
 * the error of the file system when the output cannot be written.
 */
export async function redactFile({ from, to }: RedactionJob): Promise<RewriteCounts> {
  if (to === '-') return copyRedacted(from, (copy) => pipeline(copy, process.stdout, { end: false }));
  const temporary = temporaryName(to);
  // Opened first: an output that cannot be opened must not leave the input open. A write stream of a path would open its
  // file in a later turn, even when it was destroyed before.
  const handle = await open(temporary, 'wx', 0o600);
  try {
    const gzip = to.endsWith('.gz') ? [createGzip({ level: GZIP_LEVEL })] : [];
    const counts = await copyRedacted(from, (copy) => pipeline([copy, ...gzip, handle.createWriteStream()]));
    renameSync(temporary, to);
    return counts;
  } finally {
    await handle.close();
    removeFile(temporary);
  }
}

async function copyRedacted(from: string, write: (copy: Readable) => Promise<void>): Promise<RewriteCounts> {
  const { chunks } = await openSnapshot(from, process.stdin);
  const { copy, counts } = redact(chunks);
  try {
    await write(Readable.from(copy));
  } catch (error) {
    throw await causeOfReadError(from, error);
  }
  return counts;
}

/** Masks the strings of an unpacked snapshot. The counts are complete when `copy` has ended. */
export function redact(chunks: AsyncIterable<Uint8Array>): {
  readonly copy: AsyncGenerator<Uint8Array>;
  readonly counts: RewriteCounts;
} {
  const pending: Uint8Array[] = [];
  const rewriter = new Rewriter(REDACTION_RULES, (bytes) => pending.push(bytes));
  async function* copy(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      rewriter.write(chunk);
      yield* pending.splice(0);
    }
    rewriter.end();
    yield* pending.splice(0);
  }
  return { copy: copy(), counts: rewriter.counts };
}
