/**
 * Alerts and reports as files. Made at the first alarm, for this user only. What cannot be written is answered with
 * a code; a torn last line (a disk that filled up) is ended before the next one begins.
 */
import { constants } from 'node:fs';
import { lstat, open, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, makePrivateFolder } from '../core/folders.ts';
import type { Alert, Delivery } from '../types/index.ts';

export interface FileSinkOptions {
  readonly dir: string;
  readonly maxBytes?: number;
  /** The application may not write there, and so neither may we. */
  readonly isDenied?: boolean;
}

export type ReportFiles = Readonly<Partial<Record<'report.json' | 'report.txt' | 'report.html', string>>>;

export interface FileSink {
  /** One line per transition in `alerts.ndjson`. */
  appendAlert(alert: Alert): Promise<Delivery>;
  /** `<dir>/<alert id>/report.*`, each in one step: a reader sees the old file or the new one. */
  writeReport(alertId: string, files: ReportFiles): Promise<Delivery>;
  /** Makes the folder of an alert, for the snapshots beside the report. */
  makeAlertDir(alertId: string): Promise<Delivery>;
  alertDir(alertId: string): string;
}

const ALERTS = 'alerts.ndjson';
const ALERTS_BEFORE = 'alerts.1.ndjson';
const MAX_BYTES = 10 * 1024 * 1024;
const FILE_MODE = 0o600;
const DELIVERED: Delivery = { outcome: 'delivered' };
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const DENIED = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ELOOP', 'ERR_ACCESS_DENIED']);

export function createFileSink({ dir, maxBytes = MAX_BYTES, isDenied = false }: FileSinkOptions): FileSink {
  let last: Promise<unknown> = Promise.resolve();
  /** Whether the last line lacks its end; not known before the first one, a process may have died over it. */
  let torn: boolean | null = null;

  /** One after the other, so that lines stay whole and in order. */
  function inTurn(task: () => Promise<void>): Promise<Delivery> {
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
    const path = join(dir, ALERTS);
    const size = await sizeOf(path);
    // Looked at right before, so that of several processes on one directory hardly two rotate one file.
    if (size > 0 && size + line.length > maxBytes) await rename(path, join(dir, ALERTS_BEFORE));
    const file = await openToAppend(path);
    try {
      torn ??= await isTorn(path);
      const bytes = Buffer.from(torn ? `\n${line}` : line);
      // One write of one line, appended by the kernel: whole even when a cluster shares the file.
      const { bytesWritten } = await file.write(bytes);
      torn = bytesWritten < bytes.length;
      if (torn) throw Object.assign(new Error('disk full'), { code: 'ENOSPC' });
    } finally {
      await file.close();
    }
  }

  const alertDir = (alertId: string): string => join(dir, safeName(alertId));

  async function makeAlertDir(alertId: string): Promise<void> {
    makePrivateFolder(dir);
    makeFolder(alertDir(alertId));
  }

  return {
    alertDir,
    appendAlert: (alert) => inTurn(() => append(`${JSON.stringify(alert)}\n`)),
    makeAlertDir: (alertId) => inTurn(() => makeAlertDir(alertId)),
    writeReport: (alertId, files) =>
      inTurn(async () => {
        await makeAlertDir(alertId);
        for (const [name, text] of Object.entries(files)) await replace(join(alertDir(alertId), name), text);
      }),
  };
}

/**
 * A link that another user planted in a directory that is his too would have us write where only we may; one of our
 * own (to /dev/stdout, say) is followed.
 */
async function openToAppend(path: string): Promise<FileHandle> {
  const link = await lstat(path).catch(() => null);
  const isOurs = link?.isSymbolicLink() === true && link.uid === process.getuid?.();
  const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW } = constants;
  // Windows has no O_NOFOLLOW, whatever its type says: undefined counts as 0.
  return open(path, O_APPEND | O_CREAT | O_WRONLY | (isOurs ? 0 : O_NOFOLLOW), FILE_MODE);
}

async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await rm(temporary, { force: true });
    // Made anew or not at all: what lies there under our name may be a link.
    await writeFile(temporary, text, { mode: FILE_MODE, flag: 'wx' });
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

async function isTorn(path: string): Promise<boolean> {
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

/** Ids are our own; kept alert lists are read back from disk, so nothing may climb out of the directory. */
const safeName = (alertId: string): string => alertId.replace(/[^\w-]/g, '_').slice(0, 100);

function dropped(error: unknown, dir: string): Delivery {
  const { code = 'unknown', message } = error as NodeJS.ErrnoException;
  const reason = `${dir}: ${code === 'unknown' ? message : code}`;
  if (FULL.has(code)) return { outcome: 'dropped', code: 'WSGUARD_DISK_FULL', reason };
  if (DENIED.has(code)) return { outcome: 'dropped', code: 'WSGUARD_DIR_UNWRITABLE', reason };
  return { outcome: 'dropped', code: 'WSGUARD_FILE_FAILED', reason };
}
