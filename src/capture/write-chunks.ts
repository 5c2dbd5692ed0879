/** Writes chunks into a stream one after the other, so that each chunk may change when the next one is read. */

import type { Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

/** Chosen: the fastest level. */
const GZIP_LEVEL = 1;

/**
 * Resolves when `output` has everything. When the source or the output fails, it destroys the output and rejects with that
 * error.
 */
export async function writeChunks(
  source: AsyncIterable<Uint8Array>,
  output: Writable,
  { gzip: isGzipped }: { readonly gzip: boolean },
): Promise<void> {
  const gzip = isGzipped ? createGzip({ level: GZIP_LEVEL }) : null;
  const first = gzip ?? output;
  const end = gzip === null ? finished(output) : pipeline(gzip, output);
  let failure: unknown = null;
  let rejectWrite: (error: unknown) => void = () => undefined;
  // A gzip stream whose output fails keeps the callback of a write for ever.
  end.catch((error: unknown) => {
    failure = error;
    rejectWrite(error);
  });
  try {
    for await (const chunk of source) {
      if (failure !== null) break;
      await new Promise<void>((resolve, reject) => {
        rejectWrite = reject;
        first.write(chunk, (error) => (error ? reject(error) : resolve()));
      });
    }
    first.end();
  } catch (error) {
    first.destroy(error as Error);
  }
  await end;
}
