/**
 * Entry of the census process: `node census-process.js` with `{"from":…,"earlier":[…]}` as JSON on stdin. Writes a
 * newline to stdout when it is ready to read, and at the end a `CensusResult` as JSON. On failure it writes `{"error":{code,message,hint}}` and exits with 3.
 */
import { createReadStream } from 'node:fs';
import { SnapshotError } from '../heapsnapshot/snapshot-error.ts';
import type { CensusResult } from '../types/index.ts';
import { sourceFiles } from './locate/source-files.ts';
import { readHeap } from './read-snapshots.ts';
import { takeContainerCensus } from './census/take-census.ts';
import type { EarlierRow } from './census/take-census.ts';

const EXIT_FAILED = 3;
/** A pipe of Linux holds 64 KiB at first; larger reads wait for more. */
const READ_BYTES = 1 << 20;

interface CensusJob {
  /** A path, or the descriptor of a pipe. */
  readonly from: string | number;
  /** Rows of the census before; null for the first one. */
  readonly earlier: readonly EarlierRow[] | null;
}

async function main(): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  const { from, earlier } = JSON.parse(Buffer.concat(parts).toString('utf8')) as CensusJob;
  const heap =
    typeof from === 'string'
      ? readHeap(from, {})
      : readHeap('-', { stdin: createReadStream('', { fd: from, highWaterMark: READ_BYTES }) });
  await write('\n');
  const census = takeContainerCensus(await heap, sourceFiles(), earlier);
  const { user, system } = process.cpuUsage();
  const result: CensusResult = { census, cpuMs: Math.round((user + system) / 1000) };
  await write(JSON.stringify(result));
}

const write = (text: string): Promise<void> =>
  new Promise((resolve) => process.stdout.write(text, () => resolve()));

main().catch(async (error: unknown) => {
  const { code, hint } =
    error instanceof SnapshotError ? error : { code: 'WSGUARD_ANALYSIS_FAULT', hint: '' };
  const message = error instanceof Error ? error.message : String(error);
  await write(JSON.stringify({ error: { code, message, hint } }));
  process.exitCode = EXIT_FAILED;
});
