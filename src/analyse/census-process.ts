/**
 * Entry of the census process: `node census-process.js` with `{"from":…,"earlier":[…]}` as JSON on stdin. Writes a
 * newline to stdout when it is ready to read, and at the end a `CensusResult` as JSON.
 */
import { openSync, readSync } from 'node:fs';
import { fileErrorText } from '../core/files.ts';
import { SnapshotError } from '../heapsnapshot/snapshot-error.ts';
import type { CensusResult } from '../types/index.ts';
import { takeContainerCensus } from './census/take-census.ts';
import type { EarlierRow } from './census/take-census.ts';
import { sourceFiles } from './locate/source-files.ts';
import { readStdin, runMain, writeStdout } from './process-main.ts';
import { readHeap } from './read-snapshots.ts';

/** A pipe of the agent holds 1 MiB where the kernel allows it. */
const READ_BYTES = 1 << 20;

interface CensusJob {
  /** A path, or the descriptor of a pipe. */
  readonly from: string | number;
  /** Rows of the census before; null for the first one. */
  readonly earlier: readonly EarlierRow[] | null;
}

runMain(async () => {
  const { from, earlier } = JSON.parse(await readStdin()) as CensusJob;
  await writeStdout('\n');
  const input = new Input(from);
  const heap = await readHeap('-', { withShapes: false, stdin: input.chunks() });
  const census = takeContainerCensus(heap, sourceFiles(), earlier);
  const { user, system } = process.cpuUsage();
  const result: CensusResult = {
    census,
    cpuMs: Math.round((user + system) / 1000),
    snapshotBytes: input.readBytes,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
  await writeStdout(JSON.stringify(result));
});

/**
 * Blocks until bytes arrive: this process has nothing else to do. A stream of Node allocates a buffer for each read, which
 * takes half as long as the decoding. Throws `SnapshotError`.
 */
class Input {
  readonly #name: string;
  readonly #descriptor: number;
  readBytes = 0;

  constructor(from: string | number) {
    this.#name = typeof from === 'string' ? from : 'the output of the forked process';
    this.#descriptor = typeof from === 'number' ? from : this.#attempt(() => openSync(from, 'r'));
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const bytes = this.#attempt(() => readSync(this.#descriptor, buffer));
      if (bytes === 0) return;
      this.readBytes += bytes;
      yield buffer.subarray(0, bytes);
    }
  }

  #attempt<T>(operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      const reason = `cannot read ${this.#name}: ${fileErrorText(error)}`;
      throw new SnapshotError('WSGUARD_SNAPSHOT_UNREADABLE', reason);
    }
  }
}
