/** A redacted copy of a snapshot file: plain or gzipped, from a pipe or into one, a chunk at a time. */

import { renameSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { readSnapshot } from '../heapsnapshot/reader.ts';
import { Rewriter } from '../heapsnapshot/rewrite.ts';
import type { RewriteCounts } from '../heapsnapshot/rewrite.ts';
import { REDACTION_RULES } from './redaction-rules.ts';
import { removeFile } from '../core/folders.ts';
import { temporaryName } from './snapshot-files.ts';

export interface RedactFileOrder {
  /** A path; `-` is standard input or output. */
  readonly from: string;
  readonly to: string;
}

const GZIP_LEVEL = 1;

/** The output gets its name when it is complete. Throws `SnapshotError` for a bad input, `errno`s for the output. */
export async function redactFile({ from, to }: RedactFileOrder): Promise<RewriteCounts> {
  const { chunks } = await readSnapshot(from, process.stdin);
  const ready: Uint8Array[] = [];
  const rewriter = new Rewriter(REDACTION_RULES, (bytes) => ready.push(bytes));
  async function* redacted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      rewriter.write(chunk);
      yield* ready.splice(0);
    }
    rewriter.end();
    yield* ready.splice(0);
  }
  if (to === '-') {
    await pipeline(Readable.from(redacted()), process.stdout, { end: false });
    return rewriter.counts;
  }
  const temporary = temporaryName(to);
  // Opened before anything can fail: a stream opens its file later, even after it was given up.
  const handle = await open(temporary, 'wx', 0o600);
  const gzip = to.endsWith('.gz') ? [createGzip({ level: GZIP_LEVEL })] : [];
  try {
    await pipeline([Readable.from(redacted()), ...gzip, handle.createWriteStream()]);
    renameSync(temporary, to);
    return rewriter.counts;
  } finally {
    await handle.close();
    removeFile(temporary);
  }
}
