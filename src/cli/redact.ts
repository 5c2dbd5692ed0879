/** `wsguard redact`: a copy of a heap snapshot with the values of strings masked. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { redactFile } from '../capture/redact-file.ts';
import { formatBytes, formatCount } from '../core/format.ts';
import { failureFrom } from '../core/outcome.ts';
import { SnapshotError } from '../heapsnapshot/snapshot-error.ts';
import { fileErrorText } from '../core/files.ts';
import {
  CliError,
  defineCommand,
  EXIT_CODES,
  FAILED_MEANING,
  UsageError,
  WRONG_USE_MEANING,
  type CliIo,
} from './command.ts';
import { startProgress } from './progress.ts';

export const redact = defineCommand(
  {
    name: 'redact',
    summary: 'Copies a heap snapshot and masks the values of its strings.',
    usage: ['redact <input> <output> [--force] [--json]'],
    details: [
      'The input may be gzipped. The output is gzipped if its name ends in .gz. Both may be - (standard input and output);\nthe counts then go to stderr.',
      'Names that the analysis needs stay readable: classes, functions, properties and files (docs/redaction.md).',
    ],
    maxPositionals: 2,
    options: {
      force: { type: 'boolean', help: 'Replace an existing output file.' },
      json: { type: 'boolean', help: 'Print the counts as JSON.' },
    },
    examples: [
      [
        'wsguard redact heap.heapsnapshot safe.heapsnapshot.gz',
        'Writes a copy that can be given to somebody else.',
      ],
    ],
    exitCodes: [[EXIT_CODES.done, 'done'], WRONG_USE_MEANING, FAILED_MEANING],
  },
  async ({ values, positionals }, io) => {
    const [input, output] = positionals;
    if (input === undefined || output === undefined) throw new UsageError('give an input and an output');
    const from = input === '-' ? input : resolve(io.cwd, input);
    const to = output === '-' ? output : resolve(io.cwd, output);
    if (from !== '-' && from === to) throw new UsageError(`input and output are the same file: ${input}`);
    const existing = to === '-' ? undefined : statSync(to, { bigint: true, throwIfNoEntry: false });
    if (existing?.isDirectory() === true) throw new UsageError(`${output} is a directory; give a file name`);
    if (existing !== undefined && values.force !== true)
      throw new UsageError(`${output} exists; add --force to replace it`);
    const counts = await copy({ from, to }, io);
    const summary =
      values.json === true
        ? JSON.stringify({ schema: 'wsguard.redact/1', in: input, out: output, ...counts })
        : `${formatCount(counts.masked)} of ${formatCount(counts.strings)} strings masked, ` +
          `${formatBytes(counts.bytes)} written to ${to === '-' ? 'standard output' : output}`;
    if (to === '-') io.err(`${summary}\n`);
    else io.out(`${summary}\n`);
    return EXIT_CODES.done;
  },
);

async function copy(files: { from: string; to: string }, io: CliIo): ReturnType<typeof redactFile> {
  const progress = startProgress(io, `redacting ${files.from}`);
  try {
    return await redactFile(files);
  } catch (error) {
    if (error instanceof SnapshotError) throw new CliError(error.code, error.message, error.hint);
    throw new CliError(
      failureFrom(error).code,
      `cannot write ${files.to}: ${fileErrorText(error, 'write')}`,
      'Check that the directory exists, its permissions and its free space.',
    );
  } finally {
    progress.stop();
  }
}
