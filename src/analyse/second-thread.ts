/** Reads the earlier snapshots on a thread of its own while the caller's reads the last one. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { SnapshotError } from '../heapsnapshot/errors.ts';
import type { SnapshotErrorCode } from '../heapsnapshot/errors.ts';
import type { Progress, Remembered } from './graph/read.ts';

export type FromThread =
  | { readonly progress: Progress }
  | { readonly remembered: Remembered }
  | { readonly error: { readonly code: SnapshotErrorCode; readonly message: string } };

/** Null when the thread could not do it, whatever the reason; throws what is wrong with a file. */
export function readBeside(
  files: readonly string[],
  onProgress: (progress: Progress) => void = () => undefined,
): Promise<Remembered[] | null> {
  return new Promise((resolve, reject) => {
    const all: Remembered[] = [];
    // Without NODE_OPTIONS: its preloads would run in the thread as well.
    const worker = new Worker(join(__dirname, 'second-thread-entry.js'), {
      workerData: files,
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    worker.on('message', (message: FromThread) => {
      if ('progress' in message) onProgress(message.progress);
      else if ('remembered' in message) all.push(message.remembered);
      else reject(new SnapshotError(message.error.code, message.error.message));
    });
    worker.on('error', () => resolve(null));
    worker.on('exit', () => resolve(all.length === files.length ? all : null));
  });
}
