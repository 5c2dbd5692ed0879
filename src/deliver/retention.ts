/**
 * Bounds what the agent keeps in its directory: reports, snapshots, and what ended processes left. It removes only files whose
 * names are the agent's, and a folder only when it is empty afterwards.
 */
import { lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { readSmallRegularFile } from '../core/files.ts';

/** docs/alerts.md promises these numbers. */
const MAX_REPORTS = 200;
const MAX_ENDED_PROCESSES = 200;
const MAX_SNAPSHOTS = 100;
const MAX_SNAPSHOT_BYTES = 2 * 1024 ** 3;
const MAX_AGE_MS = 30 * 24 * 3_600_000;
/** Chosen: an alert or a process that wrote within this time may still use its files. */
const MIN_AGE_MS = 24 * 3_600_000;
/** A bound on the work. A look at one folder takes about 50 us. */
const MAX_FOLDERS = 20_000;
/** A report is below 1 MiB. A larger one counts as an alert that was reported once. */
const MAX_REPORT_BYTES = 4 * 1024 ** 2;

const REPORT = 'report.json';
const REPORT_FILE = /^report\.(?:json|txt|html)(?:\.\d+\.tmp)?$/;
const PROCESS_FILE =
  /^(?:box-[01]\.ndjson|last-minute\.ndjson|owner\.json(?:\.claimed|\.tmp)?|open-alerts\.json(?:\.tmp)?)$/;
const SNAPSHOT_FILE = /^heap-\d+-.+\.heapsnapshot(?:\.gz)?$/;
const TEMPORARY_FILE = /^\.wsguard-.+\.\d+\.tmp$/;
const RAW_FOLDER = '.raw';

interface File {
  readonly path: string;
  readonly bytes: number;
  readonly writtenMs: number;
}

/** A folder of an alert, of a process, or of snapshots. */
export interface KeptFolder {
  readonly path: string;
  /** `snapshots`: it has no report and nothing of a process. */
  readonly content: 'report' | 'process' | 'snapshots';
  /** The newest of its files that are not snapshots. */
  readonly writtenMs: number;
  /** Groups the reports of one alert; null where there is none. */
  readonly fingerprint: string | null;
  readonly files: readonly File[];
  readonly snapshots: readonly File[];
}

/** Removes all files of some folders, and single snapshots. */
export interface Removal {
  readonly folders: readonly KeptFolder[];
  readonly snapshots: readonly File[];
}

/** Removes what is beyond the bounds. `openIds`: alerts that are open. Resolves with the number of removed files. */
export async function removeExpired(
  dir: string,
  openIds: ReadonlySet<string>,
  wallMs: number,
): Promise<number> {
  const folders = await readFolders(dir, openIds);
  const { folders: expired, snapshots } = planRemoval(folders, wallMs);
  let removed = 0;
  for (const { path } of snapshots) removed += await removeOne(path);
  for (const folder of expired) {
    for (const { path } of [...folder.files, ...folder.snapshots]) removed += await removeOne(path);
  }
  for (const { path } of expired) await removeFolder(path);
  return removed;
}

/** Pure. Of the reports of one fingerprint the first and the last stay longest: they say since when, and what it was last. */
export function planRemoval(folders: readonly KeptFolder[], wallMs: number): Removal {
  const old = folders.filter(({ writtenMs }) => wallMs - writtenMs > MIN_AGE_MS).toSorted(byTime);
  const reports = old.filter(({ content }) => content === 'report');
  const middle = withoutFirstAndLast(reports, folders);
  const isExpired = ({ writtenMs }: { writtenMs: number }): boolean => wallMs - writtenMs > MAX_AGE_MS;
  const excessReports = count(folders, 'report') - MAX_REPORTS;
  const expiredReports = new Set([
    ...middle.filter(isExpired),
    // `slice` with a negative end would count from the end.
    ...[...middle, ...reports.filter((report) => !middle.includes(report))].slice(
      0,
      Math.max(0, excessReports),
    ),
  ]);
  const processes = old.filter(({ content }) => content === 'process');
  const excessProcesses = Math.max(0, count(folders, 'process') - MAX_ENDED_PROCESSES);
  const expiredProcesses = processes.filter((folder, index) => index < excessProcesses || isExpired(folder));
  const expired = [...expiredReports, ...expiredProcesses];
  return { folders: expired, snapshots: excessSnapshots(folders, new Set(expired), wallMs) };
}

const byTime = (a: { writtenMs: number }, b: { writtenMs: number }): number => a.writtenMs - b.writtenMs;

const count = (folders: readonly KeptFolder[], content: KeptFolder['content']): number =>
  folders.filter((folder) => folder.content === content).length;

/** Without a fingerprint a report is the first and the last of its kind. */
function withoutFirstAndLast(
  reports: readonly KeptFolder[],
  folders: readonly KeptFolder[],
): readonly KeptFolder[] {
  const ends = new Map<string, { first: KeptFolder; last: KeptFolder }>();
  for (const folder of folders.toSorted(byTime)) {
    if (folder.fingerprint === null) continue;
    const { first = folder } = ends.get(folder.fingerprint) ?? {};
    ends.set(folder.fingerprint, { first, last: folder });
  }
  return reports.filter((report) => {
    const end = report.fingerprint === null ? undefined : ends.get(report.fingerprint);
    return end !== undefined && end.first !== report && end.last !== report;
  });
}

/** The oldest beyond the bounds. Young ones stay, because an analysis may read them. */
function excessSnapshots(
  folders: readonly KeptFolder[],
  expired: ReadonlySet<KeptFolder>,
  wallMs: number,
): File[] {
  const kept = folders.flatMap((folder) => (expired.has(folder) ? [] : folder.snapshots)).toSorted(byTime);
  let bytes = kept.reduce((sum, file) => sum + file.bytes, 0);
  let left = kept.length;
  const removed: File[] = [];
  for (const file of kept) {
    const isBeyond =
      left > MAX_SNAPSHOTS || bytes > MAX_SNAPSHOT_BYTES || wallMs - file.writtenMs > MAX_AGE_MS;
    if (!isBeyond || wallMs - file.writtenMs <= MIN_AGE_MS) break;
    removed.push(file);
    left -= 1;
    bytes -= file.bytes;
  }
  return removed;
}

async function readFolders(dir: string, openIds: ReadonlySet<string>): Promise<KeptFolder[]> {
  // The directory appears with the first file.
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  const folders: KeptFolder[] = [];
  for (const entry of entries.slice(0, MAX_FOLDERS)) {
    if (!entry.isDirectory() || openIds.has(entry.name)) continue;
    // Another process may remove it meanwhile.
    const folder = await readFolder(join(dir, entry.name)).catch(() => null);
    if (folder !== null) folders.push(folder);
  }
  return folders;
}

/** Null for a folder in which nothing is the agent's. */
async function readFolder(path: string): Promise<KeptFolder | null> {
  const files: File[] = [];
  const snapshots: File[] = [];
  let content: KeptFolder['content'] = 'snapshots';
  for (const name of await readdir(path)) {
    const isSnapshot = SNAPSHOT_FILE.test(name);
    const isProcess = PROCESS_FILE.test(name);
    if (!isSnapshot && !isProcess && !REPORT_FILE.test(name) && !TEMPORARY_FILE.test(name)) continue;
    const stat = await lstat(join(path, name));
    if (!stat.isFile()) continue;
    if (name === REPORT) content = 'report';
    else if (isProcess) content = 'process';
    const file = { path: join(path, name), bytes: stat.size, writtenMs: stat.mtimeMs };
    (isSnapshot ? snapshots : files).push(file);
  }
  if (files.length + snapshots.length === 0) return null;
  const newest = [...files, ...(files.length === 0 ? snapshots : [])].toSorted(byTime).at(-1)!;
  const fingerprint = content === 'report' ? reportedFingerprint(path) : null;
  return { path, content, writtenMs: newest.writtenMs, fingerprint, files, snapshots };
}

/** Fingerprint of the alert whose report is in the folder; null without a report. */
export function reportedFingerprint(folder: string): string | null {
  try {
    const { alert } = JSON.parse(readSmallRegularFile(join(folder, REPORT), MAX_REPORT_BYTES)) as {
      alert?: { fingerprint?: unknown };
    };
    return typeof alert?.fingerprint === 'string' ? alert.fingerprint : null;
  } catch {
    return null;
  }
}

async function removeOne(path: string): Promise<0 | 1> {
  try {
    await unlink(path);
    return 1;
  } catch {
    return 0;
  }
}

/** Fails, as it should, where something else is in the folder. */
async function removeFolder(path: string): Promise<void> {
  for (const folder of [join(path, RAW_FOLDER), path]) await rmdir(folder).catch(() => undefined);
}
