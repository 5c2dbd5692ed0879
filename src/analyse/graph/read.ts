import type { Readable } from 'node:stream';
import { readSnapshot } from '../../heapsnapshot/reader.ts';
import { Tokenizer } from '../../heapsnapshot/tokenizer.ts';
import type { Analysis } from '../../types/index.ts';
import type { Heap } from './heap.ts';
import { remember } from '../compare/match.ts';
import type { Earlier } from '../compare/match.ts';
import { HeapBuilder } from './parse.ts';

export interface Progress {
  readonly stage: 'reading' | 'working';
  readonly file: string;
  /** 0 to 1; null when the size is not known. */
  readonly share: number | null;
}

export interface ReadOptions {
  readonly onProgress?: (progress: Progress) => void;
  readonly stdin?: NodeJS.ReadableStream;
}

export type Summary = Analysis['snapshots'][number];

/** An earlier snapshot, as far as it is needed. */
export interface Remembered {
  readonly summary: Summary;
  readonly earlier: Earlier;
}

export async function readHeap(
  file: string,
  { onProgress, stdin = process.stdin }: ReadOptions,
): Promise<Heap> {
  const bytes = await readSnapshot(file, stdin as Readable);
  const builder = new HeapBuilder(bytes.sizeBytes);
  const tokenizer = new Tokenizer(builder);
  for await (const chunk of bytes.chunks) {
    tokenizer.write(chunk);
    onProgress?.({ stage: 'reading', file, share: bytes.readShare() });
  }
  tokenizer.end();
  return builder.finish();
}

export const summaryOf = (file: string, { nodeCount, edgeCount, selfBytes }: Heap): Summary => ({
  file,
  nodes: nodeCount,
  edges: edgeCount,
  selfBytes,
});

export async function readEarlier(file: string, options: ReadOptions): Promise<Remembered> {
  const heap = await readHeap(file, options);
  return { summary: summaryOf(file, heap), earlier: remember(heap) };
}
