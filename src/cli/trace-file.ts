/** Reads a recording as a stream of samples in bounded memory: CSV or JSON lines, gzipped or not, a file or a pipe. */
import { createReadStream } from 'node:fs';
import { PassThrough, pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Sample } from '../types/index.ts';
import { fileErrorText } from '../core/files.ts';
import { formatValue } from '../core/format.ts';
import { CliError, type CliIo } from './command.ts';
import { createTraceReader, readSampleLine, type TraceOptions } from './trace-sample.ts';

/** A CSV row has about 300 characters, a JSON sample with hundreds of registries about 100,000. */
const MAX_LINE_CHARS = 4_000_000;
const GZIP_MAGIC = [0x1f, 0x8b];
export const RECORDING_HINT =
  'A recording has one JSON sample per line, or is a CSV file whose first line names its columns (t, hu, rss, ...).';

const FILE_HINT = 'Check the path and the permissions, or copy the file again.';

/** Lines that are cut off or damaged are skipped, and their number is on stderr at the end. */
export async function* openTrace(
  file: string,
  io: Pick<CliIo, 'stdin' | 'err'>,
  options: TraceOptions,
): AsyncGenerator<Sample> {
  const source = file === '-' ? io.stdin : createReadStream(file);
  let readLine: ((line: string) => Sample | null) | null = null;
  let damaged = 0;
  try {
    for await (const line of linesOf(source as Readable)) {
      if (line === '') continue;
      if (readLine === null) {
        readLine = readerFor(line, options);
        if (!line.startsWith('{')) continue;
      }
      const sample = readLine(line);
      if (sample !== null) yield sample;
      else if (!isOtherRecord(line)) damaged += 1;
    }
    if (damaged > 0)
      io.err(`wsguard replay: skipped ${formatValue(damaged, 'damaged lines')}; the file may be cut off\n`);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const name = file === '-' ? 'standard input' : file;
    throw new CliError('WSGUARD_REPLAY_FILE', `cannot read ${name}: ${fileErrorText(error)}`, FILE_HINT);
  }
}

/** Recordings have lines of JSON that are no samples, such as the alerts of the run. */
const isOtherRecord = (line: string): boolean => line.startsWith('{') && line.endsWith('}');

/** The first line is the header of a CSV trace, or the first JSON sample. */
function readerFor(firstLine: string, options: TraceOptions): (line: string) => Sample | null {
  if (firstLine.startsWith('{')) return (line) => readSampleLine(line, options);
  const columns = firstLine.split(',').map((name) => name.trim());
  if (!columns.includes('t') || !(columns.includes('olds') || columns.includes('hu')))
    throw new CliError(
      'WSGUARD_REPLAY_FORMAT',
      'the first line is not a header with the columns t, and hu or olds',
      RECORDING_HINT,
    );
  return createTraceReader(firstLine, options);
}

async function* linesOf(source: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of await unzip(source)) {
    rest += String(chunk);
    let start = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
      yield rest.slice(start, end).trimEnd();
      start = end + 1;
    }
    rest = rest.slice(start);
    if (rest.length > MAX_LINE_CHARS)
      throw new CliError(
        'WSGUARD_REPLAY_FORMAT',
        'a line has more than 4,000,000 characters',
        RECORDING_HINT,
      );
  }
  yield rest.trimEnd();
}

/** Detects gzip by the first two bytes, because a pipe has no name. */
async function unzip(source: Readable): Promise<Readable> {
  const chunk = await readFirstChunk(source);
  const isGzip = GZIP_MAGIC.every((byte, i) => chunk[i] === byte);
  const output = isGzip ? createGunzip() : new PassThrough();
  output.setEncoding('utf8');
  // pipeline destroys `output` with the error, so the reader of `output` sees it.
  pipeline(source, output, () => undefined);
  return output;
}

/** The chunk is pushed back, so the stream still starts at its first byte. */
function readFirstChunk(source: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const removeListeners = (): void => {
      source.off('readable', onReadable);
      source.off('end', onReadable);
      source.off('error', reject);
    };
    const onReadable = (): void => {
      const chunk = source.read() as Buffer | null;
      if (chunk === null && !source.readableEnded) return;
      removeListeners();
      if (chunk !== null) source.unshift(chunk);
      resolve(chunk ?? Buffer.alloc(0));
    };
    source.on('readable', onReadable);
    source.on('end', onReadable);
    source.on('error', reject);
  });
}
