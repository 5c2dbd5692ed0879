/**
 * Allows one child process at a time among all processes that share a directory. The lock file names its owner and its
 * child, so that the next process can end the child of an owner that was killed.
 */

import type * as Crypto from 'node:crypto';
import { existsSync, lstatSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { readSmallRegularFile } from '../core/files.ts';
import { makePrivateFolder, removeFile, replaceFile } from '../core/folders.ts';
import { isProcessAlive } from '../core/process.ts';
import type { Stop } from '../types/index.ts';
import { ANALYSIS, CENSUS, REDACTION, RENUMBERING } from './entries.ts';

interface Holder {
  /** Tells this lock from a later one in its place. Locks of earlier versions have none. */
  readonly id?: string;
  /** Containers that share the directory have pids of their own. */
  readonly host: string;
  readonly owner: number;
  /** 0 until the child is started. */
  readonly child: number;
  /** Until then the owner itself works under the lock. */
  readonly untilWallMs: number;
}

export interface Lock {
  /** Records the child that works under the lock. */
  readonly setChild: (pid: number) => void;
  /** The owner itself works under the lock until then, unless it releases it before. */
  readonly holdUntil: (wallMs: number) => void;
  readonly release: Stop;
}

const NAME = '.analysis.lock';
const MAX_LOCK_BYTES = 4096;
const MAX_CMDLINE_BYTES = 64 * 1024;
/** Chosen: an owner starts its child within this time. */
const START_MS = 10_000;
/** Chosen: the pids of another host say nothing, so its lock is valid by its age. Longer than any child may run. */
const MAX_FOREIGN_AGE_MS = 30 * 60_000;
const NO_LOCK: Lock = {
  setChild: () => undefined,
  holdUntil: () => undefined,
  release: () => undefined,
};

/**
 * Null when a living process holds the lock. In a directory where nothing can be written there is no lock, and none is
 * needed.
 */
export function takeLock(dir: string, wallMs: number): Lock | null {
  const file = join(dir, NAME);
  const { randomUUID } = require('node:crypto') as typeof Crypto;
  const id = randomUUID();
  const textOf = (child: number, untilWallMs: number): string =>
    JSON.stringify({ id, host: hostname(), owner: process.pid, child, untilWallMs } satisfies Holder);
  // Another process takes the lock when the child has ended. It must not lose it to this one.
  const isTaken = (): boolean => (read(file)?.id ?? id) !== id;
  const update = (child: number, untilWallMs: number): void =>
    ignoreErrors(() => isTaken() || replaceFile(file, textOf(child, untilWallMs)));
  // The second attempt follows the removal of a stale lock.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      makePrivateFolder(dir);
      // `wx` fails where a file or a link is: two processes cannot both take the lock.
      writeFileSync(file, textOf(0, wallMs + START_MS), { mode: 0o600, flag: 'wx' });
      return {
        setChild: (pid) => update(pid, 0),
        holdUntil: (untilWallMs) => update(0, untilWallMs),
        release: () => void (isTaken() || removeFile(file)),
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return NO_LOCK;
      if (!removeIfStale(file, wallMs)) return null;
    }
  }
  return null;
}

/** Call it at the start. The child of a killed process may be halted, and stays until another process ends it. */
export function clearStaleLock(dir: string, wallMs: number): void {
  const file = join(dir, NAME);
  if (existsSync(file)) ignoreErrors(() => removeIfStale(file, wallMs));
}

/** Call it at the exit of the process, and after the death of its watcher: nothing supervises the child then. */
export function releaseLockOfThisProcess(dir: string): void {
  const holder = holderInThisProcess(dir);
  if (holder === null) return;
  endOrphan(holder.child);
  removeFile(join(dir, NAME));
}

/** Whether another job of this process holds the lock, on any of its threads. */
export const isLockedByThisProcess = (dir: string): boolean => holderInThisProcess(dir) !== null;

function holderInThisProcess(dir: string): Holder | null {
  const file = join(dir, NAME);
  const holder = existsSync(file) ? read(file) : null;
  return holder !== null && holder.owner === process.pid && holder.host === hostname() ? holder : null;
}

/** A lock is stale when its owner or its child is dead. Ends the child of a dead owner. True: there is no lock any more. */
function removeIfStale(file: string, wallMs: number): boolean {
  const holder = read(file);
  const stat = lstatSync(file, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return true;
  const ageMs = wallMs - Number(stat.mtimeMs);
  // Its owner has created the file and may not have written to it yet.
  if (holder === null) return (!stat.isFile() || ageMs > START_MS) && removeFile(file);
  if (holder.host !== hostname()) return ageMs > MAX_FOREIGN_AGE_MS && removeFile(file);
  const isOwnerAtWork = holder.child === 0 && wallMs < holder.untilWallMs;
  const hasWork = isOwnerAtWork || orphanSignalOf(holder.child) !== null;
  if (hasWork && isProcessAlive(holder.owner)) return false;
  endOrphan(holder.child);
  return removeFile(file);
}

function endOrphan(pid: number): void {
  const signal = orphanSignalOf(pid);
  if (signal !== null) ignoreErrors(() => process.kill(pid, signal));
}

/** The kernel reuses pids, so a pid counts only when the process runs one of the scripts. Null otherwise. */
function orphanSignalOf(pid: number): NodeJS.Signals | null {
  try {
    if (pid <= 0) return null;
    const words = readSmallRegularFile(`/proc/${pid}/cmdline`, MAX_CMDLINE_BYTES).split('\0');
    return (
      [ANALYSIS, CENSUS, REDACTION, RENUMBERING].find(({ script }) => words.includes(script))?.orphanSignal ??
      null
    );
  } catch {
    return null;
  }
}

function read(file: string): Holder | null {
  try {
    const holder = JSON.parse(readSmallRegularFile(file, MAX_LOCK_BYTES)) as Partial<Holder>;
    const { id, host, owner, child, untilWallMs = 0 } = holder;
    const isComplete = typeof host === 'string' && typeof owner === 'number' && typeof child === 'number';
    return isComplete ? { ...(id === undefined ? {} : { id }), host, owner, child, untilWallMs } : null;
  } catch {
    return null;
  }
}

function ignoreErrors(task: () => unknown): void {
  try {
    task();
  } catch {
    // An analysis works without the lock, so an error of the lock is not an error of the analysis.
  }
}
