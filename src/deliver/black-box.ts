/**
 * Keeps the last hour of samples and the open alerts on disk, written as they arrive: SIGKILL and the OOM killer leave
 * no time to save anything. Written samples survive the death of the process, but not a crash of the machine.
 */
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder, makePrivateFolder, removeEmptyFolder, replaceFile } from '../core/folders.ts';
import type { Alert, BlackBoxOwner, Identity, MemoryPoint, Sample } from '../types/index.ts';

/** Two segments of half an hour each at the default interval. A full segment replaces the older one. */
const MAX_SEGMENT_SAMPLES = 120;
export const MAX_SEGMENT_BYTES = 4 * 1024 ** 2;
export const SEGMENT_NAMES = ['box-0.ndjson', 'box-1.ndjson'] as const;
export const LAST_MINUTE_NAME = 'last-minute.ndjson';
/** One minute at four points a second. */
const LAST_MINUTE_POINTS = 240;
/** A line has a fixed length, so that writing one never moves another. Seven names and numbers are shorter. */
const POINT_BYTES = 320;
export const OWNER_NAME = 'owner.json';
export const ALERTS_NAME = 'open-alerts.json';
/** The folder of pending deliveries. It stays after a regular exit. */
export const OUTBOX_NAME = 'outbox';
const PRIVATE_FILE = 0o600;

export interface BlackBox {
  writeSample(sample: Sample): void;
  /** The file has a fixed size, and the newest point replaces the oldest one. */
  writeMemoryPoint(point: MemoryPoint): void;
  /** Replaces the alerts that were written before. */
  writeOpenAlerts(alerts: readonly Alert[]): void;
  /** Marks a regular exit. The next start finds no crash here, and takes over the alerts that are still open. */
  close(): void;
}

/** The black box of one process is a folder named after its instance. */
export const blackBoxFolder = (dir: string, instance: string): string => join(dir, instance);

/** Throws errors of the file system; the caller logs them. */
export function openBlackBox(dir: string, identity: Identity, startedWallMs: number): BlackBox {
  const folder = blackBoxFolder(dir, identity.instance);
  makePrivateFolder(dir);
  makeFolder(folder);
  const owner: BlackBoxOwner = {
    identity,
    startedWallMs,
    bootId: readBootId(),
    startTicks: readStartTicks(identity.pid),
  };
  replaceFile(join(folder, OWNER_NAME), JSON.stringify(owner));
  let segment: 0 | 1 = 0;
  let samples = 0;
  let bytes = 0;
  let file: PrivateFile | null = new PrivateFile(join(folder, SEGMENT_NAMES[segment]));
  const lastMinute = new PrivateFile(join(folder, LAST_MINUTE_NAME));
  let points = 0;
  return {
    writeSample(sample) {
      const line = Buffer.from(`${JSON.stringify(sample)}\n`);
      if (line.length > MAX_SEGMENT_BYTES) return;
      if (samples >= MAX_SEGMENT_SAMPLES || bytes + line.length > MAX_SEGMENT_BYTES) {
        file?.close();
        file = null;
        segment = segment === 0 ? 1 : 0;
        samples = bytes = 0;
      }
      // Null when the disk was full at the last attempt.
      file ??= new PrivateFile(join(folder, SEGMENT_NAMES[segment]));
      file.write(line);
      samples += 1;
      bytes += line.length;
    },
    writeMemoryPoint(point) {
      const line = `${JSON.stringify(point).padEnd(POINT_BYTES - 1)}\n`;
      if (line.length > POINT_BYTES) return;
      lastMinute.write(Buffer.from(line), (points % LAST_MINUTE_POINTS) * POINT_BYTES);
      points += 1;
    },
    writeOpenAlerts(alerts) {
      if (alerts.length === 0) rmSync(join(folder, ALERTS_NAME), { force: true });
      else replaceFile(join(folder, ALERTS_NAME), JSON.stringify(alerts));
    },
    close() {
      file?.close();
      lastMinute.close();
      discardSamples(folder);
    },
  };
}

/**
 * Deletes the samples and the owner file, which marks a regular exit; the open alerts stay. The application thread
 * calls it at `exit`, when the watcher may be gone, so it does no more than four unlinks and removes the folder when it is
 * empty.
 */
export function discardSamples(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of [...SEGMENT_NAMES, LAST_MINUTE_NAME, OWNER_NAME])
    rmSync(join(folder, name), { force: true });
  removeEmptyFolder(folder);
}

class PrivateFile {
  /** Null after it was closed: its number can belong to a socket of the application at once. */
  #descriptor: number | null;

  /** Deletes and creates the file, so that a link which another user put there is never followed. */
  constructor(path: string) {
    rmSync(path, { force: true });
    this.#descriptor = openSync(path, 'wx', PRIVATE_FILE);
  }

  /** Without a position the bytes come after those of the last write. After `close` nothing is written. */
  write(bytes: Buffer, position: number | null = null): void {
    if (this.#descriptor !== null) writeSync(this.#descriptor, bytes, 0, bytes.length, position);
  }

  close(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = null;
    if (descriptor !== null) closeSync(descriptor);
  }
}

/** Identifies one boot of the machine; `null` outside Linux. */
export function readBootId(): string | null {
  const file = '/proc/sys/kernel/random/boot_id';
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
}

/**
 * Start time of a process in clock ticks since boot; `null` when there is no such process or no /proc. It is field 22
 * of /proc/<pid>/stat. Field 2, the program name, can hold spaces and brackets, so fields are counted from its end.
 */
export function readStartTicks(pid: number): string | null {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return null;
  try {
    const text = readFileSync(file, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
