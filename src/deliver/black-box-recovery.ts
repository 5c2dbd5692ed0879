/**
 * Reads the black boxes of earlier processes of the same service. Their files may be cut off, damaged or written by
 * another version; everything that is not complete is skipped.
 */
import { existsSync, lstatSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readSmallRegularFile } from '../core/files.ts';
import { removeEmptyFolder } from '../core/folders.ts';
import { isProcessAlive } from '../core/process.ts';
import { isKind } from '../kinds/index.ts';
import type { Alert, BlackBoxOwner, CrashRecord, Identity, MemoryPoint, Sample } from '../types/index.ts';
import {
  ALERTS_NAME,
  discardSamples,
  LAST_MINUTE_NAME,
  MAX_SEGMENT_BYTES,
  OUTBOX_NAME,
  OWNER_NAME,
  readBootId,
  readStartTicks,
  SEGMENT_NAMES,
} from './black-box.ts';

/** On a shared volume the pid says nothing. A process there is alive while it writes a sample each interval. */
const MAX_SILENCE_MS = 5 * 60_000;
/** Bounds the work at start after a crash loop. */
const MAX_BOXES = 20;
/** Bounds the memory of the samples, which are about four times as large as their text. The other boxes wait for the next start. */
const MAX_SAMPLE_BYTES = 2 * MAX_SEGMENT_BYTES;
/** Bounds the work at start. The outboxes of more processes are taken over at the next start. */
const MAX_ENDED = 1000;
/** The folders of alerts are kept and only stay in the way. A look at one takes about 10 us. */
const MAX_FOLDERS = 20_000;
const MAX_JSON_BYTES = 4 * 1024 ** 2;

/**
 * The black boxes of processes that ended without a regular exit. A box is claimed by renaming its owner file, so that
 * only one of several new processes reports the crash.
 */
export function claimCrashRecords(dir: string, self: Identity, wallMs: number): CrashRecord[] {
  const boxes: CrashRecord[] = [];
  let bytesLeft = MAX_SAMPLE_BYTES;
  for (const folder of foldersOfOthers(dir, self)) {
    if (boxes.length >= MAX_BOXES) break;
    const bytes = sampleBytes(folder);
    if (bytes > bytesLeft) continue;
    const owner = readJson(join(folder, OWNER_NAME)) as BlackBoxOwner | null;
    if (owner?.identity?.service !== self.service || isAlive(folder, owner, { self, wallMs })) continue;
    if (!claim(folder)) continue;
    bytesLeft -= bytes;
    boxes.push({
      owner,
      samples: readSamples(folder),
      lastMinute: readLastMinute(folder),
      openAlerts: readAlerts(folder),
    });
    rmSync(join(folder, `${OWNER_NAME}.claimed`), { force: true });
    rmSync(join(folder, ALERTS_NAME), { force: true });
    discardSamples(folder);
  }
  return boxes;
}

/** The alerts that were still open when processes of this service exited regularly. */
export function claimOpenAlerts(dir: string, self: Identity): Alert[] {
  return foldersOfOthers(dir, self).flatMap((folder) => {
    if (existsSync(join(folder, OWNER_NAME))) return [];
    const alerts = readAlerts(folder);
    if (alerts.length === 0 || alerts[0]?.service !== self.service) return [];
    rmSync(join(folder, ALERTS_NAME), { force: true });
    removeEmptyFolder(folder);
    return alerts;
  });
}

/** The folders of processes that have ended, whatever their service. The outboxes of them can be taken over. */
export function endedFolders(dir: string, self: Identity, wallMs: number): string[] {
  return foldersIn(dir, self)
    .filter((folder) => existsSync(join(folder, OUTBOX_NAME)))
    .filter((folder) => {
      const owner = readJson(join(folder, OWNER_NAME)) as BlackBoxOwner | null;
      return owner?.identity === undefined || !isAlive(folder, owner, { self, wallMs });
    })
    .slice(0, MAX_ENDED);
}

const foldersOfOthers = (dir: string, self: Identity): string[] => foldersIn(dir, self).filter(isBlackBox);

function foldersIn(dir: string, self: Identity): string[] {
  // A file has no folders. Writing below it fails with a code of its own.
  if (!existsSync(dir) || !statSync(dir, { bigint: true }).isDirectory()) return [];
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== self.instance)
    .slice(0, MAX_FOLDERS)
    .map(({ name }) => join(dir, name));
}

