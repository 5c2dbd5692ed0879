/**
 * The last hour on disk, written as it happens: a SIGKILL or the OOM killer leaves no time for last words. What was
 * handed to `write` survives the process; only the machine's own end could lose it.
 */

import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeFolder, makePrivateFolder } from '../core/folders.ts';
import { readAlerts, readJson, samplesOf } from './black-box-files.ts';
import type { Alert, BoxOwner, DeadBox, Identity, Sample } from '../types/index.ts';

/** Two segments of half an hour each at the default period: the older one goes when the newer is full. */
const SEGMENT_SAMPLES = 120;
const SEGMENT_BYTES = 4 * 1024 ** 2;
const SEGMENTS = ['box-0.ndjson', 'box-1.ndjson'] as const;
const OWNER = 'owner.json';
const ALERTS = 'open-alerts.json';
/** Beside other hosts (a shared volume) life shows in the box itself: it is written each period. */
const FRESH_MS = 5 * 60_000;
const MAX_BOXES = 20;
const PRIVATE = 0o600;

export interface BlackBox {
  sample(sample: Sample): void;
  alerts(open: readonly Alert[]): void;
  /** Goodbye: the next start finds no death here. Open alerts stay for it unless there are none. */
  close(): void;
}

/** Throws what the file system throws; the guard of the caller counts it. */
export function openBlackBox(dir: string, identity: Identity, startedWallMs: number): BlackBox {
  const folder = join(dir, identity.instance);
  makePrivateFolder(dir);
  makeFolder(folder);
  const owner: BoxOwner = { identity, startedWallMs, bootId: bootId(), startTicks: startTicks(identity.pid) };
  replace(join(folder, OWNER), JSON.stringify(owner));
  let segment = 0;
  let samples = 0;
  let bytes = 0;
  let fd = openAnew(join(folder, SEGMENTS[0]));
  return {
    sample(sample) {
      const line = Buffer.from(`${JSON.stringify(sample)}\n`);
      if (line.length > SEGMENT_BYTES) return;
      if (samples >= SEGMENT_SAMPLES || bytes + line.length > SEGMENT_BYTES) {
        closeSync(fd);
        segment = 1 - segment;
        samples = bytes = 0;
        fd = openAnew(join(folder, SEGMENTS[segment] ?? SEGMENTS[0]));
      }
      writeSync(fd, line);
      samples += 1;
      bytes += line.length;
    },
    alerts(open) {
      if (open.length === 0) rmSync(join(folder, ALERTS), { force: true });
      else replace(join(folder, ALERTS), JSON.stringify(open));
    },
    close() {
      closeSync(fd);
      farewell(folder);
    },
  };
}

/** Also for the application's thread at `exit`, when the watcher is gone already: three unlinks, no more. */
export function farewell(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of [...SEGMENTS, OWNER]) rmSync(join(folder, name), { force: true });
}

export const boxFolder = (dir: string, instance: string): string => join(dir, instance);

/** Boxes of this service whose processes are gone. Each is claimed by a rename, so one finder tells of it. */
export function takeDeadBoxes(dir: string, self: Identity, wallMs: number): DeadBox[] {
  const folders = existsSync(dir) ? readdirSync(dir, { withFileTypes: true }) : [];
  const boxes: DeadBox[] = [];
  for (const { name } of folders.filter((entry) => entry.isDirectory()).slice(0, 10 * MAX_BOXES)) {
    if (name === self.instance || boxes.length >= MAX_BOXES) continue;
    const folder = join(dir, name);
    const owner = readJson<BoxOwner>(join(folder, OWNER));
    if (owner?.identity?.service !== self.service || isLocked(folder, owner, { self, wallMs })) continue;
    if (!claim(folder)) continue;
    boxes.push({
      owner,
      samples: samplesOf(SEGMENTS.map((name) => join(folder, name))),
      openAlerts: readAlerts(join(folder, ALERTS)),
    });
    farewell(folder);
    rmSync(join(folder, `${OWNER}.claimed`), { force: true });
    rmSync(join(folder, ALERTS), { force: true });
  }
  return boxes;
}

/** Open alerts of processes of this service that said goodbye: no death, and not forgotten either. */
export function takeLeftAlerts(dir: string, self: Identity): Alert[] {
  const folders = existsSync(dir) ? readdirSync(dir, { withFileTypes: true }) : [];
  return folders
    .filter((entry) => entry.isDirectory() && entry.name !== self.instance)
    .slice(0, 10 * MAX_BOXES)
    .flatMap(({ name }) => {
      const folder = join(dir, name);
      if (existsSync(join(folder, OWNER))) return [];
      const alerts = readAlerts(join(folder, ALERTS));
      if (alerts.length === 0 || alerts[0]?.service !== self.service) return [];
      rmSync(join(folder, ALERTS), { force: true });
      return alerts;
    });
}

function isLocked(folder: string, owner: BoxOwner, now: { self: Identity; wallMs: number }): boolean {
  const { identity, bootId: boot, startTicks: ticks } = owner;
  const sameMachine = identity.host === now.self.host && boot === bootId();
  if (!sameMachine) return now.wallMs - lastWriteMs(folder) < FRESH_MS;
  const running = startTicks(identity.pid);
  // Where the system tells no start time (no /proc) a living pid has to do.
  return running === null ? ticks === null && isAlive(identity.pid) : running === ticks;
}

function claim(folder: string): boolean {
  try {
    renameSync(join(folder, OWNER), join(folder, `${OWNER}.claimed`));
    return true;
  } catch {
    return false;
  }
}

function lastWriteMs(folder: string): number {
  const times = SEGMENTS.map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return Math.max(...times);
}

/** Never through a link that another user put there. */
function openAnew(file: string): number {
  rmSync(file, { force: true });
  return openSync(file, 'wx', PRIVATE);
}

function replace(file: string, text: string): void {
  rmSync(`${file}.tmp`, { force: true });
  writeFileSync(`${file}.tmp`, text, { mode: PRIVATE, flag: 'wx' });
  renameSync(`${file}.tmp`, file);
}

function bootId(): string | null {
  const file = '/proc/sys/kernel/random/boot_id';
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
}

/** Field 22 of /proc/<pid>/stat; the name in field 2 may hold spaces and brackets, so it is counted from its end. */
function startTicks(pid: number): string | null {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return null;
  try {
    const text = readFileSync(file, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
