import type { Analysis } from '../types/index.ts';
import { analyseGrowth, analyseOne } from './analysis.ts';
import { readBeside } from './second-thread.ts';
import type { Heap } from './graph/heap.ts';
import { readEarlier, readHeap, summaryOf } from './graph/read.ts';
import type { ReadOptions, Remembered } from './graph/read.ts';
import { sourceFiles } from './locate/source-files.ts';

export type { Progress } from './graph/read.ts';

export interface AnalyseOptions extends ReadOptions {
  /** Earlier snapshots are read on a second thread: the answer is the same, sooner. Not beside a server. */
  readonly threads?: boolean;
}

/**
 * One snapshot: what holds the memory. Two or three in the order in which they were taken: what grows.
 * Throws `SnapshotError`. Takes about 1.2 times the size of the last file in memory: run it in a process of its own.
 */
export async function analyseFiles(
  files: readonly string[],
  options: AnalyseOptions = {},
): Promise<Analysis> {
  const last = files.at(-1)!;
  const [before, heap] = await readAll(files.slice(0, -1), last, options);
  options.onProgress?.({ stage: 'working', file: last, share: null });
  const again = (at: number): Promise<Heap> => readHeap(files[at]!, options);
  const sources = sourceFiles();
  const earlier = before.map((each) => each.earlier);
  const summaries = [...before.map(({ summary }) => summary), summaryOf(last, heap)];
  const found =
    earlier.length === 0 ? analyseOne(heap, sources) : await analyseGrowth(heap, { earlier, again }, sources);
  return { schema: 'wsguard.analysis/1', snapshots: summaries, ...found };
}

async function readAll(
  files: readonly string[],
  last: string,
  options: AnalyseOptions,
): Promise<[Remembered[], Heap]> {
  // Standard input belongs to this thread.
  if (options.threads !== true || files.length === 0 || files.includes('-')) {
    return [await readInTurn(files, options), await readHeap(last, options)];
  }
  const [before, heap] = await Promise.allSettled([
    readBeside(files, options.onProgress),
    readHeap(last, options),
  ]);
  if (before.status === 'rejected') throw before.reason;
  if (heap.status === 'rejected') throw heap.reason;
  return [before.value ?? (await readInTurn(files, options)), heap.value];
}

async function readInTurn(files: readonly string[], options: ReadOptions): Promise<Remembered[]> {
  const all: Remembered[] = [];
  for (const file of files) all.push(await readEarlier(file, options));
  return all;
}
