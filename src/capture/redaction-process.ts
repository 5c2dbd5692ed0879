/** Entry of the redaction process: a job as JSON on stdin; counts, or why it could not, as JSON on stdout. */

import { text } from 'node:stream/consumers';
import { createClock } from '../core/clock.ts';
import { removeFile } from '../core/folders.ts';
import { failureFrom } from '../core/outcome.ts';
import { redactFile } from './redact-file.ts';
import type { RedactFileOrder } from './redact-file.ts';
import { temporaryName } from './snapshot-files.ts';

const LOOK_MS = 250;
const ABANDONED = 3;

async function main(): Promise<void> {
  try {
    const job = JSON.parse(await text(process.stdin)) as RedactFileOrder & { owner?: number };
    // Whoever wanted it may die meanwhile: what is not redacted must not outlive it for nobody's use.
    const isAbandoned = (): boolean => job.owner !== undefined && process.ppid !== job.owner;
    process.once('exit', () => {
      if (isAbandoned()) [job.from, job.to, temporaryName(job.to)].forEach(removeFile);
    });
    createClock().every(LOOK_MS, () => isAbandoned() && process.exit(ABANDONED));
    process.stdout.write(JSON.stringify(await redactFile(job)));
  } catch (error) {
    const { code, reason: message } = failureFrom(error);
    process.stdout.write(JSON.stringify({ error: { code, message } }));
    process.exitCode = 3;
  }
}

void main();
