import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { failureFrom } from '../core/outcome.ts';
import { redactFile } from '../capture/redact-file.ts';
import { SnapshotError } from '../heapsnapshot/errors.ts';
import { CliError, UsageError } from './io.ts';
import type { CliIo, Run } from './io.ts';

const USAGE = 'wsguard redact <in> <out> [--force] [--json]';
const HINT = 'Check the rights of the output directory and its free space.';

/** A copy of a snapshot without the secrets. `-` is a pipe; gzip is told by content in, by the name out. */
export const redact: Run = async (argv, io) => {
  const { from, to, force, json } = options(argv);
  const source = from === '-' ? from : resolve(io.cwd, from);
  const target = to === '-' ? to : resolve(io.cwd, to);
  if (source !== '-' && source === target) throw new UsageError(`input and output are one file: ${from}`);
  if (target !== '-' && !force && existsSync(target)) {
    throw new UsageError(`${to} exists; --force replaces it`);
  }
  const counts = await copy(source, target);
  const answer = json
    ? `${JSON.stringify({ schema: 'wsguard.redact/1', in: from, out: to, ...counts })}\n`
    : `${counts.masked} of ${counts.strings} strings masked, ${counts.bytes} bytes written to ${to}\n`;
  say(io, target, answer);
  return 0;
};

async function copy(from: string, to: string): ReturnType<typeof redactFile> {
  try {
    return await redactFile({ from, to });
  } catch (error) {
    if (error instanceof SnapshotError) throw new CliError(error.code, error.message, error.hint);
    const { code, reason } = failureFrom(error);
    throw new CliError(code, reason, HINT);
  }
}

/** Where the copy itself goes to standard output, the counts go to the other one. */
function say(io: CliIo, target: string, answer: string): void {
  if (target === '-') io.err(answer);
  else io.out(answer);
}

function options(argv: readonly string[]): { from: string; to: string; force: boolean; json: boolean } {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { force: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
    });
    const [from, to] = positionals;
    if (from !== undefined && to !== undefined && positionals.length === 2) return { from, to, ...values };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`);
  }
  throw new UsageError(USAGE);
}