const isBlackBox = (folder: string): boolean =>
  [OWNER_NAME, ALERTS_NAME].some((name) => existsSync(join(folder, name)));

function isAlive(folder: string, owner: BlackBoxOwner, now: { self: Identity; wallMs: number }): boolean {
  const { identity, bootId, startTicks } = owner;
  const isSameBoot = identity.host === now.self.host && bootId === readBootId();
  if (!isSameBoot) return now.wallMs - lastWriteMs(folder) < MAX_SILENCE_MS;
  const currentTicks = readStartTicks(identity.pid);
  // Without /proc there is no start time, so a process with this pid counts as the owner.
  return currentTicks === null
    ? startTicks === null && isProcessAlive(identity.pid)
    : currentTicks === startTicks;
}

function claim(folder: string): boolean {
  try {
    renameSync(join(folder, OWNER_NAME), join(folder, `${OWNER_NAME}.claimed`));
    return true;
  } catch {
    return false;
  }
}

const sampleBytes = (folder: string): number =>
  SEGMENT_NAMES.reduce(
    (sum, name) =>
      sum + Number(lstatSync(join(folder, name), { bigint: true, throwIfNoEntry: false })?.size ?? 0),
    0,
  );

function lastWriteMs(folder: string): number {
  const times = SEGMENT_NAMES.map((name) =>
    Number(statSync(join(folder, name), { bigint: true, throwIfNoEntry: false })?.mtimeMs ?? 0),
  );
  return Math.max(...times);
}

/** Samples of both segments in order. The last line of the newest segment may be cut off. */
const readSamples = (folder: string): Sample[] =>
  SEGMENT_NAMES.flatMap((name) => readLines(join(folder, name)))
    .filter(isSample)
    .toSorted((a, b) => a.seq - b.seq);

/** The newest point replaces the oldest one in the file, so the order of the lines is not the order in time. */
const readLastMinute = (folder: string): MemoryPoint[] =>
  readLines(join(folder, LAST_MINUTE_NAME))
    .filter(isMemoryPoint)
    .toSorted((a, b) => a.wallMs - b.wallMs);

const readLines = (file: string): unknown[] =>
  (readText(file, MAX_SEGMENT_BYTES)?.split('\n') ?? []).map(parseJson);

function readAlerts(folder: string): Alert[] {
  const alerts = readJson(join(folder, ALERTS_NAME));
  return Array.isArray(alerts) ? alerts.filter(isAlert) : [];
}

function readText(file: string, maxBytes: number): string | null {
  try {
    return readSmallRegularFile(file, maxBytes);
  } catch {
    return null;
  }
}

const readJson = (file: string): unknown => parseJson(readText(file, MAX_JSON_BYTES) ?? '');

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

function isSample(value: unknown): value is Sample {
  if (!isRecord(value)) return false;
  const { atMs, wallMs, memory, limits, connections } = value;
  return (
    typeof atMs === 'number' &&
    typeof wallMs === 'number' &&
    isRecord(memory) &&
    isRecord(limits) &&
    isRecord(connections) &&
    isRecord(connections['active'])
  );
}

function isMemoryPoint(value: unknown): value is MemoryPoint {
  if (!isRecord(value)) return false;
  const { wallMs, rssBytes, heapUsedBytes, externalBytes, ...rest } = value;
  const isNumberOrNull = (field: unknown): boolean => field === null || typeof field === 'number';
  return (
    [wallMs, rssBytes, heapUsedBytes, externalBytes].every((field) => typeof field === 'number') &&
    ['containerUsedBytes', 'containerOomKills', 'pressureShare'].every((name) => isNumberOrNull(rest[name]))
  );
}

/** The id becomes the name of a folder. */
const ALERT_ID = /^[\w-]{1,100}$/;

function isAlert(value: unknown): value is Alert {
  if (!isRecord(value)) return false;
  const { schema, id, kind, fingerprint, service } = value;
  return (
    schema === 'wsguard.alert/1' &&
    typeof id === 'string' &&
    ALERT_ID.test(id) &&
    isKind(kind) &&
    typeof fingerprint === 'string' &&
    typeof service === 'string' &&
    ['evidence', 'also', 'against', 'snapshots'].every((field) => isRecordList(value[field]))
  );
}

const isRecordList = (value: unknown): boolean => Array.isArray(value) && value.every(isRecord);
