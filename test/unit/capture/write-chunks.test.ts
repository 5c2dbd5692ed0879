import { Writable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { writeChunks } from '../../../src/capture/write-chunks.ts';

/** An output that keeps what it gets, and takes each chunk in a later turn. */
function slowOutput(failAfter = Infinity): { readonly output: Writable; readonly text: () => Buffer } {
  const parts: Buffer[] = [];
  const output = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _, done) {
      setImmediate(() => {
        if (parts.length >= failAfter) return done(Object.assign(new Error('disk full'), { code: 'ENOSPC' }));
        parts.push(Buffer.from(chunk));
        done();
      });
    },
  });
  return { output, text: () => Buffer.concat(parts) };
}

/** One buffer whose bytes change with each chunk. */
async function* reusedChunks(count: number): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(70_000);
  for (let index = 0; index < count; index += 1) yield chunk.fill(65 + (index % 26));
}
const expected = (count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => Buffer.alloc(70_000, 65 + (index % 26))));

test.each([true, false])('a chunk is complete in the output before it changes (gzip: %p)', async (gzip) => {
  const { output, text } = slowOutput();
  await writeChunks(reusedChunks(30), output, { gzip });
  expect((gzip ? gunzipSync(text()) : text()).equals(expected(30))).toBe(true);
});

test.each([true, false])('an output that fails rejects with its error (gzip: %p)', async (gzip) => {
  const { output } = slowOutput(0);
  // Random bytes, so that gzip has output for each chunk and waits for room.
  async function* noise(): AsyncGenerator<Uint8Array> {
    const chunk = new Uint8Array(70_000);
    for (let seed = 1; ;) {
      for (let at = 0; at < chunk.length; at += 1) chunk[at] = seed = (seed * 48_271) % 2_147_483_647;
      yield chunk;
    }
  }
  await expect(writeChunks(noise(), output, { gzip })).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(output.destroyed).toBe(true);
});

test.each([true, false])('a source that fails rejects with its error (gzip: %p)', async (gzip) => {
  const { output } = slowOutput();
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield* reusedChunks(2);
    throw new Error('the input ended early');
  }
  await expect(writeChunks(failing(), output, { gzip })).rejects.toThrow('the input ended early');
  expect(output.destroyed).toBe(true);
});
