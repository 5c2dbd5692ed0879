/**
 * `analyseFiles`: the analysis of heap snapshots. The rooms depend on each other in one direction:
 *
 * - `graph`: one heap as a graph; dominators, retaining paths, scripts.
 * - `compare`, on `graph`: containers, what grew between two snapshots, groups of it.
 * - `locate`, on `compare`: source lines of containers and of their entries.
 * - `verdict`, on `locate`: suspects with their evidence, expected growth.
 * - `census`, on `verdict`: the containers of one heap by their place in the source, to be compared later.
 *
 * `analysis.ts` combines them; `read-snapshots.ts`, `analysis-process.ts`, `census-process.ts`, `renumber-process.ts` and `locate/source-files.ts` do the I/O. The order
 * is enforced by test/unit/architecture.test.ts.
 */
import type { Analysis } from '../types/index.ts';
import { analyseGrowth, analyseSingle } from './analysis.ts';
import type { Heap } from './graph/heap.ts';
import { sourceFiles } from './locate/source-files.ts';
import { readEarlierFile, readEarlierFilesInThread, readHeap, summaryOf } from './read-snapshots.ts';
import type { EarlierFile, ReadOptions, SnapshotSummary } from './read-snapshots.ts';

export type { Progress, ReadOptions, SnapshotSummary } from './read-snapshots.ts';

export interface AnalyseOptions extends ReadOptions {
  /** Reads earlier snapshots on a second thread: faster, with the same result. Not for use next to a server. */
  readonly threads?: boolean;
}

/**
 * One snapshot: the containers that retain its memory. Two or three in the order in which they were taken: the containers
 * that grew. Throws `SnapshotError`. It needs about 1.2 times the size of the last file in memory, so run it in a process
 * of its own.
 */
export async function analyseFiles(
  files: readonly string[],
  options: AnalyseOptions = {},
): Promise<Analysis> {
  const last = files.at(-1)!;
  const [earlierFiles, heap] = await readAll(files.slice(0, -1), last, options);
  options.onProgress?.({ stage: 'working', file: last, share: null });
  const readAgain = (index: number): Promise<Heap> => readHeap(files[index]!, options);
  const sources = sourceFiles();
  const earlier = earlierFiles.map((file) => file.earlier);
  const summaries = [...earlierFiles.map(({ summary }) => summary), summaryOf(last, heap)];
  const result =
    earlier.length === 0
      ? analyseSingle(heap, sources)
      : await analyseGrowth(heap, { earlier, readAgain }, sources);
  return { schema: 'wsguard.analysis/1', snapshots: summaries, ...result };
}

/** The number of objects of one snapshot and their size. Throws `SnapshotError`. */
export const summarizeSnapshot = async (file: string, options: ReadOptions = {}): Promise<SnapshotSummary> =>
  summaryOf(file, await readHeap(file, options));

async function readAll(
  files: readonly string[],
  last: string,
  options: AnalyseOptions,
): Promise<[EarlierFile[], Heap]> {
  // A thread cannot read the standard input of the main thread.
  if (options.threads !== true || files.length === 0 || files.includes('-')) {
    return [await readInOrder(files, options), await readHeap(last, options)];
  }
  const [earlier, heap] = await Promise.allSettled([
    readEarlierFilesInThread(files, options.onProgress),
    readHeap(last, options),
  ]);
  if (earlier.status === 'rejected') throw earlier.reason;
  if (heap.status === 'rejected') throw heap.reason;
  return [earlier.value ?? (await readInOrder(files, options)), heap.value];
}

async function readInOrder(files: readonly string[], options: ReadOptions): Promise<EarlierFile[]> {
  const read: EarlierFile[] = [];
  for (const file of files) read.push(await readEarlierFile(file, options));
  return read;
}
