/** Reads snapshot files: the last one as a `Heap`, earlier ones as `EarlierSnapshot`, optionally on a second thread. */
import { Worker, parentPort, workerData } from 'node:worker_threads';
import { SnapshotError } from '../heapsnapshot/snapshot-error.ts';
import type { SnapshotErrorCode } from '../heapsnapshot/snapshot-error.ts';
import { causeOfReadError, openSnapshot } from '../heapsnapshot/open-snapshot.ts';
import { Tokenizer } from '../heapsnapshot/tokenizer.ts';
import type { Analysis } from '../types/index.ts';
import { toEarlierSnapshot } from './compare/matching.ts';
import type { EarlierSnapshot } from './compare/matching.ts';
import { HeapBuilder } from './graph/heap-builder.ts';
import type { Heap } from './graph/heap.ts';

export interface Progress {
  readonly stage: 'reading' | 'working';
  readonly file: string;
  /** 0 to 1; null when the size of the file is unknown. */
  readonly share: number | null;
}

export interface ReadOptions {
  readonly onProgress?: (progress: Progress) => void;
  /** False: the shapes of objects are left out (`HeapBuilder`). */
  readonly withShapes?: boolean;
  /** The bytes of `-`. */
  readonly stdin?: NodeJS.ReadableStream | AsyncIterable<Uint8Array>;
}

export type SnapshotSummary = Analysis['snapshots'][number];

export interface EarlierFile {
  readonly summary: SnapshotSummary;
  readonly earlier: EarlierSnapshot;
}

/** `-` reads standard input. Throws `SnapshotError`. */
export async function readHeap(
  file: string,
  { onProgress, stdin = process.stdin, withShapes = true }: ReadOptions,
): Promise<Heap> {
  const bytes = await openSnapshot(file, stdin as AsyncIterable<Uint8Array>);
  const builder = new HeapBuilder(bytes.sizeBytes, withShapes);
  const tokenizer = new Tokenizer(builder);
  try {
    for await (const chunk of bytes.chunks) {
      tokenizer.write(chunk);
      onProgress?.({ stage: 'reading', file, share: bytes.readShare() });
    }
    tokenizer.end();
    return builder.finish();
  } catch (error) {
    throw await causeOfReadError(file, error);
  }
}

export const summaryOf = (file: string, { nodeCount, edgeCount, selfBytes }: Heap): SnapshotSummary => ({
  file,
  nodes: nodeCount,
  edges: edgeCount,
  selfBytes,
});

export async function readEarlierFile(file: string, options: ReadOptions): Promise<EarlierFile> {
  const heap = await readHeap(file, options);
  return { summary: summaryOf(file, heap), earlier: toEarlierSnapshot(heap) };
}

/** Files for the thread. The name of the field shows that this file was loaded as the entry of its own thread. */
interface ThreadInput {
  readonly earlierFiles: readonly string[];
}

type ThreadMessage =
  | { readonly progress: Progress }
  | { readonly file: EarlierFile }
  | { readonly error: { readonly code: SnapshotErrorCode; readonly message: string } };

/** Null when the thread could not be started or failed. Throws `SnapshotError` for a bad file. */
export function readEarlierFilesInThread(
  files: readonly string[],
  onProgress: (progress: Progress) => void = () => undefined,
): Promise<EarlierFile[] | null> {
  return new Promise((resolve, reject) => {
    const read: EarlierFile[] = [];
    const worker = new Worker(__filename, {
      workerData: { earlierFiles: files } satisfies ThreadInput,
      execArgv: [],
      // Preloads in NODE_OPTIONS would run in the thread too.
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    worker.on('message', (message: ThreadMessage) => {
      if ('progress' in message) onProgress(message.progress);
      else if ('file' in message) read.push(message.file);
      else reject(new SnapshotError(message.error.code, message.error.message));
    });
    worker.on('error', () => resolve(null));
    worker.on('exit', () => resolve(read.length === files.length ? read : null));
  });
}

async function runThread({ earlierFiles }: ThreadInput): Promise<void> {
  const send = (message: ThreadMessage, transferred: ArrayBuffer[] = []): void =>
    parentPort!.postMessage(message, transferred);
  try {
    for (const file of earlierFiles) {
      const read = await readEarlierFile(file, { onProgress: (progress) => send({ progress }) });
      send({ file: read }, columnsOf(read.earlier));
    }
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error;
    send({ error: { code: error.code, message: error.message } });
  }
}

/** The large columns are transferred instead of copied. */
function columnsOf({ sizes, ids }: EarlierSnapshot): ArrayBuffer[] {
  const columns = [sizes.nodes, sizes.entries, sizes.storeBytes, ids.counted];
  return columns.map(({ buffer }) => buffer as ArrayBuffer);
}

const isThreadInput = (data: unknown): data is ThreadInput =>
  typeof data === 'object' && data !== null && 'earlierFiles' in data;
// An uncaught error ends the thread with an 'error' event.
if (parentPort !== null && isThreadInput(workerData)) void runThread(workerData);
