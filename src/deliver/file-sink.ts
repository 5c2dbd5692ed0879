/**
 * Writes alerts and reports into WSGUARD_DIR, readable by this user only. A failed write resolves with a code. When the
 * last line of `alerts.ndjson` is incomplete, a line break is written before the next alert.
 */
import { constants } from 'node:fs';
import { lstat, open, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, makePrivateFolder } from '../core/folders.ts';
import { escapeControls } from '../core/safe-text.ts';
import type { Alert, Delivery } from '../types/index.ts';

export interface FileSinkOptions {
  readonly dir: string;
  /** Size at which `alerts.ndjson` is rotated. */
  readonly maxBytes?: number;
  /** True when Node's permission model forbids writing to `dir`. */
  readonly isDenied?: boolean;
}

export type ReportFiles = Readonly<Partial<Record<'report.json' | 'report.txt' | 'report.html', string>>>;

export interface FileSink {
  /** Appends one line to `alerts.ndjson`. */
  appendAlert(alert: Alert): Promise<Delivery>;
  /** Writes `<dir>/<alert id>/report.*`. Each file is replaced by a rename, so a reader never sees half of one. */
  writeReport(alertId: string, files: ReportFiles): Promise<Delivery>;
}

const ALERTS_NAME = 'alerts.ndjson';
const ROTATED_NAME = 'alerts.1.ndjson';
/** docs/alerts.md promises this number. */
const MAX_BYTES = 10 * 1024 * 1024;
const PRIVATE_FILE = 0o600;
const ROOT = 0;
const DELIVERED: Delivery = { outcome: 'delivered' };
const DISK_FULL_CODES = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const DENIED_CODES = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EEXIST',
  'ELOOP',
  'ENXIO',
  'ERR_ACCESS_DENIED',
]);

export function createFileSink({ dir, maxBytes = MAX_BYTES, isDenied = false }: FileSinkOptions): FileSink {
  let last: Promise<unknown> = Promise.resolve();
  /** True when the last line has no line break. `null` before the first write: an earlier process may have died. */
  let isTorn: boolean | null = null;

  /** Runs the tasks one after the other, so that lines stay complete and in order. */
  function enqueue(task: () => Promise<void>): Promise<Delivery> {
    if (isDenied) return Promise.resolve(dropped({ code: 'ERR_ACCESS_DENIED' }, dir));
    const done = last.then(task).then(
      () => DELIVERED,
      (error: unknown) => dropped(error, dir),
    );
    last = done;
    return done;
  }

  async function append(line: string): Promise<void> {
    makePrivateFolder(dir);
    const path = join(dir, ALERTS_NAME);
    const size = await sizeOf(path);
    // The size is read right before the rename, so that two processes rarely rotate a shared file at the same time.
    if (size > 0 && size + line.length > maxBytes) await rename(path, join(dir, ROTATED_NAME));
    const file = await openToAppend(path);
    try {
      isTorn ??= await lacksLineBreak(path);
      const bytes = Buffer.from(isTorn ? `\n${line}` : line);
      // One write with O_APPEND keeps the line complete when cluster workers share the file.
      const { bytesWritten } = await file.write(bytes);
      isTorn = bytesWritten < bytes.length;
      if (isTorn) throw Object.assign(new Error('disk full'), { code: 'ENOSPC' });
    } finally {
      await file.close();
    }
  }

  return {
    appendAlert: (alert) => enqueue(() => append(escapeControls(`${JSON.stringify(alert)}\n`))),
    writeReport: (alertId, files) =>
      enqueue(async () => {
        const folder = join(dir, safeName(alertId));
        makePrivateFolder(dir);
        makeFolder(folder);
        for (const [name, text] of Object.entries(files)) await replaceFile(join(folder, name), text);
      }),
  };
}

/**
 * Follows a symbolic link of this user, for example to /dev/stdout. A link of another user is refused, because it could
 * make us overwrite a file that only we may write. O_NONBLOCK keeps a FIFO that nobody reads from blocking the exit.
 */
async function openToAppend(path: string): Promise<FileHandle> {
  const link = await lstat(path).catch(() => null);
  const isOwnLink = link?.isSymbolicLink() === true && link.uid === process.getuid?.();
  const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  // On Windows the last two are undefined although their type is number; undefined counts as 0 here.
  const flags = O_APPEND | O_CREAT | O_WRONLY | O_NONBLOCK | (isOwnLink ? 0 : O_NOFOLLOW);
  const file = await open(path, flags, PRIVATE_FILE);
  const fileStat = await file.stat();
  if (isOwnLink || (fileStat.isFile() && isTrusted(fileStat.uid))) return file;
  await file.close();
  const message = `${ALERTS_NAME} is not a regular file of this user`;
  throw Object.assign(new Error(message), { code: 'EEXIST' });
}

/** Another user could read what is written to a file of his. Windows has no user ids. */
function isTrusted(userId: number): boolean {
  const ownId = process.geteuid?.();
  return ownId === undefined || userId === ownId || userId === ROOT;
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await rm(temporary, { force: true });
    // `wx` fails if the file exists, because it could be a link that another user put there.
    await writeFile(temporary, text, { mode: PRIVATE_FILE, flag: 'wx' });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0;
  }
}

async function lacksLineBreak(path: string): Promise<boolean> {
  const size = await sizeOf(path);
  if (size === 0) return false;
  const file = await open(path, 'r');
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer.toString() !== '\n';
  } finally {
    await file.close();
  }
}

/** Open alerts are read back from disk, so an id must not be able to name a folder outside the directory. */
const safeName = (alertId: string): string => alertId.replace(/[^\w-]/g, '_').slice(0, 100);

const dropped = (error: unknown, dir: string): Delivery => ({
  outcome: 'dropped',
  ...writeFailure(error, dir),
});

/** The WSGUARD code (docs/errors.md) and the reason of a failed write into `dir`. */
export function writeFailure(error: unknown, dir: string): { code: string; reason: string } {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code === 'WSGUARD_DIR_UNSAFE') return { code, reason: `${dir}: ${message}` };
  const reason = `${dir}: ${code || message}`;
  if (DISK_FULL_CODES.has(code)) return { code: 'WSGUARD_DISK_FULL', reason };
  return { code: DENIED_CODES.has(code) ? 'WSGUARD_DIR_UNWRITABLE' : 'WSGUARD_FILE_FAILED', reason };
}
