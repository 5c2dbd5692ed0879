import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { SnapshotError } from '../heapsnapshot/errors.ts';
import { analyseFiles } from '../analyse/index.ts';
import type { Progress } from '../analyse/index.ts';
import { availableBytes, cpuQuotaCores } from '../core/cgroup.ts';
import { analysisRssBytes } from '../capture/predict-cost.ts';
import { unpackedBytes } from '../capture/snapshot-files.ts';
import { createClock } from '../core/clock.ts';
import { analysisText } from '../report/analysis-text.ts';
import { analysisHtml } from '../report/html/analysis-html.ts';
import type { Analysis, Clock } from '../types/index.ts';
import { CliError, UsageError } from './io.ts';
import type { CliIo } from './io.ts';
import { withServed } from './report-beside.ts';

const USAGE = `wsguard analyse <a> [b] [c] [--html <out>] [--json]
  one snapshot: what holds the memory; two or three in the order they were taken: what grows
  files may be gzipped; - reads one from standard input`;
const MOST_FILES = 3;
const PROGRESS_AFTER_MS = 2000;
const PROGRESS_EVERY_MS = 1000;

interface Request {
  readonly files: readonly string[];
  readonly html: string | null;
  readonly json: boolean;
}

export async function analyse(argv: readonly string[], io: CliIo): Promise<number> {
  const request = readArguments(argv);
  if (request === 'help') {
    io.out(`${USAGE}\n`);
    return 0;
  }
  const analysis = withServed(await analysed(request, io), request.files);
  if (request.html !== null) await writeHtml(resolve(io.cwd, request.html), analysis);
  io.out(request.json ? `${JSON.stringify(analysis)}\n` : analysisText(analysis));
  return request.files.length > 1 && !analysis.clean ? 1 : 0;
}

function readArguments(argv: readonly string[]): Request | 'help' {
  const files: string[] = [];
  let html: string | null = null;
  let json = false;
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!;
    if (argument === '--help' || argument === '-h') return 'help';
    if (argument === '--json') json = true;
    else if (argument === '--html') {
      html = argv[++at] ?? null;
      if (html === null || html.startsWith('--')) throw new UsageError(`--html needs a file name\n${USAGE}`);
    } else if (argument.startsWith('--html=')) html = argument.slice('--html='.length);
    else if (argument.startsWith('-') && argument !== '-') {
      throw new UsageError(`unknown option ${argument}\n${USAGE}`);
    } else files.push(argument);
  }
  if (files.length === 0 || files.length > MOST_FILES) throw new UsageError(USAGE);
  if (files.filter((file) => file === '-').length > 1) {
    throw new UsageError(`only one of the files can be -\n${USAGE}`);
  }
  return { files, html, json };
}

async function analysed({ files }: Request, io: CliIo): Promise<Analysis> {
  const progress = progressLine(io, createClock());
  try {
    return await analyseFiles(files, {
      onProgress: progress,
      stdin: io.stdin,
      threads: hasRoomForTwo(files),
    });
  } catch (error) {
    if (error instanceof SnapshotError) throw new CliError(error.code, error.message, error.hint);
    throw error;
  }
}

/** A second core, and memory for two snapshots at once. A pipe has no size, and looking into it would empty it. */
function hasRoomForTwo(files: readonly string[]): boolean {
  try {
    if (!files.every((file) => statSync(file).isFile())) return false;
    const cores = Math.min(availableParallelism(), cpuQuotaCores() ?? Infinity);
    const haveBytes = Math.min(availableBytes(), process.constrainedMemory() || Infinity);
    return cores >= 2 && analysisRssBytes(files.map(unpackedBytes)) <= haveBytes;
  } catch {
    return false;
  }
}

/** Silent for two seconds; a line a second after that. */
function progressLine(io: CliIo, clock: Clock): (progress: Progress) => void {
  let nextMs = clock.nowMs() + PROGRESS_AFTER_MS;
  return ({ stage, file, share }) => {
    const now = clock.nowMs();
    if (now < nextMs) return;
    nextMs = now + PROGRESS_EVERY_MS;
    const percent = share === null ? '' : ` ${Math.floor(share * 100)} %`;
    io.err(stage === 'reading' ? `reading ${file}${percent}\n` : `working out what holds what\n`);
  };
}

async function writeHtml(file: string, analysis: Analysis): Promise<void> {
  try {
    await writeFile(file, analysisHtml(analysis), { mode: 0o600 });
  } catch (error) {
    const hint = 'Check the rights of the directory and its free space.';
    throw new CliError('WSGUARD_HTML_NOT_WRITTEN', `${file}: ${(error as Error).message}`, hint);
  }
}
