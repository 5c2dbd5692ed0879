/** `wsguard analyse`: what retains the memory in one heap snapshot, or what grows from one snapshot to the next. */
import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { analyseFiles, type Progress as AnalysisProgress, type ReadOptions } from '../analyse/index.ts';
import { analysisRssBytes } from '../capture/predict-cost.ts';
import { unpackedBytes } from '../capture/snapshot-files.ts';
import { availableBytes, cpuQuotaCores } from '../core/cgroup.ts';
import { readSmallRegularFile } from '../core/files.ts';
import { SnapshotError } from '../heapsnapshot/snapshot-error.ts';
import { analysisText } from '../report/analysis-text.ts';
import { connectionsServed, snapshotTimeMs } from '../report/connection-counts.ts';
import { analysisHtml } from '../report/html/analysis-html.ts';
import type { Analysis, ReportPoint } from '../types/index.ts';
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

const MAX_FILES = 3;
/** Far above the size of a report with 240 samples. */
const MAX_REPORT_BYTES = 16 * 1024 ** 2;

export const analyse = defineCommand(
  {
    name: 'analyse',
    summary: 'Shows what retains the memory in a heap snapshot, or what grows between two or three.',
    usage: ['analyse <snapshot> [second] [third] [--html <file>] [--json]'],
    details: [
      'Give two or three snapshots in the order in which they were taken. They may be gzipped, and one of them may be -\nfor standard input. `wsguard analyze` is the same command.',
      'The analysis needs about 1.2 times the size of the last snapshot in memory.',
    ],
    maxPositionals: MAX_FILES,
    options: {
      html: { type: 'string', value: '<file>', help: 'Also write the analysis as a web page.' },
      json: { type: 'boolean', help: 'Print JSON (docs/schema/analysis.schema.json).' },
    },
    examples: [
      [
        'wsguard analyse first.heapsnapshot second.heapsnapshot',
        'Lists what grew, with the retaining path and the line of code.',
      ],
      ['wsguard analyse heap.heapsnapshot.gz --html heap.html', 'Lists what retains most of the memory.'],
    ],
    exitCodes: [
      [EXIT_CODES.done, 'done; one snapshot, or nothing grows'],
      [EXIT_CODES.leakFound, 'two or three snapshots, and something grows'],
      WRONG_USE_MEANING,
      FAILED_MEANING,
    ],
  },
  async ({ values, positionals: files }, io) => {
    if (files.length === 0) throw new UsageError('no snapshot given');
    if (files.filter((file) => file === '-').length > 1)
      throw new UsageError('only one snapshot can be - (standard input)');
    if (values.html === '') throw new UsageError('--html needs a file name');
    const analysis = withServed(await runAnalysis(files, io), files);
    const warning = orderWarning(files);
    if (warning !== null) io.err(`wsguard analyse: ${warning}\n`);
    if (values.html !== undefined) await writeHtml(resolve(io.cwd, values.html), analysis);
    io.out(values.json === true ? `${JSON.stringify(analysis)}\n` : analysisText(analysis));
    return files.length > 1 && !analysis.clean ? EXIT_CODES.leakFound : EXIT_CODES.done;
  },
);

export async function runAnalysis(files: readonly string[], io: CliIo): Promise<Analysis> {
  return readSnapshots(files[0]!, io, (options) =>
    analyseFiles(files, { ...options, threads: canReadInParallel(files) }),
  );
}

/** Reports the progress of a reader on stderr, and turns its errors into those of a command. */
export async function readSnapshots<T>(
  firstFile: string,
  io: CliIo,
  read: (options: ReadOptions) => Promise<T>,
): Promise<T> {
  const progress = startProgress(io, `reading ${firstFile}`);
  try {
    return await read({ onProgress: (step) => progress.update(progressText(step)), stdin: io.stdin });
  } catch (error) {
    if (error instanceof SnapshotError) throw new CliError(error.code, error.message, error.hint);
    throw error;
  } finally {
    progress.stop();
  }
}

function progressText({ stage, file, share }: AnalysisProgress): string {
  if (stage !== 'reading') return 'following the references';
  return `reading ${file}${share === null ? '' : `, ${Math.floor(share * 100)} %`}`;
}

/** Needs a second core, and memory for two snapshots at once. A pipe has no size and cannot be read twice. */
function canReadInParallel(files: readonly string[]): boolean {
  try {
    if (!files.every((file) => statSync(file, { bigint: true }).isFile())) return false;
    const cores = Math.min(availableParallelism(), cpuQuotaCores() ?? Infinity);
    const available = Math.min(availableBytes(), process.constrainedMemory() || Infinity);
    return cores >= 2 && analysisRssBytes(files.map(unpackedBytes)) <= available;
  } catch {
    return false;
  }
}

export async function writeHtml(file: string, analysis: Analysis): Promise<void> {
  try {
    await writeFile(file, analysisHtml(analysis), { mode: 0o600 });
  } catch (error) {
    throw new CliError(
      'WSGUARD_HTML_NOT_WRITTEN',
      `cannot write ${file}: ${fileErrorText(error, 'write')}`,
      'Check that the directory exists, its permissions and its free space.',
    );
  }
}

/** In the wrong order nothing grows, which reads like a server without a leak. Only the agent's file names have a time. */
export function orderWarning(files: readonly string[]): string | null {
  const index = files.findIndex((file, n) => n > 0 && snapshotTimeMs(file) < snapshotTimeMs(files[n - 1]!));
  return index < 0
    ? null
    : `by its name ${files[index]} is older than ${files[index - 1]}; give snapshots in the order in which they were taken`;
}

/**
 * Adds the connections opened and closed between the snapshots, which the agent counted in the report.json beside them.
 * Without such a report the analysis stays as it is.
 */
export function withServed(analysis: Analysis, files: readonly string[]): Analysis {
  const folders = new Set(files.map((file) => dirname(file)));
  const [folder] = folders;
  if (folder === undefined || files.length < 2 || files.includes('-') || folders.size !== 1) return analysis;
  const served = connectionsServed(readReportPoints(join(folder, 'report.json')), files);
  return served === null ? analysis : { ...analysis, served };
}

function readReportPoints(file: string): readonly ReportPoint[] {
  try {
    const text = readSmallRegularFile(file, MAX_REPORT_BYTES);
    const { schema, samples } = JSON.parse(text) as Record<string, unknown>;
    return schema === 'wsguard.report/1' && Array.isArray(samples) ? samples.filter(isReportPoint) : [];
  } catch {
    return [];
  }
}

const isReportPoint = (value: unknown): value is ReportPoint => {
  const { wallMs, opened, closed } = Object(value) as Record<string, unknown>;
  return [wallMs, opened, closed].every((field) => typeof field === 'number');
};
