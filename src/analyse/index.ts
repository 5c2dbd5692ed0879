import { Tokenizer } from '../heapsnapshot/tokenizer.ts';
import type { Analysis } from '../types.ts';
import { analyseGrowth, analyseOne } from './analysis.ts';
import type { Heap } from './heap.ts';
import { remember } from './match.ts';
import type { Earlier } from './match.ts';
import { HeapBuilder } from './parse.ts';
import { readSnapshot } from '../heapsnapshot/reader.ts';
import { sourceFiles } from './source-files.ts';

export interface Progress {
  readonly stage: 'reading' | 'working';
  readonly file: string;
  /** 0 to 1; null when the size is not known. */
  readonly share: number | null;
}

export interface AnalyseOptions {
  readonly onProgress?: (progress: Progress) => void;
  readonly stdin?: NodeJS.ReadableStream;
}

/**
 * One snapshot: what holds the memory. Two or three in the order in which they were taken: what grows.
 * Throws `SnapshotError`. Takes about 1.2 times the size of the last file in memory: run it in a process of its own.
 */
export async function analyseFiles(
  files: readonly string[],
  options: AnalyseOptions = {},
): Promise<Analysis> {
  const summaries: Analysis['snapshots'][number][] = [];
  const earlier: Earlier[] = [];
  const load = async (file: string): Promise<Heap> => {
    const heap = await readHeap(file, options);
    const { nodeCount, edgeCount, selfBytes } = heap;
    summaries.push({ file, nodes: nodeCount, edges: edgeCount, selfBytes });
    return heap;
  };
  for (const file of files.slice(0, -1)) earlier.push(remember(await load(file)));
  const last = files.at(-1)!;
  const heap = await load(last);
  options.onProgress?.({ stage: 'working', file: last, share: null });
  const again = (at: number): Promise<Heap> => readHeap(files[at]!, options);
  const sources = sourceFiles();
  const found =
    earlier.length === 0 ? analyseOne(heap, sources) : await analyseGrowth(heap, { earlier, again }, sources);
  return { schema: 'wsguard.analysis/1', snapshots: summaries, ...found };
}

async function readHeap(file: string, { onProgress, stdin = process.stdin }: AnalyseOptions): Promise<Heap> {
  const bytes = await readSnapshot(file, stdin as typeof process.stdin);
  const builder = new HeapBuilder(bytes.sizeBytes);
  const tokenizer = new Tokenizer(builder);
  for await (const chunk of bytes.chunks) {
    tokenizer.write(chunk);
    onProgress?.({ stage: 'reading', file, share: bytes.readShare() });
  }
  tokenizer.end();
  return builder.finish();
}
