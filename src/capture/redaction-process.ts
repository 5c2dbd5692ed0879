/**
 * Entry of the redaction process. It reads the job as JSON from stdin. To stdout it writes a newline when it is ready to
 * read the snapshot, and at the end, as JSON, the result or `{"error":{"code","message"}}`.
 */

import { text } from 'node:stream/consumers';
import { createClock } from '../core/clock.ts';
import { removeFile } from '../core/folders.ts';
import { failureFrom } from '../core/outcome.ts';
import { storeSnapshot, type StoreJob } from './store-snapshot.ts';

const PARENT_CHECK_MS = 250;
const EXIT_FAILED = 3;
/** Chosen: longer than the deadline of any redaction, also with a tenth of a core. */
const MAX_RUN_MS = 100 * 60_000;

async function main(): Promise<void> {
  try {
    const job = JSON.parse(await text(process.stdin)) as StoreJob;
    const isOrphan = (): boolean => process.ppid !== job.owner;
    // The unredacted file must not outlive the process that needed it.
    process.once('exit', () => {
      if (!isOrphan()) return;
      if (typeof job.from === 'string') removeFile(job.from);
      removeFile(job.to);
    });
    const clock = createClock();
    clock.every(PARENT_CHECK_MS, () => isOrphan() && process.exit(EXIT_FAILED));
    // The thread that watches this process may have ended. A pipe that nobody writes to then stays open.
    clock.after(MAX_RUN_MS, () => process.exit(EXIT_FAILED));
    process.stdout.write(JSON.stringify(await storeSnapshot(job, () => process.stdout.write('\n'))));
  } catch (error) {
    const { code, reason: message } = failureFrom(error);
    process.stdout.write(JSON.stringify({ error: { code, message } }));
    process.exitCode = EXIT_FAILED;
  }
}

void main();
