/**
 * Entry of the redaction process. It reads the job as JSON from stdin and writes to stdout, as JSON, the counts or
 * `{"error":{"code","message"}}`.
 */

import { text } from 'node:stream/consumers';
import { createClock } from '../core/clock.ts';
import { removeFile } from '../core/folders.ts';
import { failureFrom } from '../core/outcome.ts';
import { redactFile } from './redact-file.ts';
import type { RedactionJob } from './redact-file.ts';
import { temporaryName } from './snapshot-files.ts';

const PARENT_CHECK_MS = 250;
const EXIT_FAILED = 3;

async function main(): Promise<void> {
  try {
    // `owner` is the pid of the parent.
    const job = JSON.parse(await text(process.stdin)) as RedactionJob & { owner?: number };
    const isOrphan = (): boolean => job.owner !== undefined && process.ppid !== job.owner;
    // The unredacted file must not outlive the process that needed it.
    process.once('exit', () => {
      if (isOrphan()) [job.from, job.to, temporaryName(job.to)].forEach(removeFile);
    });
    createClock().every(PARENT_CHECK_MS, () => isOrphan() && process.exit(EXIT_FAILED));
    process.stdout.write(JSON.stringify(await redactFile(job)));
  } catch (error) {
    const { code, reason: message } = failureFrom(error);
    process.stdout.write(JSON.stringify({ error: { code, message } }));
    process.exitCode = EXIT_FAILED;
  }
}

void main();
