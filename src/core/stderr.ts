/**
 * Writes lines to stderr without waiting for its reader. A pipe or socket that nobody reads fills up, and a write to it then
 * waits for ever: on the application thread it stops the server, in the watcher thread it stops the exit of the process.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  writeSync,
  type BigIntStats,
} from 'node:fs';
import type * as Net from 'node:net';
import { isMainThread } from 'node:worker_threads';

const STDERR = 2;
const STDERR_FILE = '/proc/self/fd/2';
const STDERR_INFO = '/proc/self/fdinfo/2';
/** Windows has no O_NONBLOCK and O_NOCTTY; both are used on Linux only. */
const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;

/** Device and inode of the file behind descriptor 2; null when it is closed. */
export type StderrFile = { readonly dev: bigint; readonly ino: bigint } | null;

export function stderrFile(): StderrFile {
  try {
    const { dev, ino } = fstatSync(STDERR, { bigint: true });
    return { dev, ino };
  } catch {
    return null;
  }
}

/**
 * The returned function writes one line, with its line break. A line for which there is no room is dropped and counted. So is
 * each line after the application has closed descriptor 2: the next file or connection that it opens gets that number.
 */
export function createStderrWriter(
  file: StderrFile = stderrFile(),
  write: (bytes: Buffer) => number = (bytes) => writeNow(bytes, file),
): (line: string) => void {
  let dropped = 0;
  let isTorn = false;
  return (line) => {
    const bytes = Buffer.from(`${isTorn ? '\n' : ''}${dropped === 0 ? '' : droppedNote(dropped)}${line}`);
    let written = 0;
    try {
      written = write(bytes);
    } catch {
      // EAGAIN: there is no room. Other errors: stderr is closed.
    }
    if (written === bytes.length) {
      dropped = 0;
      isTorn = false;
      return;
    }
    dropped += 1;
    // A pipe can take a part of a line that is longer than 4 KiB.
    if (written > 0) isTorn = true;
  };
}

const droppedNote = (dropped: number): string =>
  `{"level":40,"name":"wsguard","dropped":${dropped},"msg":"log lines were dropped because stderr was full"}\n`;

/** Returns the number of bytes that were written; throws where none could be. */
function writeNow(bytes: Buffer, file: StderrFile): number {
  const stat = fstatSync(STDERR, { bigint: true });
  if (stat.dev !== file?.dev || stat.ino !== file.ino) throw new Error('descriptor 2 is another file now');
  // A regular file never makes a write wait. Opened anew it would get a position of its own, and overwrite lines.
  if (stat.isFile() || process.platform === 'win32') return writeSync(STDERR, bytes);
  const descriptor = openAnew(stat);
  if (descriptor === null) return writeToShared(bytes, stat);
  try {
    return writeSync(descriptor, bytes);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Opens a pipe or terminal a second time. O_NONBLOCK then belongs to our descriptor only, and not to all processes that
 * share this stderr. Null for a socket, which cannot be opened, and for a pipe that belongs to another user.
 */
function openAnew(stat: BigIntStats): number | null {
  if (process.platform !== 'linux' || stat.isSocket()) return null;
  try {
    return openSync(STDERR_FILE, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return null;
  }
}

function writeToShared(bytes: Buffer, stat: BigIntStats): number {
  if (stat.isCharacterDevice()) return writeSync(STDERR, bytes);
  if (isBlocking() !== false) {
    makeNonBlocking();
    if (isBlocking() === true) throw new Error('a write to stderr could wait');
  }
  return writeSync(STDERR, bytes);
}

/** Null where the system does not say it. */
function isBlocking(): boolean | null {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(STDERR_INFO, 'latin1'))?.[1];
    return flags === undefined ? null : (parseInt(flags, 8) & O_NONBLOCK) === 0;
  } catch {
    return null;
  }
}

/** A stream of the worker's own. Node never closes the descriptors 0 to 2 together with a stream. */
let workerStream: Net.Socket | null = null;

/** Node makes a pipe or socket non-blocking when it opens a stream on it, and undoes it at the exit of the process. */
function makeNonBlocking(): void {
  if (isMainThread) {
    // The getter opens the stream, as the application's first `console.error` does.
    void process.stderr;
    return;
  }
  const { Socket } = require('node:net') as typeof Net;
  workerStream ??= new Socket({ fd: STDERR, readable: false, writable: true });
  workerStream.on('error', () => undefined).unref();
}
