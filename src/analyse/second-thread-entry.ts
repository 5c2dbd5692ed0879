import { parentPort, workerData } from 'node:worker_threads';
import { SnapshotError } from '../heapsnapshot/errors.ts';
import type { FromThread } from './second-thread.ts';
import type { Earlier } from './compare/match.ts';
import { readEarlier } from './graph/read.ts';

const tell = (message: FromThread, moved: ArrayBuffer[] = []): void =>
  parentPort!.postMessage(message, moved);

async function main(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const remembered = await readEarlier(file, { onProgress: (progress) => tell({ progress }) });
    tell({ remembered }, columnsOf(remembered.earlier));
  }
}

/** What changes hands instead of being copied. */
function columnsOf({ holdings, ids }: Earlier): ArrayBuffer[] {
  const columns = [holdings.nodes, holdings.entries, holdings.storeBytes, ids.counted];
  return columns.map(({ buffer }) => buffer as ArrayBuffer);
}

main(workerData as readonly string[]).catch((error: unknown) => {
  if (!(error instanceof SnapshotError)) throw error;
  tell({ error: { code: error.code, message: error.message } });
});
