/**
 * Entry of the process that renumbers a snapshot: `node renumber-process.js` with `{"earlier","file","to"}` as JSON on stdin.
 * It writes a copy of `file` with the ids of `earlier` to `to`, gzipped, and reads it again to its end. Then it writes
 * `{"nodes"}` to stdout.
 */
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { IdReplacer } from '../heapsnapshot/id-replacer.ts';
import { openSnapshot } from '../heapsnapshot/open-snapshot.ts';
import { readToEnd, syncFile } from '../heapsnapshot/written-file.ts';
import { renumberedIds } from './compare/renumber.ts';
import { readStdin, runMain, writeStdout } from './process-main.ts';
import { readHeap } from './read-snapshots.ts';

interface RenumberJob {
  readonly earlier: string;
  readonly file: string;
  readonly to: string;
}

const GZIP_LEVEL = 1;

runMain(async () => {
  const { earlier, file, to } = JSON.parse(await readStdin()) as RenumberJob;
  const ids = renumberedIds(
    await readHeap(earlier, { withShapes: false }),
    await readHeap(file, { withShapes: false }),
  );
  const handle = await open(to, 'wx', 0o600);
  await pipeline(
    Readable.from(renumbered(file, ids)),
    createGzip({ level: GZIP_LEVEL }),
    handle.createWriteStream(),
  );
  await syncFile(to);
  await readToEnd(to);
  await writeStdout(JSON.stringify({ nodes: ids.length }));
});

async function* renumbered(file: string, ids: Float64Array): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  const replacer = new IdReplacer(ids, (bytes) => parts.push(bytes));
  const { chunks } = await openSnapshot(file, process.stdin);
  for await (const chunk of chunks) {
    replacer.write(chunk);
    yield* parts;
    parts = [];
  }
  replacer.end();
  yield* parts;
}
