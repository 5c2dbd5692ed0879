/** `wsguard procedure`: three snapshots that separate the memory of a load from the memory that remains of it. */
import { resolve } from 'node:path';
import { summarizeSnapshot } from '../../analyse/index.ts';
import { analysisText } from '../../report/analysis-text.ts';
import type { Analysis } from '../../types/index.ts';
import { readSnapshots, runAnalysis, writeHtml } from '../analyse.ts';
import {
  defineCommand,
  EXIT_CODES,
  FAILED_MEANING,
  UsageError,
  WRONG_USE_MEANING,
  type CliIo,
} from '../command.ts';
import { balanceOf, balanceText, type Balance } from './balance.ts';
import { takeSnapshots, type ProcedureFiles } from './take-snapshots.ts';

interface ProcedureResult extends Balance {
  readonly schema: 'wsguard.procedure/1';
  /** The comparison of `drained` with `start`. */
  readonly analysis: Analysis;
}

export const procedure = defineCommand(
  {
    name: 'procedure',
    summary: 'Compares a server before, during and after a load, and shows what remains of the load.',
    usage: [
      'procedure --save <directory> [--html <file>] [--json] -- node server.js [arguments]',
      'procedure <start> <loaded> <drained> [--html <file>] [--json]',
    ],
    details: [
      'The first form starts the server and takes three snapshots, each when you press Enter: start, before the clients\nconnect; loaded, while they are connected; drained, after all of them have gone. It ends the server afterwards. Give\nthe command of one Node process: snapshots of npm or of a cluster primary would not show the leak.',
      'The second form compares three snapshots that you have, for example of HeapAnalyzer.procedure().',
      'Memory that the load took and gave back is no leak. What drained has and start had not is listed as by\n`wsguard analyse`. Caches that fill on first use look like a leak, so connect a few clients before the first snapshot.',
    ],
    maxPositionals: Infinity,
    options: {
      save: {
        type: 'string',
        value: '<directory>',
        help: 'Start the server after --, and save the snapshots here.',
      },
      html: { type: 'string', value: '<file>', help: 'Also write the comparison as a web page.' },
      json: { type: 'boolean', help: 'Print JSON (docs/schema/procedure.schema.json).' },
    },
    examples: [
      [
        'wsguard procedure --save ./heap-snapshots -- node server.js',
        'Starts server.js, asks for each step, and lists what remains of the clients.',
      ],
      [
        'wsguard procedure start.heapsnapshot loaded.heapsnapshot drained.heapsnapshot',
        'Compares three snapshots that were taken earlier.',
      ],
    ],
    exitCodes: [
      [EXIT_CODES.done, 'done; nothing remains of the load'],
      [EXIT_CODES.leakFound, 'something remains of the load'],
      WRONG_USE_MEANING,
      FAILED_MEANING,
    ],
  },
  async ({ values, positionals }, io) => {
    if (values.html === '') throw new UsageError('--html needs a file name');
    const files = await filesOf(values.save, positionals, io);
    const result = await compare(files, io);
    const { analysis } = result;
    if (values.html !== undefined) await writeHtml(resolve(io.cwd, values.html), analysis);
    io.out(
      values.json === true
        ? `${JSON.stringify(result)}\n`
        : `${balanceText(result)}\n\n${analysisText(analysis)}`,
    );
    return analysis.clean ? EXIT_CODES.done : EXIT_CODES.leakFound;
  },
);

function filesOf(
  directory: string | undefined,
  positionals: readonly string[],
  io: CliIo,
): ProcedureFiles | Promise<ProcedureFiles> {
  if (directory !== undefined) {
    if (directory === '') throw new UsageError('--save needs a directory');
    if (positionals.length === 0) throw new UsageError('give the command of the server after --');
    return takeSnapshots({ command: positionals, directory: resolve(io.cwd, directory) }, io);
  }
  const [start, loaded, drained] = positionals;
  if (drained === undefined || positionals.length > 3)
    throw new UsageError('give three snapshots, or --save and a command');
  if (positionals.includes('-')) throw new UsageError('the snapshots must be files');
  return { start: start!, loaded: loaded!, drained };
}

async function compare({ start, loaded, drained }: ProcedureFiles, io: CliIo): Promise<ProcedureResult> {
  const loadedSummary = await readSnapshots(loaded, io, (options) => summarizeSnapshot(loaded, options));
  const analysis = await runAnalysis([start, drained], io);
  const [startSummary, drainedSummary] = analysis.snapshots;
  const balance = balanceOf({ start: startSummary!, loaded: loadedSummary, drained: drainedSummary! });
  return { schema: 'wsguard.procedure/1', ...balance, analysis };
}
