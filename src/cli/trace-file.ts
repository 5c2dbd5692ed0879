/** A recording as a stream of samples: CSV or lines of JSON, gzipped or not, a file or a pipe; in bounded memory. */

import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { PassThrough, pipeline, type Readable } from 'node:stream';
import type { Sample } from '../types/index.ts';
import { CliError, type CliIo } from './io.ts';
import { createTraceReader, readSampleLine, type TraceOptions } from './trace.ts';

/** A row of a trace has some 300 characters; a line of a sample with hundreds of registries some 100,000. */
const MAX_LINE_CHARS = 4_000_000;
const GZIP = [0x1f, 0x8b];
const HINT = 'Expected samples.ndjson of the agent, or a CSV that begins with its columns (t, hu, rss, ...).';

export async function* openTrace(
  file: string,
  io: Pick<CliIo, 'stdin'>,
  options: TraceOptions,
): AsyncGenerator<Sample> {
  const source = file === '-' ? io.stdin : createReadStream(file);
  let read: ((line: string) => Sample | null) | null = null;
  try {
    for await (const line of linesOf(source as Readable)) {
      if (line === '') continue;
      if (read === null) {
        read = readerOf(line, options);
        if (!line.startsWith('{')) continue;
      }
      const sample = read(line);
      if (sample !== null) yield sample;
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError('WSGUARD_REPLAY_FILE', `cannot read ${file}: ${reason}`, HINT);
  }
}

function readerOf(firstLine: string, options: TraceOptions): (line: string) => Sample | null {
  if (firstLine.startsWith('{')) return (line) => readSampleLine(line, options);
  const columns = firstLine.split(',').map((name) => name.trim());
  if (!columns.includes('t') || !(columns.includes('olds') || columns.includes('hu')))
    throw new CliError('WSGUARD_REPLAY_FORMAT', 'the first line is no header of a trace', HINT);
  return createTraceReader(firstLine, options);
}

async function* linesOf(source: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of await unzipped(source)) {
    rest += String(chunk);
    let from = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', from)) {
      yield rest.slice(from, end).trimEnd();
      from = end + 1;
    }
    rest = rest.slice(from);
    if (rest.length > MAX_LINE_CHARS)
      throw new CliError('WSGUARD_REPLAY_FORMAT', 'a line of more than 4,000,000 characters', HINT);
  }
  yield rest.trimEnd();
}

/** Told by the first two bytes, not by the name: a pipe has none. */
async function unzipped(source: Readable): Promise<Readable> {
  const first = await firstBytes(source);
  const isGzip = GZIP.every((byte, i) => first[i] === byte);
  const through = isGzip ? createGunzip() : new PassThrough();
  through.setEncoding('utf8');
  // Errors reach the reader through `through`, which pipeline destroys with them.
  pipeline(source, through, () => undefined);
  return through;
}

function firstBytes(source: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      source.off('readable', look);
      source.off('end', look);
      source.off('error', reject);
    };
    const look = (): void => {
      const chunk = source.read() as Buffer | null;
      if (chunk === null && !source.readableEnded) return;
      done();
      if (chunk !== null) source.unshift(chunk);
      resolve(chunk ?? Buffer.alloc(0));
    };
    source.on('readable', look);
    source.on('end', look);
    source.on('error', reject);
  });
}
